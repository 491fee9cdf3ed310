//! Wakes a loop that waits for its clients because somebody else has something for it.

use std::{
    io::{self, PipeReader, PipeWriter, Read, Write},
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use super::slots::Token;

/// Rung only for a sleeper, so that a busy loop costs nobody a system call. Whoever has something puts it down, says
/// that there is news and then looks for a sleeper; the loop says that it sleeps and then looks for news. One of the
/// two sees the other.
#[derive(Debug)]
pub(super) struct Bell {
    news: AtomicBool,
    sleeps: AtomicBool,
    /// Clients with mail.
    mail: Mutex<Vec<Token>>,
    wake: PipeReader,
    ring: PipeWriter,
}

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        let (wake, ring) = io::pipe()?;
        let (news, sleeps) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { news, sleeps, mail: Mutex::default(), wake, ring })
    }

    /// There is something: it was put down already.
    pub(super) fn ring(&self) {
        self.news.store(true, SeqCst);
        if self.sleeps.swap(false, SeqCst) {
            // As many bytes as times that the loop fell asleep: there is always room.
            let _ = (&self.ring).write(&[1]);
        }
    }

    pub(super) fn ring_for(&self, token: Token) {
        self.mail().push(token);
        self.ring();
    }

    /// Whether there is something; said once.
    #[inline]
    pub(super) fn has_news(&self) -> bool {
        self.news.load(SeqCst) && self.news.swap(false, SeqCst)
    }

    pub(super) fn take_mail(&self, into: &mut Vec<Token>) {
        std::mem::swap(&mut *self.mail(), into);
    }

    /// From now on it rings. False: there is news already.
    pub(super) fn fall_asleep(&self) -> bool {
        self.sleeps.store(true, SeqCst);
        let may_sleep = !self.news.load(SeqCst);
        if !may_sleep {
            self.wake_up();
        }
        may_sleep
    }

    pub(super) fn wake_up(&self) {
        self.sleeps.store(false, SeqCst);
    }

    /// It has rung: a byte is there.
    pub(super) fn silence(&self) {
        // Interrupted, it rings on and is silenced the next time.
        let _ = (&self.wake).read(&mut [0; 64]);
    }

    fn mail(&self) -> MutexGuard<'_, Vec<Token>> {
        // A list is whole at every instant.
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_heard_awake_and_asleep_and_rings_only_for_a_sleeper() {
        let bell = Bell::new().unwrap();
        bell.ring_for(7);
        assert!(!bell.fall_asleep(), "there is news");
        assert!(bell.has_news() && !bell.has_news());
        let mut mail = Vec::new();
        bell.take_mail(&mut mail);
        assert_eq!(mail, [7]);
        assert!(bell.fall_asleep());
        (0..3).for_each(|_| bell.ring());
        assert_eq!((&bell.wake).read(&mut [0; 64]).unwrap(), 1, "one byte for one sleep");
        assert!(bell.has_news());
    }
}
