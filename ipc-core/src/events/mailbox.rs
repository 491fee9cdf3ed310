//! A client's queue, as everybody else has it: messages for it from any thread.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{bell::Bell, options::WhenFull, slots::Token};
use crate::{ErrorKind, IpcSender, Result, Wire};

/// Reaches a client from any thread, for as long as the client is here. Clones reach the same client. Messages of one
/// thread arrive in order.
#[derive(Clone)]
pub struct Mailbox(Arc<Inner>);

struct Inner {
    token: Token,
    bell: Arc<Bell>,
    wire: Wire,
    largest: u32,
    queue: usize,
    when_full: WhenFull,
    mail: Mutex<Mail>,
}

#[derive(Default)]
struct Mail {
    /// Messages, each behind its length.
    bytes: Vec<u8>,
    /// What the connection has of the queue, as it said last.
    queued: usize,
    wish: Wish,
}

/// What is to become of the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Wish {
    #[default]
    Stay,
    SendAway,
    CutOff,
    /// It has left.
    Nothing,
}

const LENGTH: usize = 4;

impl Mailbox {
    pub(super) fn new(
        token: Token,
        bell: Arc<Bell>,
        tx: &dyn IpcSender,
        queue: usize,
        when_full: WhenFull,
    ) -> Self {
        let (wire, largest, mail) = (tx.wire(), tx.largest(), Mutex::default());
        Self(Arc::new(Inner { token, bell, wire, largest, queue, when_full, mail }))
    }

    /// Puts a message into the client's queue; never waits.
    ///
    /// # Errors
    /// `WouldBlock`: the queue is full; `TooLarge` and what else the [wire](Wire) cannot carry; `PeerGone`: the client is
    /// not here any more.
    pub fn send(&self, info: &[u8]) -> Result<()> {
        self.0.wire.check(info)?;
        let (size, limit) = (info.len() as u64, u64::from(self.0.largest));
        // Within the limit, which is a u32.
        let Some(length) = u32::try_from(info.len()).ok().filter(|_| size <= limit) else {
            return Err(ErrorKind::TooLarge { size, limit }.into());
        };
        let mut mail = self.mail();
        if mail.wish != Wish::Stay {
            return Err(ErrorKind::PeerGone.into());
        }
        let has_news = mail.bytes.is_empty();
        if mail.bytes.len() + mail.queued >= self.0.queue {
            if self.0.when_full == WhenFull::CutOff {
                self.wish(mail, Wish::CutOff);
            }
            return Err(ErrorKind::WouldBlock.into());
        }
        mail.bytes.extend_from_slice(&length.to_le_bytes());
        mail.bytes.extend_from_slice(info);
        drop(mail);
        if has_news {
            self.0.bell.ring_for(self.0.token);
        }
        Ok(())
    }

    /// Sends the client away: it receives what is in its queue, and a goodbye.
    pub fn send_away(&self) {
        let mail = self.mail();
        if mail.wish == Wish::Stay {
            self.wish(mail, Wish::SendAway);
        }
    }

    /// Whether the client is here, as far as is known.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.mail().wish == Wish::Stay
    }

    /// How many bytes are in its queue.
    #[must_use]
    pub fn queued(&self) -> usize {
        let mail = self.mail();
        mail.bytes.len() + mail.queued
    }

    /// Moves what has come into the client's connection, and says what is to become of the client.
    pub(super) fn empty_into(&self, tx: &mut dyn IpcSender) -> Wish {
        let mut mail = self.mail();
        mail.empty_into(tx);
        mail.wish
    }

    /// The same, and nothing comes after it.
    pub(super) fn close_into(&self, tx: &mut dyn IpcSender) {
        let mut mail = self.mail();
        mail.empty_into(tx);
        mail.wish = Wish::Nothing;
    }

    /// What the connection has of the queue now.
    pub(super) fn set_queued(&self, queued: usize) {
        self.mail().queued = queued;
    }

    /// The client has left.
    pub(super) fn close(&self) {
        let mut mail = self.mail();
        (mail.wish, mail.bytes) = (Wish::Nothing, Vec::new());
    }

    fn wish(&self, mut mail: MutexGuard<'_, Mail>, wish: Wish) {
        mail.wish = wish;
        drop(mail);
        self.0.bell.ring_for(self.0.token);
    }

    fn mail(&self) -> MutexGuard<'_, Mail> {
        // Every change is whole at once, so a panic elsewhere cannot have left it half-made.
        self.0.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mail {
    fn empty_into(&mut self, tx: &mut dyn IpcSender) {
        let bytes = std::mem::take(&mut self.bytes);
        // A broken connection takes nothing more, which is told elsewhere.
        let _ = each(&bytes, |info| tx.queue_info(info));
        self.queued = tx.queued();
    }
}

/// Hands out each message of these, until one is not taken.
fn each(mut bytes: &[u8], mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    while let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (info, rest) = rest.split_at(length.min(rest.len()));
        take(info)?;
        bytes = rest;
    }
    Ok(())
}

/// The same client's.
impl PartialEq for Mailbox {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Mailbox {}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("queued", &self.queued()).finish_non_exhaustive()
    }
}
