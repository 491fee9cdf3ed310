//! A connection as futures.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use ipc_core::{
    Address, ConnectOptions, Deadline, Interests, IpcConnection, IpcDial, Peer, Result, StopHandle,
};

use crate::{
    Receiver, Runtime, Sender, connecting,
    ender::{Ender, Half},
    ops::{Discard, Op, Out, Recv, Send},
    tasks::Tasks,
    waiter::{Call, Ends, Waiter, is_late},
};

/// A connection whose calls are futures. Dropping it says goodbye without waiting.
pub struct Connection<R: Runtime, C> {
    pub(crate) waiter: Waiter<R>,
    pub(crate) connection: C,
    /// Made when it is first polled as a stream or sink.
    tasks: Option<Box<Tasks>>,
}

/// Nothing of it is ever pinned.
impl<R: Runtime, C> Unpin for Connection<R, C> {}

const DISCONNECT: Duration = Duration::from_secs(5);

impl<R: Runtime, C: IpcDial> Connection<R, C> {
    /// Connects to the server at `at`, within 5 s.
    ///
    /// # Errors
    /// As [`IpcConnection::connect_to`].
    pub async fn connect_to(at: &Address) -> Result<Self> {
        Self::connect_with(at, &ConnectOptions::default()).await
    }

    /// Connects with options.
    ///
    /// # Errors
    /// As [`IpcConnection::connect_to`].
    pub async fn connect_with(at: &Address, options: &ConnectOptions) -> Result<Self> {
        connecting::connect::<R, C>(at, options).await.map(Self::new)
    }
}

impl<R: Runtime, C: IpcConnection> Connection<R, C> {
    /// Makes futures of the calls of a connection.
    #[must_use]
    pub fn new(connection: C) -> Self {
        Self { waiter: Waiter::new(Half::Receiving), connection, tasks: None }
    }

    /// Has the whole message accepted and handed to the kernel. Dropped before it is done, it has had all of the
    /// message accepted or nothing of it; what was accepted leaves with the next call, or while a message is waited for.
    ///
    /// # Errors
    /// As [`IpcSender::send_info_by`](ipc_core::IpcSender::send_info_by).
    pub fn send_info(&mut self, info: &[u8]) -> impl Future<Output = Result<()>> {
        self.send_info_by(info, self.connection.send_deadline())
    }

    /// [`send_info`](Self::send_info) with a deadline of its own.
    ///
    /// # Errors
    /// As there.
    pub fn send_info_by(&mut self, info: &[u8], deadline: Deadline) -> impl Future<Output = Result<()>> {
        self.call(Send::new(info), deadline)
    }

    /// Has the whole message accepted, to leave together with others: with the next [`send_info`](Self::send_info) or
    /// [`flush_info`](Self::flush_info), before a message is waited for, or when 64 KiB have gathered.
    ///
    /// # Errors
    /// As [`send_info`](Self::send_info).
    pub fn feed_info(&mut self, info: &[u8]) -> impl Future<Output = Result<()>> {
        self.feed_info_by(info, self.connection.send_deadline())
    }

    /// [`feed_info`](Self::feed_info) with a deadline of its own.
    ///
    /// # Errors
    /// As there.
    pub fn feed_info_by(&mut self, info: &[u8], deadline: Deadline) -> impl Future<Output = Result<()>> {
        self.call(Out::Feed(info), deadline)
    }

    /// Hands what was accepted and is still here to the kernel.
    ///
    /// # Errors
    /// As [`IpcSender::flush_info_by`](ipc_core::IpcSender::flush_info_by).
    pub fn flush_info(&mut self) -> impl Future<Output = Result<()>> {
        self.flush_info_by(self.connection.send_deadline())
    }

    /// [`flush_info`](Self::flush_info) with a deadline of its own.
    ///
    /// # Errors
    /// As there.
    pub fn flush_info_by(&mut self, deadline: Deadline) -> impl Future<Output = Result<()>> {
        self.call(Out::Flush, deadline)
    }

    /// Puts the next message into `into`, in place of what was there. False is the peer's goodbye. Dropped before it
    /// is done, it has taken nothing.
    ///
    /// # Errors
    /// As [`IpcReceiver::recv_info_by`](ipc_core::IpcReceiver::recv_info_by).
    pub fn recv_info(&mut self, into: &mut Vec<u8>) -> impl Future<Output = Result<bool>> {
        self.recv_info_by(into, self.connection.recv_deadline())
    }

