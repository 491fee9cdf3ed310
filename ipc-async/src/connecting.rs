//! Connecting as a future.

use std::{future::poll_fn, io, task::Poll, time::Instant};

use ipc_core::{Address, ConnectOptions, ErrorKind, Interests, IpcConnecting, IpcDial, Result};

use crate::{
    Runtime,
    sources::Sources,
    waiter::{Ends, Timer},
};

/// The descriptors of a connect are others after each try, and may be closed by it: they are watched for one wait only.
pub(crate) async fn connect<R: Runtime, C: IpcDial>(at: &Address, options: &ConnectOptions) -> Result<C> {
    let (mut connecting, mut ends) = (C::dial(at, options)?, Ends::by(options.deadline_from(Instant::now())));
    loop {
        match connecting.try_connect() {
            Err(error) if *error.kind() == ErrorKind::WouldBlock => {}
            tried => return tried,
        }
        if wait::<R, _>(&mut connecting, &mut ends).await? {
            let late: ipc_core::Error = ErrorKind::TimedOut.into();
            return Err(late.about("connect_to", &connecting.address()));
        }
    }
}

/// Waits until it may go on. True: the time is over.
async fn wait<R: Runtime, C: IpcConnecting>(connecting: &mut C, ends: &mut Ends) -> Result<bool> {
    let ends = ends.at();
    let until = ends.into_iter().chain(connecting.connect_wake_at()).min();
    let (mut sources, mut timer) = (Sources::<R>::default(), Timer::<R>::new());
    poll_fn(move |cx| {
        let mut interests = Interests::default();
        connecting.connect_interests(&mut interests);
        let is_ready = !sources.poll(cx, &interests)?.is_empty();
        if is_ready || timer.is_over(cx, until) { Poll::Ready(Ok::<_, io::Error>(())) } else { Poll::Pending }
    })
    .await?;
    Ok(ends.is_some_and(|ends| ends <= Instant::now()))
}
