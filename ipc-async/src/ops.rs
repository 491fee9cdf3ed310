//! The calls that a [`Waiter`](crate::waiter::Waiter) tries: one step of each word, and what it waits for.

use std::time::Instant;

use ipc_core::{Deadline, Error, Interests, IpcConnecting, IpcReceiver, IpcSender, IpcServer, Result};

use crate::ender::Heeds;

/// A call on something, which is tried until it is done.
pub(crate) trait Op<C: ?Sized> {
    type Output;

    /// One try, with a deadline that does not wait; `WouldBlock` says that it is not done.
    fn attempt(&mut self, on: &mut C, by: Deadline) -> Result<Self::Output>;
    fn interests<'a>(&self, on: &'a C, into: &mut Interests<'a>);
    fn wake_at(&self, on: &C) -> Option<Instant>;

    /// What of its server's end it heeds.
    fn heeds(&self) -> Heeds {
        Heeds::Drain
    }

    /// Whether there is something that no descriptor tells of.
    fn is_at_hand(&self, _: &C) -> bool {
        false
    }

    /// Whether a try finds nothing before a descriptor tells of something.
    fn is_in_vain(&self, _: &C) -> bool {
        false
    }

    /// It waits now, without having tried.
    fn rest(&self, _: &mut C) {}

    /// Whether a try mostly succeeds, so that the runtime need not be asked before it.
    fn is_hopeful(&self) -> bool {
        false
    }

    /// What it comes to if it may wait no longer.
    fn gave_up(&self, why: Error) -> Result<Self::Output> {
        Err(why)
    }
}

/// Takes a message.
pub(crate) struct Recv<'a>(pub(crate) &'a mut Vec<u8>);

impl<C: IpcReceiver + ?Sized> Op<C> for Recv<'_> {
    type Output = bool;

    fn attempt(&mut self, on: &mut C, by: Deadline) -> Result<bool> {
        on.recv_info_by(self.0, by)
    }

    fn interests<'a>(&self, on: &'a C, into: &mut Interests<'a>) {
        on.recv_interests(into);
    }

    fn wake_at(&self, on: &C) -> Option<Instant> {
        on.recv_wake_at()
    }

    fn is_at_hand(&self, on: &C) -> bool {
        on.has_buffered()
    }

    fn is_in_vain(&self, on: &C) -> bool {
        on.is_drained()
    }

    fn rest(&self, on: &mut C) {
        on.rest();
    }
}

/// Throws away some of what comes.
pub(crate) struct Discard;

impl<C: IpcReceiver + ?Sized> Op<C> for Discard {
    type Output = bool;

    fn attempt(&mut self, on: &mut C, by: Deadline) -> Result<bool> {
        on.discard_info_by(by)
    }

    fn interests<'a>(&self, on: &'a C, into: &mut Interests<'a>) {
        on.recv_interests(into);
    }

    fn wake_at(&self, on: &C) -> Option<Instant> {
        on.recv_wake_at()
    }
}

/// Has a message accepted, and handed to the kernel.
pub(crate) struct Send<'a> {
    info: &'a [u8],
    is_accepted: bool,
}

impl<'a> Send<'a> {
    pub(crate) fn new(info: &'a [u8]) -> Self {
        Self { info, is_accepted: false }
    }
}

impl<C: IpcSender + ?Sized> Op<C> for Send<'_> {
    type Output = ();

    fn attempt(&mut self, on: &mut C, by: Deadline) -> Result<()> {
        if !self.is_accepted {
            on.send_info_by(self.info, by)?;
            self.is_accepted = true;
        }
        // What the peer had no room for is still here.
        if on.queued() == 0 { Ok(()) } else { on.flush_info_by(by) }
    }

    fn interests<'a>(&self, on: &'a C, into: &mut Interests<'a>) {
        on.send_interests(into);
    }

    fn wake_at(&self, on: &C) -> Option<Instant> {
        on.send_wake_at()
    }

    /// A message that was accepted still leaves.
    fn heeds(&self) -> Heeds {
        if self.is_accepted { Heeds::Stop } else { Heeds::Drain }
    }

    fn is_hopeful(&self) -> bool {
        true
    }

    /// A message that was accepted is accepted, though the time is over.
    fn gave_up(&self, why: Error) -> Result<()> {
        if self.is_accepted { Ok(()) } else { Err(why) }
    }
}

/// What else waits for room.
pub(crate) enum Out<'a> {
    /// Has a message accepted, which may stay here.
    Accept(&'a [u8]),
    /// Has a message accepted, to leave with others.
    Feed(&'a [u8]),
    /// Hands what was accepted to the kernel.
    Flush,
    /// Says goodbye.
    Leave,
}

impl<C: IpcSender + ?Sized> Op<C> for Out<'_> {
    type Output = ();

    fn attempt(&mut self, on: &mut C, by: Deadline) -> Result<()> {
        match self {
            Self::Accept(info) => on.send_info_by(info, by),
            Self::Feed(info) => on.feed_info_by(info, by),
            Self::Flush => on.flush_info_by(by),
            Self::Leave => on.try_disconnect_from(),
        }
    }

    fn heeds(&self) -> Heeds {
        match self {
            Self::Accept(_) | Self::Feed(_) => Heeds::Drain,
            Self::Flush => Heeds::Stop,
            Self::Leave => Heeds::Nothing,
        }
    }

    fn is_hopeful(&self) -> bool {
        true
    }

    fn interests<'a>(&self, on: &'a C, into: &mut Interests<'a>) {
        on.send_interests(into);
    }

    fn wake_at(&self, on: &C) -> Option<Instant> {
        on.send_wake_at()
    }
}

/// Takes a client in.
pub(crate) struct Accept;

impl<S: IpcServer> Op<S> for Accept {
    type Output = S::Client;

    fn attempt(&mut self, on: &mut S, by: Deadline) -> Result<S::Client> {
        on.accept_client_by(by)
    }

    fn interests<'a>(&self, on: &'a S, into: &mut Interests<'a>) {
        on.accept_interests(into);
    }

    fn wake_at(&self, on: &S) -> Option<Instant> {
        on.accept_wake_at()
    }
}

/// Connects.
pub(crate) struct Connect;

impl<C: IpcConnecting> Op<C> for Connect {
    type Output = C::Connection;

    fn attempt(&mut self, on: &mut C, _: Deadline) -> Result<C::Connection> {
        on.try_connect()
    }

    fn interests<'a>(&self, on: &'a C, into: &mut Interests<'a>) {
        on.connect_interests(into);
    }

    fn wake_at(&self, on: &C) -> Option<Instant> {
        on.connect_wake_at()
    }
}
