//! The bytes that have come and were not yet taken, in order: small frames, and the beginnings of large ones.

use std::{ops::Range, sync::Arc};

use super::{FrameKind, HEADER, parse_header};
use crate::pool::{LITTLE, Memory, Pool};

#[derive(Debug)]
pub(super) struct Window {
    /// `start..end` is what came and was not yet taken.
    pub(super) bytes: Memory,
    start: usize,
    end: usize,
    /// How much room the next read is given: a read that fills its room leaves more waiting, and a larger room
    /// saves system calls.
    want: usize,
    /// So many reads in a row would not have needed a large room.
    quiet: u8,
}

/// First size: the handshake and small messages fit.
pub(super) const SMALL: usize = LITTLE;
/// Second size.
pub(super) const LARGE: usize = 64 * 1024;
/// After so many reads of little, the room is small again.
const QUIET: u8 = 64;

impl Window {
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        Self { bytes: Memory::new(pool), start: 0, end: 0, want: SMALL, quiet: 0 }
    }

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

    /// The first `length` bytes; `after` more are passed over. They are all there.
    pub(super) fn cut(&mut self, length: usize, after: usize) -> Range<usize> {
        let begins = self.start;
        self.start += length + after;
        begins..begins + length
    }

    /// All that is there.
    pub(super) fn take_all(&mut self) -> &[u8] {
        let begins = self.start;
        self.start = self.end;
        self.bytes.get(begins..self.end).unwrap_or_default()
    }

    /// What is there of the first frame's bytes; it is the last thing that is there.
    pub(super) fn take_beginning(&mut self) -> &[u8] {
        let begins = self.start + HEADER;
        self.start = self.end;
        self.bytes.get(begins..self.end).unwrap_or_default()
    }

    /// Room behind what is there, never empty. Call it only when no whole frame is there.
    #[inline]
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.move_to_front();
        let size = self.bytes.len();
        if self.end == size || size < self.want || (size > SMALL && self.want == SMALL) {
            self.resize();
        }
        &mut self.bytes[self.end..]
    }

    #[cold]
    fn resize(&mut self) {
        let size = self.bytes.len();
        if self.want == SMALL && self.is_empty() {
            self.bytes.rest();
        }
        if self.end == size {
            self.want = if size < SMALL { SMALL } else { LARGE.max(2 * size) };
        }
        if self.bytes.len() < self.want {
            self.bytes.grow(self.want, self.end);
        }
    }

    /// A small room for what comes after a large frame; nothing is there.
    pub(super) fn small_room(&mut self) -> &mut [u8] {
        self.room_of(SMALL)
    }

    /// Room of `size` bytes for one read; nothing is there.
    pub(super) fn room_of(&mut self, size: usize) -> &mut [u8] {
        self.move_to_front();
        if self.bytes.len() < size {
            self.bytes.grow(size, 0);
        }
        &mut self.bytes[..size]
    }

    /// Whether the last read into it left some of its room.
    pub(super) fn has_room_left(&self) -> bool {
        self.end < self.bytes.len()
    }

    /// Whether the last read has brought less than that.
    pub(super) fn has_less_than(&self, size: usize) -> bool {
        self.end < size
    }

    #[inline]
    pub(super) fn filled(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.bytes.len());
        if count > SMALL / 2 {
            self.much();
        } else if self.want > SMALL {
            self.quiet += 1;
            if self.quiet >= QUIET {
                (self.want, self.quiet) = (SMALL, 0);
            }
        }
    }

    #[cold]
    fn much(&mut self) {
        self.quiet = 0;
        if self.end == self.bytes.len() {
            self.want = LARGE;
        }
    }

    /// Says that the first `count` bytes are there, and the first `taken` of them are not of interest.
    pub(super) fn set(&mut self, taken: usize, count: usize) {
        (self.start, self.end) = (taken, count);
    }

    /// Puts `middle` at `at`, before the `after` bytes that are there: what was read apart belongs together.
    pub(super) fn insert(&mut self, at: usize, middle: &[u8], after: usize) {
        let end = at + middle.len() + after;
        if self.bytes.len() < end {
            self.bytes.grow(end, at + after);
        }
        self.bytes.copy_within(at..at + after, at + middle.len());
        self.bytes[at..at + middle.len()].copy_from_slice(middle);
        self.set(0, end);
    }

    /// Gives large memory back, if nothing is there; and what is larger than a window, if little is.
    pub(super) fn rest(&mut self) {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
            self.bytes.rest();
        } else if self.bytes.len() > 2 * LARGE && self.unread().len() <= LARGE {
            self.move_to_front();
            self.bytes.exchange(LARGE, self.end);
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
}
