//! The bytes of one large frame, apart from all others, so that they can be handed over without a copy.

use super::{FrameKind, window::LARGE};
use crate::pool::Lender;

/// The first room for a frame of which only the header has come.
const LITTLE: usize = 4 * 1024;

#[derive(Debug)]
pub(super) struct Body {
    /// All of it is initialised; the first `have` bytes have come.
    pub(super) bytes: Vec<u8>,
    pub(super) have: usize,
    want: usize,
    /// So many of `bytes` may be filled: they are a part of its sender's share. A buffer that is lent may have more.
    admitted: usize,
    kind: FrameKind,
    stage: Stage,
    /// It has grown beyond what its sender's user may have here.
    pub(super) over_share: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    UnderWay,
    /// Whole, and lent until the next read.
    Lent,
}

impl Default for Body {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            have: 0,
            want: 0,
            admitted: 0,
            kind: FrameKind::Data,
            stage: Stage::Idle,
            over_share: false,
        }
    }
}

impl Body {
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }

    #[inline]
    pub(super) fn is_under_way(&self) -> bool {
        self.stage == Stage::UnderWay
    }

    /// A frame of `length` bytes begins; `beginning` is what has come of it, and `before` the size of the frame
    /// before it, for which there was memory too.
    pub(super) fn begin(
        &mut self,
        kind: FrameKind,
        length: usize,
        beginning: &[u8],
        before: usize,
        lender: &mut Lender,
    ) {
        self.begun(kind, length, 0);
        // A header that nothing has followed may be all that ever comes.
        let least = if beginning.is_empty() { LITTLE } else { LARGE };
        self.have_room(before.max(beginning.len() + 1).max(least), lender);
        self.bytes[..beginning.len()].copy_from_slice(beginning);
        self.have = beginning.len();
    }

    /// A frame of `length` bytes has begun, of which `have` are here already.
    pub(super) fn begun(&mut self, kind: FrameKind, length: usize, have: usize) {
        (self.kind, self.want, self.have, self.stage) = (kind, length, have, Stage::UnderWay);
    }

    /// Room for what is missing, and whether it is room for all of that. It grows as bytes have *arrived*: to at
    /// most twice that, or 64 KiB, whatever the header says is to come.
    pub(super) fn room(&mut self, lender: &mut Lender) -> (&mut [u8], bool) {
        if self.have == self.admitted {
            self.have_room(LARGE.max(2 * self.have), lender);
        }
        let end = self.want.min(self.admitted);
        (&mut self.bytes[self.have..end], end == self.want)
    }

    /// Makes room for a frame of `length` bytes that is only expected. False: there shall be none.
    pub(super) fn make_ready(&mut self, length: usize, lender: &mut Lender) -> bool {
        if self.admitted < length {
            if !lender.admits(length) {
                return false;
            }
            self.admitted = length;
        }
        if self.bytes.len() < length {
            lender.exchange(std::mem::replace(&mut self.bytes, lender.lend(length)));
        }
        true
    }

    /// The frame's kind and size, once all of it is there; its bytes are lent from now on.
    pub(super) fn take(&mut self) -> Option<(FrameKind, usize)> {
        if self.have < self.want {
            return None;
        }
        self.stage = Stage::Lent;
        Some((self.kind, self.want))
    }

    /// What has come.
    pub(super) fn come(&self) -> &[u8] {
        &self.bytes[..self.have]
    }

    /// It ends after `length` bytes, which have come; they are lent from now on. What follows is another's.
    pub(super) fn end_at(&mut self, length: usize) {
        (self.want, self.stage) = (length, Stage::Lent);
    }

    /// Gives the lent bytes away; the memory that they take the place of goes to the pool.
    pub(super) fn hand_over(&mut self, into: &mut Vec<u8>, lender: &mut Lender) {
        self.bytes.truncate(self.want);
        lender.take_back(std::mem::replace(into, std::mem::take(&mut self.bytes)));
        self.admitted = 0;
        self.end_lending();
    }

    /// The lent bytes are not looked at any more.
    #[inline]
    pub(super) fn end_lending(&mut self) {
        if self.stage == Stage::Lent {
            (self.stage, self.want, self.have) = (Stage::Idle, 0, 0);
        }
    }

    pub(super) fn rest(&mut self, lender: &mut Lender) {
        if self.stage == Stage::Idle && !self.bytes.is_empty() {
            lender.take_back(std::mem::take(&mut self.bytes));
            self.admitted = 0;
        }
    }

    /// Makes room for `size` bytes in all, but not for more than the frame has.
    fn have_room(&mut self, size: usize, lender: &mut Lender) {
        let size = size.min(self.want);
        if self.bytes.len() < size {
            let mut larger = lender.lend(size);
            larger[..self.have].copy_from_slice(&self.bytes[..self.have]);
            lender.exchange(std::mem::replace(&mut self.bytes, larger));
        }
        if self.admitted < size {
            self.admit(size, lender);
        }
    }

    /// All of what was lent, if that is within the share: then it is filled by one read.
    fn admit(&mut self, least: usize, lender: &mut Lender) {
        let most = self.want.min(self.bytes.len());
        let all = lender.admits(most);
        self.over_share |= !all && !lender.admits(least);
        self.admitted = if all { most } else { least };
    }
}
