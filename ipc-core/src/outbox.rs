//! What was accepted and has not left yet: whole frames, after the end of at most one that has begun to leave.

use std::sync::Arc;

use crate::{
    Wire,
    frame::{FrameKind, HEADER, header, parse_header},
    pool::{LITTLE, Memory, Pool},
};

#[derive(Debug)]
pub(crate) struct Outbox {
    /// `sent..end` has not left.
    bytes: Memory,
    sent: usize,
    end: usize,
    /// Up to here it is the end of a frame whose beginning is not here any more; and what that is.
    torn: usize,
    torn_kind: FrameKind,
    wire: Wire,
    /// Where each message ends, on the one wire where the bytes do not show it.
    ends: Vec<usize>,
}

/// More than this leaves without waiting for more to come.
pub(crate) const FULL: usize = 64 * 1024;
/// Marks of so many messages stay for the next ones.
const FEW: usize = 32;

impl Outbox {
    pub(crate) fn new(pool: Arc<Pool>, wire: Wire) -> Self {
        let (bytes, torn_kind) = (Memory::new(pool), FrameKind::Data);
        Self { bytes, sent: 0, end: 0, torn: 0, torn_kind, wire, ends: Vec::new() }
    }

    /// How what is put here becomes bytes.
    #[inline]
    pub(crate) fn wire(&self) -> Wire {
        self.wire
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// What has not left.
    #[inline]
    pub(crate) fn rest(&self) -> &[u8] {
        self.bytes.get(self.sent..self.end).unwrap_or_default()
    }

    /// Puts a frame behind the others, and says where it begins.
    #[inline]
    pub(crate) fn put(&mut self, kind: FrameKind, length: u32, body: &[u8]) -> usize {
        if self.wire.is_foreign() {
            return self.put_foreign(body);
        }
        self.make_room(HEADER + body.len());
        let begins = self.end;
        self.append(&header(kind, length));
        self.append(body);
        begins
    }

    /// The same where messages have no header; nothing but messages comes here then.
    #[inline(never)]
    fn put_foreign(&mut self, body: &[u8]) -> usize {
        let wire = self.wire;
        self.make_room(body.len() + wire.tail().len());
        let begins = self.end;
        self.append(body);
        self.append(wire.tail());
        self.mark_end();
        begins
    }

    /// Keeps the rest of a frame of which a part has left; nothing else is here.
    pub(crate) fn keep(&mut self, kind: FrameKind, [first, second]: [&[u8]; 2]) {
        self.make_room(first.len() + second.len());
        self.append(first);
        self.append(second);
        (self.torn, self.torn_kind) = (self.end, kind);
        self.mark_end();
    }

    fn mark_end(&mut self) {
        if self.wire == Wire::Raw {
            self.ends.push(self.end);
        }
    }

    /// Takes back the frame that begins there and is the last, unless a part of it has left.
    pub(crate) fn take_back(&mut self, begins: usize) -> bool {
        let whole = self.sent <= begins && begins < self.end;
        if whole {
            self.end = begins;
            self.ends.pop();
            self.went(0);
        }
        whole
    }

    /// Some more bytes have left.
    #[inline]
    pub(crate) fn went(&mut self, count: usize) {
        self.sent += count;
        if self.sent < self.end {
            return;
        }
        (self.sent, self.end, self.torn) = (0, 0, 0);
        self.bytes.rest();
        if !self.ends.is_empty() {
            self.forget_ends();
        }
    }

    /// Many marks are memory that an idle connection does not keep.
    fn forget_ends(&mut self) {
        self.ends.clear();
        self.ends.shrink_to(FEW);
    }

    /// Nothing of it will ever leave.
    pub(crate) fn clear(&mut self) {
        self.went(self.end - self.sent);
    }

    /// How many messages have not left whole.
    pub(crate) fn messages(&self) -> usize {
        match self.wire {
            Wire::Native => {
                self.frames().filter(|(kind, end)| *kind == FrameKind::Data && *end > self.sent).count()
            }
            Wire::Raw => self.ends.iter().filter(|end| **end > self.sent).count(),
            Wire::Delimited(delimiter) => self.rest().iter().filter(|byte| **byte == delimiter).count(),
            Wire::Fixed(size) => {
                self.rest().len().div_ceil(usize::try_from(size.get()).unwrap_or(usize::MAX))
            }
        }
    }

    /// What each frame is and where it ends.
    fn frames(&self) -> impl Iterator<Item = (FrameKind, usize)> {
        let torn = (self.torn > 0).then_some((self.torn_kind, self.torn));
        let first = torn.or_else(|| self.frame_at(0));
        std::iter::successors(first, |(_, end)| self.frame_at(*end))
    }

    fn frame_at(&self, begins: usize) -> Option<(FrameKind, usize)> {
        let head = self.bytes.get(begins..self.end)?.first_chunk()?;
        let (kind, length) = parse_header(*head).ok()?;
        Some((kind, begins + HEADER + usize::try_from(length).ok()?))
    }

    #[inline]
    fn append(&mut self, more: &[u8]) {
        let end = self.end + more.len();
        self.bytes[self.end..end].copy_from_slice(more);
        self.end = end;
    }

    #[inline]
    fn make_room(&mut self, more: usize) {
        if self.end + more > self.bytes.len() {
            self.grow(more);
        }
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        self.forget_sent();
        let size = self.end + more;
        if size > self.bytes.len() {
            // A full outbox has room for the small message that makes it leave. A queue beyond that grows twofold, so that
            // it is not copied for each message.
            let twofold = if self.bytes.len() > FULL { 2 * self.bytes.len() } else { FULL + LITTLE };
            self.bytes.grow(if size <= LITTLE { size } else { size.max(twofold) }, self.end);
        }
    }

    /// Moves what has not left to the front.
    fn forget_sent(&mut self) {
        if self.sent == 0 {
            return;
        }
        if self.wire.is_foreign() {
            self.ends.retain(|end| *end > self.sent);
            self.ends.iter_mut().for_each(|end| *end -= self.sent);
        } else {
            self.tear();
        }
        self.bytes.copy_within(self.sent..self.end, 0);
        self.end -= self.sent;
        self.sent = 0;
    }

    /// Before the bytes that have left are forgotten: what is the first of the rest, and whether it has begun.
    fn tear(&mut self) {
        let first = self.frames().find(|(_, end)| *end > self.sent);
        let has_begun = self.frames().all(|(_, end)| end != self.sent);
        if let Some((kind, end)) = first {
            (self.torn, self.torn_kind) = (if has_begun { end - self.sent } else { 0 }, kind);
        }
    }
}

#[cfg(test)]
mod foreign_tests;

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox() -> Outbox {
        Outbox::new(Arc::default(), Wire::Native)
    }

