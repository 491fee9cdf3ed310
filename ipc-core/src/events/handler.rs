//! What the author of a server writes.

use crate::{Deadline, Error, ErrorKind, IpcSender, Mailbox, Peer, Result};

/// What a server does with its clients. A closure `Fn(&[u8], &mut Reply<'_>) -> Result<()>` is one that keeps nothing
/// for each client.
///
/// Calls for one client come in order and one at a time; those for different clients may come from several threads
/// at once. None may block, unless there are [`workers`](crate::EventOptions::workers). One that panics ends its own
/// connection only: there is no goodbye, and what was kept for the client is dropped without a call of
/// [`left`](Self::left).
pub trait EventHandler: Send + Sync + 'static {
    /// What is kept for each client.
    type Client: Send + 'static;

    /// A client has come.
    ///
    /// # Errors
    /// Any ends its connection with a goodbye.
    fn joined(&self, reply: &mut Reply<'_>) -> Result<Self::Client>;

    /// A client has sent a message.
    ///
    /// # Errors
    /// Any ends its connection with a goodbye.
    fn message(&self, client: &mut Self::Client, info: &[u8], reply: &mut Reply<'_>) -> Result<()>;

    /// A client that has joined is here no longer.
    fn left(&self, _client: Self::Client, _why: Left) {}
}

impl<F: Fn(&[u8], &mut Reply<'_>) -> Result<()> + Send + Sync + 'static> EventHandler for F {
    type Client = ();

    fn joined(&self, _: &mut Reply<'_>) -> Result<()> {
        Ok(())
    }

    fn message(&self, (): &mut (), info: &[u8], reply: &mut Reply<'_>) -> Result<()> {
        self(info, reply)
    }
}

/// Why a client is here no longer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Left {
    /// It said goodbye.
    Goodbye,
    /// The handler or a [`Mailbox`] sent it away.
    SentAway,
    /// Its connection has failed (it died, broke the protocol, stalled) or its handler.
    Failed(Error),
    /// It was cut off: its queue was full.
    CutOff,
    /// The server stops.
    Stopping,
}

/// The client that is being dealt with, to answer it.
pub struct Reply<'a> {
    pub(super) tx: &'a mut dyn IpcSender,
    pub(super) peer: &'a Peer,
    pub(super) mailbox: &'a Mailbox,
    pub(super) queue: usize,
    /// Each message leaves at once: its handler may take a while.
    pub(super) at_once: bool,
    pub(super) leave: &'a mut bool,
}

/// From this size on a message leaves from where it is, if nothing is before it.
const LARGE: usize = 16 * 1024;

impl Reply<'_> {
    /// Has a message accepted; never waits. It leaves with the others of this turn, and what cannot leave yet stays
    /// in the client's queue. The first answer to a message always has a place there.
    ///
    /// # Errors
    /// `WouldBlock`: the queue is full; `TooLarge` and what else the [wire](crate::Wire) cannot carry; `PeerGone`.
    pub fn send(&mut self, info: &[u8]) -> Result<()> {
        if self.tx.queued() >= self.queue {
            self.make_room()?;
        }
        let is_first = self.tx.queued() == 0;
        if (self.at_once || info.len() >= LARGE) && is_first {
            match self.tx.send_info_by(info, Deadline::Now) {
                Err(error) if *error.kind() == ErrorKind::WouldBlock => {}
                sent => return sent,
            }
        }
        self.tx.queue_info(info)
    }

    /// Who the client is.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.peer
    }

    /// To reach this client later and from anywhere. What is put there comes after the answers of this turn.
    #[must_use]
    pub fn mailbox(&self) -> &Mailbox {
        self.mailbox
    }

    /// How many bytes are in its queue.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.tx.queued()
    }

    /// Sends the client away after this message, with a goodbye.
    pub fn send_away(&mut self) {
        *self.leave = true;
    }

    #[cold]
    fn make_room(&mut self) -> Result<()> {
        match self.tx.flush_info_by(Deadline::Now) {
            Err(error) if *error.kind() == ErrorKind::WouldBlock && self.tx.queued() < self.queue => Ok(()),
            flushed => flushed,
        }
    }
}

impl std::fmt::Debug for Reply<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply")
            .field("peer", &self.peer)
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}
