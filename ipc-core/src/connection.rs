//! Both halves together: the vocabulary, implemented once for every transport.

use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, OnceLock},
    time::Instant,
};

use crate::{
    Address, Config, ConnectOptions, Deadline, Interests, IpcConnection, IpcDial, IpcReceiver, IpcSender,
    Link, Peer, Receiver, Result, Sender, StopHandle, Transport, Wait, WaitStrategy, Wire, connecting,
    drive::Waiting, pool::Pool, shares::Slot, watch::Watch,
};

/// A connection over the transport `T`. Dropping it says goodbye without waiting.
#[derive(Debug)]
pub struct Connection<T: Transport> {
    pub(crate) sender: Sender<T>,
    pub(crate) receiver: Receiver<T>,
}

/// What both halves know.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) address: Arc<str>,
    pub(crate) peer: Peer,
    /// The process that made it; a forked child must not speak for it.
    pub(crate) made_by: u32,
    /// Lends memory for large messages.
    pub(crate) pool: Arc<Pool>,
    /// One of the clients that a server admits at once.
    slot: OnceLock<Slot>,
}

impl<T: Transport> Connection<T> {
    /// Connects with options.
    ///
    /// # Errors
    /// As [`IpcConnection::connect_to`].
    pub fn connect_with(at: &Address, options: &ConnectOptions) -> Result<Self> {
        connecting::Connecting::new(at, options)?.finish()
    }

    /// A connection over a road that is up, without a handshake; both sides must do the same.
    #[must_use]
    pub fn over(link: Link<T>, address: &str, limit: u32) -> Self {
        let mut connection = Self::greeting(link, address.into(), &Config::default(), Arc::default());
        connection.open(limit, limit);
        connection
    }

    pub(crate) fn greeting(link: Link<T>, address: Arc<str>, config: &Config, pool: Arc<Pool>) -> Self {
        let watch = Watch::new(config, link.witness);
        let waiting = Waiting { watch, ..Waiting::new(config) };
        let (made_by, slot) = (std::process::id(), OnceLock::new());
        let shared = Arc::new(Shared { address, peer: link.peer, made_by, pool, slot });
        Self {
            sender: Sender::greeting(link.tx, shared.clone(), waiting.clone(), config.wire),
            receiver: Receiver::greeting(link.rx, shared, waiting, config.wire),
        }
    }

    /// Keeps a place among the server's clients for as long as one of the halves lives.
    pub(crate) fn hold(&self, slot: Slot) {
        // Set once: a connection takes one place.
        let _ = self.sender.shared.slot.set(slot);
    }

    /// The handshake is over.
    pub(crate) fn open(&mut self, ours: u32, theirs: u32) {
        self.receiver.open(ours);
        self.sender.open(theirs);
    }

    /// There is no handshake: the peer said nothing of a limit, so ours are for both directions.
    pub(crate) fn open_foreign(&mut self, config: &Config) {
        let (wire, received) = (config.wire, config.limits.message);
        self.open(wire.largest(received), wire.largest(config.limits.sent.unwrap_or(received)));
    }

    /// Two halves for two threads. Dropping one closes its direction only.
    #[must_use]
    pub fn split(self) -> (Sender<T>, Receiver<T>) {
        (self.sender, self.receiver)
    }

    /// Lets go without a goodbye, as if this process had died. For tests of what the peer makes of it.
    pub fn abandon(mut self) {
        self.sender.abandon();
    }

    /// The address it was made by.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.sender.shared.address
    }
}

impl<T: Transport> IpcDial for Connection<T> {
    type Connecting = connecting::Connecting<T>;

    fn dial(at: &Address, options: &ConnectOptions) -> Result<Self::Connecting> {
        connecting::Connecting::new(at, options)
    }
}

impl<T: Transport> IpcConnection for Connection<T> {
    fn connect_to(at: &Address) -> Result<Self> {
        Self::connect_with(at, &ConnectOptions::default())
    }

    fn peer(&self) -> &Peer {
        &self.sender.shared.peer
    }

