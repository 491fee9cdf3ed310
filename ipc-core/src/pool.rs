//! Memory for large messages, lent while their bytes are unread: an idle connection has none of it, and a busy
//! one meets pages that are there already.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::shares::Slot;

/// Buffers that nobody uses just now. A server has one for all of its connections, and the clients of a process
/// share one.
#[derive(Debug)]
pub struct Pool(Mutex<Vec<Vec<u8>>>);

/// Smaller ones are quickly had, larger ones are not worth keeping.
const SMALLEST: usize = 4 * 1024;
const LARGEST: usize = 2 << 20;
/// So much memory is kept at most, in so many buffers.
const KEPT: usize = 8 << 20;
const COUNT: usize = 64;

impl Default for Pool {
    fn default() -> Self {
        // The list itself never grows.
        Self(Mutex::new(Vec::with_capacity(COUNT)))
    }
}

impl Pool {
    /// The pool of this process's clients.
    pub(crate) fn of_clients() -> Arc<Self> {
        static CLIENTS: OnceLock<Arc<Pool>> = OnceLock::new();
        CLIENTS.get_or_init(Arc::default).clone()
    }

    /// A buffer, perhaps a used one, with at least `length` bytes; what is in them is of no meaning.
    pub(crate) fn lend(&self, length: usize) -> Vec<u8> {
        // A new one is zero by the kernel's doing, so that it has no pages before something comes to fill them.
        self.find(length, usize::MAX).unwrap_or_else(|| vec![0; length])
    }

    /// The same, and not much more than that: for what nobody is charged for.
    fn lend_about(&self, length: usize) -> Vec<u8> {
        self.find(length, 2 * length).unwrap_or_else(|| vec![0; length])
    }

    /// Takes a buffer back, to lend it again.
    pub(crate) fn give_back(&self, buffer: Vec<u8>) {
        if !(SMALLEST..=LARGEST).contains(&buffer.len()) {
            return;
        }
        let mut free = self.free();
        let kept: usize = free.iter().map(Vec::len).sum();
        if free.len() < COUNT && kept + buffer.len() <= KEPT {
            free.push(buffer);
        }
    }

    /// The smallest that is large enough, and of those the one used last: its pages are the warmest.
    fn find(&self, length: usize, most: usize) -> Option<Vec<u8>> {
        let mut free = self.free();
        let fit = free.iter().enumerate().rev().filter(|(_, buffer)| (length..=most).contains(&buffer.len()));
        let (found, _) = fit.min_by_key(|(_, buffer)| buffer.len())?;
        Some(free.remove(found))
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        // A list of buffers is whole at every instant.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a connection's memory for large messages comes from, and on whose account.
#[derive(Debug)]
pub(crate) struct Lender {
    pool: Arc<Pool>,
    account: Option<Slot>,
}

impl Lender {
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        Self { pool, account: None }
    }

    /// What is lent from now on is a part of a user's share.
    pub(crate) fn charge_to(&mut self, account: Option<Slot>) {
        self.account = account;
    }

    /// Whether so many bytes may be out in all.
    pub(crate) fn admits(&mut self, bytes: usize) -> bool {
        self.account.as_mut().is_none_or(|account| account.have(bytes).is_ok())
    }

    pub(crate) fn lend(&self, length: usize) -> Vec<u8> {
        self.pool.lend(length)
    }

    /// Takes back all that is out.
    pub(crate) fn take_back(&mut self, buffer: Vec<u8>) {
        self.admits(0);
        self.pool.give_back(buffer);
    }

    /// Takes back a buffer for which another one has been lent, or that somebody else brings.
    pub(crate) fn exchange(&self, buffer: Vec<u8>) {
        self.pool.give_back(buffer);
    }
}

/// A connection's memory for one direction: a little of its own, and more from the pool while it is needed. All
/// of it is initialised.
#[derive(Debug)]
pub(crate) struct Memory {
    bytes: Vec<u8>,
    /// Its own, while `bytes` is lent.
    little: Vec<u8>,
    pool: Arc<Pool>,
}

/// The most that it has of its own.
pub(crate) const LITTLE: usize = 1024;
/// The least: one message of the commonest sizes.
const LEAST: usize = 128;

impl Memory {
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        Self { bytes: Vec::new(), little: Vec::new(), pool }
    }

    /// Has at least `size` bytes from now on, of which the first `kept` are as they were.
    #[cold]
    pub(crate) fn grow(&mut self, size: usize, kept: usize) {
        if size <= LITTLE {
            return self.bytes.resize(size.next_power_of_two().max(LEAST), 0);
        }
        self.exchange(size, kept);
    }

    /// Has what is lent for that size from now on, and gives back what was.
    pub(crate) fn exchange(&mut self, size: usize, kept: usize) {
        let mut lent = self.pool.lend_about(size);
        lent[..kept].copy_from_slice(&self.bytes[..kept]);
        let before = std::mem::replace(&mut self.bytes, lent);
        if before.len() <= LITTLE {
            self.little = before;
        } else {
            self.pool.give_back(before);
        }
    }

    /// Gives back what is lent.
    #[inline]
    pub(crate) fn rest(&mut self) {
        if self.bytes.len() > LITTLE {
            let lent = std::mem::replace(&mut self.bytes, std::mem::take(&mut self.little));
            self.pool.give_back(lent);
        }
    }
}

/// A server of short connections would otherwise have new memory, and zero it, for each.
impl Drop for Memory {
    fn drop(&mut self) {
        self.rest();
    }
}

impl std::ops::Deref for Memory {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::ops::DerefMut for Memory {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_is_lent_again_and_no_more_than_that_is_kept() {
        let pool = Pool::default();
        let buffer = pool.lend(100_000);
        let at = buffer.as_ptr();
        pool.give_back(buffer);
        let again = pool.lend(64 * 1024);
        assert_eq!(again.as_ptr(), at, "the same memory");
        for _ in 0..2 * COUNT {
            pool.give_back(vec![0; 1 << 20]);
            pool.give_back(vec![0; SMALLEST - 1]);
            pool.give_back(vec![0; LARGEST + 1]);
        }
        let kept: usize = pool.free().iter().map(Vec::len).sum();
        assert_eq!(kept, KEPT);
    }

    #[test]
    fn what_a_connection_has_of_the_pool_at_its_end_is_lent_to_the_next() {
        let pool = Arc::new(Pool::default());
        let mut memory = Memory::new(pool.clone());
        memory.grow(100_000, 0);
        memory[0] = 7;
        drop(memory);
        assert_eq!(pool.lend(100_000)[0], 7, "the same memory: a new one is zero");
    }
}