    fn put(outbox: &mut Outbox, body: &[u8]) -> usize {
        outbox.put(FrameKind::Data, u32::try_from(body.len()).unwrap(), body)
    }

    /// However the bytes leave, they are those that came, and the count of messages is right after each.
    #[test]
    fn every_way_of_leaving_keeps_order_and_count() {
        for step in [1, 3, 8, 9, 100, 5000, 70_000] {
            let (mut outbox, mut came, mut left, mut ends) = (outbox(), Vec::new(), Vec::new(), Vec::new());
            for size in (0..400).chain([3000, 40_000, 0, 70_000]) {
                let body: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
                put(&mut outbox, &body);
                came.extend_from_slice(&header(FrameKind::Data, size));
                came.extend_from_slice(&body);
                ends.push(came.len());
                let count = step.min(outbox.rest().len());
                left.extend_from_slice(&outbox.rest()[..count]);
                outbox.went(count);
                let missing = ends.iter().filter(|end| **end > left.len()).count();
                assert_eq!(outbox.messages(), missing, "{step} {size}");
            }
            left.extend_from_slice(outbox.rest());
            assert_eq!(left, came, "{step}");
        }
    }

    #[test]
    fn a_frame_is_taken_back_only_while_nothing_of_it_has_left() {
        let mut outbox = outbox();
        put(&mut outbox, b"first");
        let second = put(&mut outbox, b"second");
        outbox.went(HEADER + 5);
        assert!(outbox.take_back(second));
        assert!(outbox.is_empty());
        put(&mut outbox, b"first");
        let second = put(&mut outbox, b"second");
        outbox.went(HEADER + 5 + 1);
        assert!(!outbox.take_back(second));
        assert_eq!(outbox.messages(), 1);
    }

    #[test]
    fn the_rest_of_a_torn_frame_counts_by_its_kind() {
        for (kind, messages) in [(FrameKind::Data, 1), (FrameKind::Goodbye, 0)] {
            let mut outbox = outbox();
            outbox.keep(kind, [b"tail", b"of it"]);
            put(&mut outbox, b"next");
            assert_eq!(outbox.messages(), messages + 1);
            outbox.went(9);
            assert_eq!(outbox.messages(), 1);
        }
    }

    /// A queue of many small messages would be copied anew for each of them.
    #[test]
    fn a_queue_grows_in_few_steps() {
        let (mut outbox, mut sizes) = (outbox(), std::collections::BTreeSet::new());
        for _ in 0..10_000 {
            put(&mut outbox, &[7; 100]);
            sizes.insert(outbox.bytes.len());
        }
        assert!(sizes.len() < 20, "{} steps", sizes.len());
    }

    #[test]
    fn large_memory_is_given_back_once_everything_has_left() {
        let pool = Arc::<Pool>::default();
        let mut outbox = Outbox::new(pool.clone(), Wire::Native);
        put(&mut outbox, b"little");
        put(&mut outbox, &[7; 2000]);
        outbox.went(outbox.rest().len());
        assert!(outbox.bytes.len() <= LITTLE);
        assert_eq!(pool.lend(1).len(), FULL + LITTLE, "it is in the pool");
    }
}
