//! Cuts a stream of bytes back into frames. Bytes go in by [`Decoder::rooms`] and [`Decoder::filled`]; frames come
//! out where they are, so that a message is delivered without a copy.
//!
//! Small frames lie one behind the other in a window. A large one is read into memory of its own, and if the one
//! before it was as large, its header, its bytes and what follows are read into their places by one system call.

use std::{io::IoSliceMut, ops::Range, sync::Arc};

use super::{FrameKind, HEADER, body::Body, parse_header, window::Window};
use crate::{
    Wire,
    pool::{Lender, Pool},
    shares::Slot,
};

/// Frames out of a stream of bytes, in memory bounded by what has arrived.
#[derive(Debug)]
pub struct Decoder {
    pub(super) wire: Wire,
    pub(super) window: Window,
    pub(super) body: Body,
    pub(super) limit: u32,
    pub(super) reading: Reading,
    /// The size of the last frame, if that was large: the next one may be as large.
    expected: usize,
    /// So many bytes of what comes next are known to have no delimiter.
    pub(super) searched: usize,
    pub(super) lender: Lender,
}

/// A whole frame: what it is, and where its bytes are until the next call of [`Decoder::rooms`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: FrameKind,
    /// In the window, or else in the body.
    in_window: bool,
    start: usize,
    end: usize,
}

impl Frame {
    pub(super) fn in_window(kind: FrameKind, Range { start, end }: Range<usize>) -> Self {
        Self { kind, in_window: true, start, end }
    }

    pub(super) fn apart(kind: FrameKind, end: usize) -> Self {
        Self { kind, in_window: false, start: 0, end }
    }

    /// How many bytes it has, without its header.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// Where the rooms of the read that is under way are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    Window,
    /// A room of so many bytes in the window, whatever that has.
    Once(usize),
    /// The rest of a body of which this much is missing in the room, and then the window.
    Body(usize),
    /// A header, a body of the expected size, and then the window.
    Expected,
}

/// Where to put the bytes that come: one to three places, the first never empty.
#[derive(Debug)]
pub struct Rooms<'a> {
    all: [IoSliceMut<'a>; 3],
    count: usize,
}

/// From this size on a frame has memory of its own.
pub(super) const APART: usize = 16 * 1024;
/// Up to this size memory is made ready for a frame that is only expected.
const MOST_EXPECTED: usize = 1 << 20;

pub(super) const OVER_SHARE: &str = "more is unread than its user's share of the memory";

