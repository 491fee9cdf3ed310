//! Messages of those who know no frames: what one read has brought, what a delimiter ends, or so many bytes. They come out
//! of the decoder as frames do, so that nobody else need know.

#[cfg(test)]
mod tests;

use super::{
    Decoder, Frame, FrameKind, Rooms,
    decoder::{APART, OVER_SHARE, Reading},
    window::LARGE,
};
use crate::{Wire, wire::find};

const OVER_LIMIT: &str = "message over the limit";

impl Decoder {
    #[inline(never)]
    pub(crate) fn next_foreign(&mut self) -> Result<Option<Frame>, &'static str> {
        match self.wire {
            // The native wire is read elsewhere.
            Wire::Raw | Wire::Native => Ok(self.next_read()),
            Wire::Delimited(delimiter) => self.next_delimited(delimiter),
            Wire::Fixed(size) => self.next_fixed(size.get()),
        }
    }

    fn next_read(&mut self) -> Option<Frame> {
        let size = self.window.unread().len();
        (size > 0).then(|| Frame::in_window(FrameKind::Data, self.window.cut(size, 0)))
    }

    fn next_delimited(&mut self, delimiter: u8) -> Result<Option<Frame>, &'static str> {
        if self.body.is_under_way() {
            return self.next_delimited_apart(delimiter);
        }
        let have = self.window.unread();
        let found = self.end_in(have, delimiter)?;
        let have = have.len();
        self.searched = if found.is_some() { 0 } else { have };
        if found.is_none() && have >= LARGE {
            // Where it ends is not known, but that it has one byte more than the limit at most, the delimiter.
            self.begin_apart(at_most(self.limit).saturating_add(1), 2 * have);
        }
        Ok(found.map(|length| Frame::in_window(FrameKind::Data, self.window.cut(length, 1))))
    }

    fn next_delimited_apart(&mut self, delimiter: u8) -> Result<Option<Frame>, &'static str> {
        if self.body.over_share {
            return Err(OVER_SHARE);
        }
        let found = self.end_in(self.body.come(), delimiter)?;
        let Some(length) = found else {
            self.searched = self.body.have;
            return Ok(None);
        };
        self.searched = 0;
        self.window.insert(0, &self.body.come()[length + 1..], 0);
        self.body.end_at(length);
        Ok(Some(Frame::apart(FrameKind::Data, length)))
    }

    /// Where the message ends that begins what has come, if that has come. Each byte is looked at once.
    fn end_in(&self, come: &[u8], delimiter: u8) -> Result<Option<usize>, &'static str> {
        let fresh = come.get(self.searched..).unwrap_or_default();
        let found = find(delimiter, fresh).map(|at| self.searched + at);
        if found.unwrap_or(come.len()) > at_most(self.limit) { Err(OVER_LIMIT) } else { Ok(found) }
    }

    fn next_fixed(&mut self, size: u32) -> Result<Option<Frame>, &'static str> {
        if self.body.is_under_way() {
            return self.next_apart();
        }
        if size > self.limit {
            return Err(OVER_LIMIT);
        }
        let (size, have) = (at_most(size), self.window.unread().len());
        if have >= size {
            return Ok(Some(Frame::in_window(FrameKind::Data, self.window.cut(size, 0))));
        }
        if have > 0 && size >= APART {
            self.begin_apart(size, 0);
        }
        Ok(None)
    }

    /// Moves what has come of a message to memory of its own.
    fn begin_apart(&mut self, length: usize, room: usize) {
        let beginning = self.window.take_all();
        self.body.begin(FrameKind::Data, length, beginning, room, &mut self.lender);
        self.window.rest();
    }

    #[inline(never)]
    pub(super) fn foreign_rooms(&mut self) -> Rooms<'_> {
        let Self { wire, window, body, reading, lender, limit, .. } = self;
        body.end_lending();
        if body.is_under_way() {
            let (missing, whole) = body.room(lender);
            if matches!(wire, Wire::Delimited(_)) {
                // What comes behind the delimiter is copied once more: not too much of it.
                let few = missing.len().min(LARGE);
                *reading = Reading::Body(few);
                return Rooms::one(&mut missing[..few]);
            }
            *reading = Reading::Body(missing.len());
            return if whole { Rooms::two(missing, window.small_room()) } else { Rooms::one(missing) };
        }
        if *wire == Wire::Raw {
            let size = at_most(*limit).clamp(1, LARGE);
            *reading = Reading::Once(size);
            return Rooms::one(window.room_of(size));
        }
        *reading = Reading::Window;
        Rooms::one(window.room())
    }
}

/// A size that a u32 has room for, here.
fn at_most(size: u32) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
