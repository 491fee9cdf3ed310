//! Connecting as a future.

use std::{future::poll_fn, time::Instant};

use ipc_core::{Address, ConnectOptions, ErrorKind, IpcConnecting, IpcDial, Result};

use crate::{
    Runtime,
    ender::Half,
    ops::Connect,
    waiter::{Ends, Waiter},
};

pub(crate) async fn connect<R: Runtime, C: IpcDial>(at: &Address, options: &ConnectOptions) -> Result<C> {
    let mut connecting = C::dial(at, options)?;
    let mut ends = Ends::by(options.deadline_from(Instant::now()));
    let mut waiter = Waiter::<R>::new(Half::Receiving);
    let connected = poll_fn(|cx| waiter.poll(cx, &mut connecting, &mut Connect, &mut ends)).await;
    connected.map_err(|error| match error.kind() {
        ErrorKind::TimedOut => error.about("connect_to", &connecting.address()),
        _ => error,
    })
}