    fn split(self: Box<Self>) -> (Box<dyn IpcSender>, Box<dyn IpcReceiver>) {
        let Self { sender, receiver } = *self;
        (Box::new(sender), Box::new(receiver))
    }
}

impl<T: Transport> IpcSender for Connection<T> {
    fn send_info_by(&mut self, info: &[u8], deadline: Deadline) -> Result<()> {
        self.sender.send_info_by(info, deadline)
    }

    fn feed_info_by(&mut self, info: &[u8], deadline: Deadline) -> Result<()> {
        self.sender.feed_info_by(info, deadline)
    }

    fn queue_info(&mut self, info: &[u8]) -> Result<()> {
        self.sender.queue_info(info)
    }

    fn queued(&self) -> usize {
        self.sender.queued()
    }

    fn largest(&self) -> u32 {
        self.sender.largest()
    }

    fn wire(&self) -> Wire {
        self.sender.wire()
    }

    fn send_many_by(&mut self, infos: &[&[u8]], deadline: Deadline) -> Result<usize> {
        self.sender.send_many_by(infos, deadline)
    }

    fn flush_info_by(&mut self, deadline: Deadline) -> Result<()> {
        self.sender.flush_info_by(deadline)
    }

    fn disconnect_from_by(&mut self, deadline: Deadline) -> Result<()> {
        self.sender.disconnect_from_by(deadline)
    }

    fn disconnect_from(&mut self) -> Result<()> {
        self.sender.disconnect_from()
    }

    fn try_disconnect_from(&mut self) -> Result<()> {
        self.sender.try_disconnect_from()
    }

    fn send_interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.sender.send_interests(into);
    }

    fn send_wake_at(&self) -> Option<Instant> {
        self.sender.send_wake_at()
    }

    fn send_deadline(&self) -> Deadline {
        self.sender.send_deadline()
    }

    fn set_send_deadline(&mut self, deadline: Deadline) {
        self.sender.set_send_deadline(deadline);
    }

    fn set_send_wait(&mut self, strategy: WaitStrategy) {
        self.sender.set_send_wait(strategy);
    }

    fn stop_sending_with(&mut self, handle: &StopHandle) {
        self.sender.stop_sending_with(handle);
    }
}

impl<T: Transport> IpcReceiver for Connection<T> {
    fn recv_borrowed_by(&mut self, deadline: Deadline) -> Result<Option<&[u8]>> {
        let frame = self.receiver.receive(Some(&mut self.sender.outlet), deadline)?;
        Ok(frame.map(|frame| self.receiver.bytes(&frame)))
    }

    fn recv_info_by(&mut self, into: &mut Vec<u8>, deadline: Deadline) -> Result<bool> {
        let frame = self.receiver.receive(Some(&mut self.sender.outlet), deadline)?;
        Ok(self.receiver.deliver(frame, into))
    }

    fn discard_info_by(&mut self, deadline: Deadline) -> Result<bool> {
        self.receiver.discard_info_by(deadline)
    }

    fn has_buffered(&self) -> bool {
        self.receiver.has_buffered()
    }

    fn is_drained(&self) -> bool {
        self.receiver.is_drained() && !self.sender.has_unsent()
    }

    fn rest(&mut self) {
        self.receiver.rest();
    }

    fn recv_interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.receiver.recv_interests(into);
        if self.sender.has_unsent() {
            self.sender.outlet.tx.interests(into);
        }
    }

    fn recv_wake_at(&self) -> Option<Instant> {
        let unsent = self.sender.has_unsent().then(|| self.sender.send_wake_at()).flatten();
        self.receiver.recv_wake_at().into_iter().chain(unsent).min()
    }

    fn recv_deadline(&self) -> Deadline {
        self.receiver.recv_deadline()
    }

    fn set_recv_deadline(&mut self, deadline: Deadline) {
        self.receiver.set_recv_deadline(deadline);
    }

    fn set_recv_wait(&mut self, strategy: WaitStrategy) {
        self.receiver.set_recv_wait(strategy);
    }

    fn stop_receiving_with(&mut self, handle: &StopHandle) {
        self.receiver.stop_receiving_with(handle);
    }
}

impl<T: Transport> AsFd for Connection<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}