impl Decoder {
    /// A decoder that admits frames of up to `limit` bytes. It allocates nothing yet.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self::of(Wire::Native, limit)
    }

    /// The same for what comes on `wire`. On a foreign one each message is a frame of the kind [`FrameKind::Data`].
    #[must_use]
    pub fn of(wire: Wire, limit: u32) -> Self {
        Self::lent_by(Arc::default(), wire, limit)
    }

    /// The same, with large buffers from `pool`.
    pub(crate) fn lent_by(pool: Arc<Pool>, wire: Wire, limit: u32) -> Self {
        let (window, body) = (Window::new(pool.clone()), Body::default());
        let (lender, reading) = (Lender::new(pool), Reading::Window);
        Self { wire, window, body, limit, reading, expected: 0, searched: 0, lender }
    }

    /// What it reads.
    #[inline]
    pub(crate) fn wire(&self) -> Wire {
        self.wire
    }

    /// Memory for large frames is a part of a user's share.
    pub(crate) fn charge_to(&mut self, account: Option<Slot>) {
        self.lender.charge_to(account);
    }

    /// Admits frames of up to `limit` bytes from now on.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// The largest frame admitted, in bytes.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether bytes have come that were not yet taken as a frame.
    #[must_use]
    #[inline]
    pub fn has_buffered(&self) -> bool {
        !self.window.is_empty() || self.body.is_under_way()
    }

    /// The next whole frame, if it is there. It is taken: the next call gives the one after it.
    ///
    /// # Errors
    /// The bytes are no frame, or one over the limit. Nothing more can be made of the stream.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame>, &'static str> {
        if self.wire.is_foreign() { self.next_foreign() } else { self.next_native() }
    }

    /// The same on the native wire.
    #[inline]
    pub(crate) fn next_native(&mut self) -> Result<Option<Frame>, &'static str> {
        if self.body.is_under_way() {
            return self.next_apart();
        }
        let Some((kind, length)) = self.window.peek(self.limit)? else { return Ok(None) };
        let taken = self.window.take(length);
        if length >= APART {
            if taken.is_none() {
                self.begin(kind, length);
            }
            self.expect(length);
        }
        Ok(taken.map(|range| Frame::in_window(kind, range)))
    }

    /// The one that has memory of its own, once it is whole.
    #[inline]
    pub(super) fn next_apart(&mut self) -> Result<Option<Frame>, &'static str> {
        if self.body.over_share {
            return Err(OVER_SHARE);
        }
        Ok(self.body.take().map(|(kind, end)| Frame::apart(kind, end)))
    }

    /// The bytes of a frame that was just taken.
    #[must_use]
    #[inline]
    pub fn bytes(&self, frame: &Frame) -> &[u8] {
        let bytes = if frame.in_window { &*self.window.bytes } else { &self.body.bytes };
        bytes.get(frame.start..frame.end).unwrap_or_default()
    }

    /// Puts the bytes of a frame that was just taken in the place of what is in `into`: a large frame's memory is
    /// handed over, and that of `into` goes to the pool.
    #[inline]
    pub(crate) fn deliver(&mut self, frame: &Frame, into: &mut Vec<u8>) {
        // Where the size was not known before, its memory is larger than it is, and better kept.
        if frame.in_window || matches!(self.wire, Wire::Delimited(_)) {
            into.clear();
            into.extend_from_slice(self.bytes(frame));
        } else {
            self.body.hand_over(into, &mut self.lender);
        }
    }

    /// Rooms for more bytes. Call it only when no whole frame is there.
    #[inline]
    pub fn rooms(&mut self) -> Rooms<'_> {
        if self.wire.is_foreign() {
            return self.foreign_rooms();
        }
        let Self { window, body, reading, expected, lender, .. } = self;
        if *expected == 0 && body.is_idle() {
            *reading = Reading::Window;
            return Rooms::one(window.room());
        }
        body.end_lending();
        if body.is_under_way() {
            let (missing, whole) = body.room(lender);
            *reading = Reading::Body(missing.len());
            return if whole { Rooms::two(missing, window.small_room()) } else { Rooms::one(missing) };
        }
        if *expected > 0 && window.is_empty() && body.make_ready(*expected, lender) {
            *reading = Reading::Expected;
            let (header, after) = window.small_room().split_at_mut(HEADER);
            return Rooms::three(header, &mut body.bytes[..*expected], after);
        }
        *reading = Reading::Window;
        Rooms::one(window.room())
    }

    /// Says that `count` bytes were written to the rooms, in order.
    #[inline]
    pub fn filled(&mut self, count: usize) {
        match self.reading {
            Reading::Window | Reading::Once(_) => self.window.filled(count),
            Reading::Body(missing) => {
                self.body.have += count.min(missing);
                self.window.set(0, count.saturating_sub(missing));
            }
            Reading::Expected => self.filled_expected(count),
        }
    }

    /// Whether the last read is known to have filled less than its room.
    pub(crate) fn has_room_left(&self) -> bool {
        match self.reading {
            Reading::Window => self.window.has_room_left(),
            Reading::Once(size) => self.window.has_less_than(size),
            Reading::Body(_) | Reading::Expected => false,
        }
    }

    /// Gives back all memory that holds nothing unread, but for a kilobyte. What was lent is not looked at any more.
    pub(crate) fn rest(&mut self) {
        self.body.end_lending();
        self.window.rest();
        self.body.rest(&mut self.lender);
    }

    /// Moves what has come of a large frame to memory of its own.
    #[cold]
    fn begin(&mut self, kind: FrameKind, length: usize) {
        let beginning = self.window.take_beginning();
        self.body.begin(kind, length, beginning, self.expected, &mut self.lender);
        // Nothing else was there: no need to have two large rooms for one frame.
        self.window.rest();
    }

    #[cold]
    fn expect(&mut self, length: usize) {
        self.expected = if length <= MOST_EXPECTED { length } else { 0 };
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn memory(&self) -> usize {
        self.window.bytes.len() + self.body.bytes.len()
    }

    fn filled_expected(&mut self, count: usize) {
        let Some(behind) = count.checked_sub(HEADER) else { return self.window.set(0, count) };
        let body = behind.min(self.expected);
        let header = self.window.bytes.first_chunk::<HEADER>().map(|header| parse_header(*header));
        match header {
            Some(Ok((kind, length))) if usize::try_from(length) == Ok(self.expected) => {
                self.body.begun(kind, self.expected, body);
                self.window.set(HEADER, HEADER + behind - body);
            }
            _ => {
                self.window.insert(HEADER, &self.body.bytes[..body], behind - body);
                self.expected = 0;
            }
        }
    }
}

impl<'a> Rooms<'a> {
    #[inline]
    pub(super) fn one(room: &'a mut [u8]) -> Self {
        Self { all: [room, &mut [], &mut []].map(IoSliceMut::new), count: 1 }
    }

    #[inline]
    pub(super) fn two(first: &'a mut [u8], second: &'a mut [u8]) -> Self {
        Self { all: [first, second, &mut []].map(IoSliceMut::new), count: 2 }
    }

    #[inline]
    fn three(first: &'a mut [u8], second: &'a mut [u8], third: &'a mut [u8]) -> Self {
        Self { all: [first, second, third].map(IoSliceMut::new), count: 3 }
    }

    /// As readv(2) takes them.
    #[inline]
    pub fn slices(&mut self) -> &mut [IoSliceMut<'a>] {
        &mut self.all[..self.count]
    }
}