    /// [`recv_info`](Self::recv_info) with a deadline of its own.
    ///
    /// # Errors
    /// As there.
    pub fn recv_info_by(
        &mut self,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<bool>> {
        self.call(Recv(into), deadline)
    }

    /// Takes some of what the peer still sends and throws it away, also after a `Protocol` error. False: it sends no
    /// more.
    ///
    /// # Errors
    /// As [`IpcReceiver::discard_info_by`](ipc_core::IpcReceiver::discard_info_by).
    pub fn discard_info_by(&mut self, deadline: Deadline) -> impl Future<Output = Result<bool>> {
        self.call(Discard, deadline)
    }

    /// Hands everything accepted and a goodbye to the kernel, within 5 s. Receiving goes on.
    ///
    /// # Errors
    /// As [`IpcSender::disconnect_from_by`](ipc_core::IpcSender::disconnect_from_by).
    pub async fn disconnect_from(&mut self) -> Result<()> {
        self.disconnect_from_by(DISCONNECT.into()).await
    }

    /// [`disconnect_from`](Self::disconnect_from) with a deadline of its own.
    ///
    /// # Errors
    /// As there.
    pub async fn disconnect_from_by(&mut self, deadline: Deadline) -> Result<()> {
        match self.call(Out::Leave, deadline).await {
            // What is still here is told.
            Err(error) if is_late(&error) => self.connection.disconnect_from_by(Deadline::Now),
            left => left,
        }
    }

    /// Two halves for two tasks. Dropping one closes its direction only.
    #[must_use]
    pub fn split(self) -> (Sender<R>, Receiver<R>)
    where
        C: 'static,
    {
        let Self { mut waiter, connection, .. } = self;
        let (sender, receiver) = Box::new(connection).split();
        let (mut ours, mut theirs) = (Interests::default(), Interests::default());
        sender.send_interests(&mut ours);
        receiver.recv_interests(&mut theirs);
        let shared = waiter.share(&ours, &theirs);
        (Sender { waiter: shared, sender }, Receiver { waiter, receiver })
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.connection.peer()
    }

    /// Lets this handle end every wait of this connection. It takes a descriptor for each connection.
    pub fn stop_with(&mut self, handle: &StopHandle) {
        self.waiter.forget();
        self.connection.stop_with(handle);
    }

    /// The connection itself, to set its deadlines and to ask what was counted. It must not be replaced by another.
    #[must_use]
    pub fn get_ref(&self) -> &C {
        &self.connection
    }

    /// The connection itself again, for calls that wait in a thread. What was accepted and is still here stays.
    #[must_use]
    pub fn into_inner(self) -> C {
        // Nothing is watched any more.
        drop(self.waiter);
        self.connection
    }

    /// Sets how long every later [`recv_info`](Self::recv_info) waits.
    pub fn set_recv_deadline(&mut self, deadline: Deadline) {
        self.connection.set_recv_deadline(deadline);
    }

    /// Sets how long every later [`send_info`](Self::send_info) waits.
    pub fn set_send_deadline(&mut self, deadline: Deadline) {
        self.connection.set_send_deadline(deadline);
    }

    pub(crate) fn end_with(&mut self, ender: &Arc<Ender>) {
        self.waiter.ender = Some(ender.clone());
    }

    /// For what may be polled by two tasks, one for each half.
    pub(crate) fn poll_op<O: Op<C>>(
        &mut self,
        half: Half,
        cx: &Context<'_>,
        mut op: O,
    ) -> Poll<Result<O::Output>> {
        let tasks = self.tasks.get_or_insert_with(Box::default);
        let (cx, mut forever) = (&mut tasks.with(half, cx), Ends::by(Deadline::Forever));
        self.waiter.poll(cx, &mut self.connection, &mut op, &mut forever)
    }

    fn call<O: Op<C>>(&mut self, op: O, deadline: Deadline) -> Call<'_, R, C, O> {
        Call { waiter: &mut self.waiter, on: &mut self.connection, op, ends: Ends::by(deadline) }
    }
}

impl<R: Runtime, C: std::fmt::Debug> std::fmt::Debug for Connection<R, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.connection.fmt(f)
    }
}
