//! The bytes that have come and were not yet taken, in order: small frames, and the beginnings of large ones.

use std::ops::Range;

use super::{FrameKind, HEADER, parse_header};
use crate::pool::Pool;

#[derive(Debug, Default)]
pub(super) struct Window {
    /// All of it is initialised; `start..end` is what came and was not yet taken.
    pub(super) bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// The last read filled its room: more is waiting, so a larger room saves system calls.
    overflowing: bool,
}

/// First size: the handshake and small messages fit. An idle connection has no more.
pub(super) const SMALL: usize = 1024;
/// Second size.
pub(super) const LARGE: usize = 64 * 1024;

impl Window {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    #[inline]
    pub(super) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// What the first header says, once it is there.
    #[inline]
    pub(super) fn peek(&self, limit: u32) -> Result<Option<(FrameKind, usize)>, &'static str> {
        let Some(header) = self.unread().first_chunk::<HEADER>() else { return Ok(None) };
        let (kind, length) = parse_header(*header)?;
        if length > limit {
            return Err("frame over the limit");
        }
        Ok(Some((kind, usize::try_from(length).map_err(|_| "frame over this machine's memory")?)))
    }

    /// The first frame, which has `length` bytes, if it is all there.
    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Option<Range<usize>> {
        let body = self.start + HEADER;
        let end = body.checked_add(length).filter(|end| *end <= self.end)?;
        self.start = end;
        Some(body..end)
    }

    /// What is there of the first frame's bytes; it is the last thing that is there.
    pub(super) fn take_beginning(&mut self) -> &[u8] {
        let begins = self.start + HEADER;
        self.start = self.end;
        self.bytes.get(begins..self.end).unwrap_or_default()
    }

    /// Room behind what is there, never empty. Call it only when no whole frame is there.
    #[inline]
    pub(super) fn room(&mut self, pool: &Pool) -> &mut [u8] {
        self.move_to_front();
        let size = self.bytes.len();
        if self.end == size || (self.overflowing && size < LARGE) {
            self.grow(if size < SMALL { SMALL } else { LARGE.max(2 * size) }, pool);
        }
        &mut self.bytes[self.end..]
    }

    /// A small room for what comes after a large frame; nothing is there.
    pub(super) fn small_room(&mut self) -> &mut [u8] {
        self.move_to_front();
        if self.bytes.len() < SMALL {
            self.bytes.resize(SMALL, 0);
        }
        &mut self.bytes[..SMALL]
    }

    #[inline]
    pub(super) fn filled(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.bytes.len());
        self.overflowing = self.end == self.bytes.len();
    }

    /// Says that the first `count` bytes are there, and the first `taken` of them are not of interest.
    pub(super) fn set(&mut self, taken: usize, count: usize) {
        (self.start, self.end) = (taken, count);
        self.overflowing = false;
    }

    /// Puts `middle` at `at`, before the `after` bytes that are there: what was read apart belongs together.
    pub(super) fn insert(&mut self, at: usize, middle: &[u8], after: usize) {
        let end = at + middle.len() + after;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes.copy_within(at..at + after, at + middle.len());
        self.bytes[at..at + middle.len()].copy_from_slice(middle);
        self.set(0, end);
    }

    /// Gives large memory back, if nothing is there.
    pub(super) fn rest(&mut self, pool: &Pool) {
        if self.is_empty() && self.bytes.len() > SMALL {
            pool.give_back(std::mem::take(&mut self.bytes));
            *self = Self::default();
        }
    }

    #[inline]
    fn move_to_front(&mut self) {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    fn grow(&mut self, size: usize, pool: &Pool) {
        if size <= SMALL {
            self.bytes.resize(size, 0);
            return;
        }
        let mut larger = pool.lend(size);
        larger[..self.end].copy_from_slice(&self.bytes[..self.end]);
        pool.give_back(std::mem::replace(&mut self.bytes, larger));
    }
}
