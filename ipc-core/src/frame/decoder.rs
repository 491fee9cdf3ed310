//! Cuts a stream of bytes back into frames. Bytes go in by [`Decoder::room`] and [`Decoder::filled`]; frames come
//! out as ranges of the buffer, so that a message is delivered without a copy.

use std::ops::Range;

use super::{FrameKind, HEADER, parse_header};

/// Frames out of a stream of bytes, in memory bounded by what has arrived.
#[derive(Debug)]
pub struct Decoder {
    /// All of it is initialised; `start..end` is what came and was not yet taken.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    limit: u32,
    /// The last read filled its room: more is waiting, so a larger room saves system calls.
    overflowing: bool,
}

/// A whole frame: what it is, and where its bytes are until the next call of [`Decoder::room`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: FrameKind,
    /// Where its bytes are.
    pub range: Range<usize>,
}

/// First room: the handshake and small messages fit.
const SMALL: usize = 1024;
/// Second room, and the size from which on a message is read apart from its successor.
const LARGE: usize = 64 * 1024;

impl Decoder {
    /// A decoder that admits frames of up to `limit` bytes. It allocates nothing yet.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self { buffer: Vec::new(), start: 0, end: 0, limit, overflowing: false }
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
    pub fn has_buffered(&self) -> bool {
        self.start < self.end
    }

    /// The next whole frame, if it is there. It is taken: the next call gives the one after it.
    ///
    /// # Errors
    /// The bytes are no frame, or one over the limit. Nothing more can be made of the stream.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, &'static str> {
        let Some((kind, length)) = self.peek()? else { return Ok(None) };
        let body = self.start + HEADER;
        let Some(end) = body.checked_add(length).filter(|end| *end <= self.end) else { return Ok(None) };
        self.start = end;
        Ok(Some(Frame { kind, range: body..end }))
    }

    /// The bytes of a frame that was just taken.
    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.buffer.get(range).unwrap_or_default()
    }

    /// Room for more bytes, never empty. Call it only when no whole frame is there. It grows as bytes have
    /// *arrived*: to at most twice that, or 64 KiB, whatever a header says is to come.
    pub fn room(&mut self) -> &mut [u8] {
        self.make_room();
        let end = self.read_until();
        &mut self.buffer[self.end..end]
    }

    /// Says that `count` bytes were written to the start of the room.
    pub fn filled(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.buffer.len());
        self.overflowing = self.end == self.buffer.len();
    }

    fn peek(&self) -> Result<Option<(FrameKind, usize)>, &'static str> {
        let Some(header) = self.buffer[self.start..self.end].first_chunk::<HEADER>() else { return Ok(None) };
        let (kind, length) = parse_header(*header)?;
        if length > self.limit {
            return Err("frame over the limit");
        }
        Ok(Some((kind, usize::try_from(length).map_err(|_| "frame over this machine's memory")?)))
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let size = self.buffer.len();
        if self.end == size || (self.overflowing && size < LARGE) {
            let larger = match size {
                0..SMALL => SMALL,
                SMALL..LARGE => LARGE,
                _ => size.saturating_mul(2),
            };
            self.buffer.resize(larger, 0);
        }
    }

    /// A large message is read up to its end and the next header, so that what follows need not be moved.
    fn read_until(&self) -> usize {
        let whole = self.buffer.len();
        match self.peek() {
            Ok(Some((_, length))) if length >= LARGE => {
                whole.min(length.saturating_add(2 * HEADER)).max(self.end + 1)
            }
            _ => whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::header;

    /// Feeds `stream` in pieces of the given sizes and collects what comes out.
    fn decode(stream: &[u8], limit: u32, pieces: &[usize]) -> Result<Vec<Vec<u8>>, &'static str> {
        let mut decoder = Decoder::new(limit);
        let mut out = Vec::new();
        let (mut at, mut piece) = (0, 0);
        loop {
            while let Some(frame) = decoder.next_frame()? {
                out.push(decoder.bytes(frame.range).to_vec());
            }
            if at == stream.len() {
                return Ok(out);
            }
            let room = decoder.room();
            let n = room.len().min(stream.len() - at).min(pieces[piece % pieces.len()]);
            room[..n].copy_from_slice(&stream[at..at + n]);
            decoder.filled(n);
            (at, piece) = (at + n, piece + 1);
        }
    }

    fn encode(messages: &[Vec<u8>]) -> Vec<u8> {
        let one = |m: &Vec<u8>| [&header(FrameKind::Data, m.len() as u32)[..], m].concat();
        messages.iter().flat_map(one).collect()
    }

    proptest! {
        #[test]
        fn any_split_of_the_stream_gives_the_same_messages(
            sizes in prop::collection::vec(prop_oneof![0..40usize, 0..5_000usize, 60_000..200_000usize], 1..8),
            pieces in prop::collection::vec(prop_oneof![1..9usize, 1..100_000usize], 1..6),
        ) {
            prop_assume!(pieces.iter().any(|p| *p > 500) || sizes.iter().sum::<usize>() < 20_000);
            let messages: Vec<Vec<u8>> =
                sizes.iter().enumerate().map(|(i, n)| (0..*n).map(|b| (b * 7 + i) as u8).collect()).collect();
            prop_assert_eq!(decode(&encode(&messages), 1 << 20, &pieces).unwrap(), messages);
        }

        #[test]
        fn garbage_never_panics_and_never_delivers_more_than_it_has(
            garbage in prop::collection::vec(any::<u8>(), 0..300), piece in 1..50usize,
        ) {
            if let Ok(messages) = decode(&garbage, 100, &[piece]) {
                prop_assert!(messages.iter().map(Vec::len).sum::<usize>() <= garbage.len());
            }
        }
    }

    #[test]
    fn memory_follows_the_bytes_and_not_the_header() {
        let mut decoder = Decoder::new(u32::MAX);
        let lie = header(FrameKind::Data, u32::MAX);
        decoder.room()[..HEADER].copy_from_slice(&lie);
        decoder.filled(HEADER);
        let mut arrived = HEADER;
        while arrived < 1 << 20 {
            let before = decoder.buffer.len();
            assert!(before <= 2 * arrived + LARGE, "{before} bytes for {arrived} arrived");
            let n = decoder.room().len().min(1000);
            decoder.filled(n);
            arrived += n;
        }
    }

    #[test]
    fn the_limit_is_inclusive_and_checked_on_the_header_alone() {
        assert_eq!(decode(&encode(&[vec![0; 10]]), 10, &[3]).unwrap().len(), 1);
        assert_eq!(decode(&header(FrameKind::Data, 11), 10, &[8]), Err("frame over the limit"));
    }

    #[test]
    fn reserved_bytes_must_be_zero_and_kinds_known() {
        for (at, value) in [(4, 0), (4, 10), (5, 1), (6, 1), (7, 1)] {
            let mut bad = header(FrameKind::Data, 0);
            bad[at] = value;
            assert!(decode(&bad, 10, &[8]).is_err(), "byte {at} = {value}");
        }
    }

    #[test]
    fn a_large_message_does_not_drag_its_successor_along() {
        let stream = encode(&[vec![1; 200_000], vec![2; 200_000]]);
        let mut decoder = Decoder::new(1 << 20);
        let (mut at, mut over) = (0, 0);
        while decoder.next_frame().unwrap().is_none() {
            let room = decoder.room();
            let n = room.len().min(stream.len() - at);
            room[..n].copy_from_slice(&stream[at..at + n]);
            decoder.filled(n);
            at += n;
            over = at.saturating_sub(200_000 + HEADER);
        }
        assert!(over <= HEADER, "{over} bytes of the next message were read along");
    }
}
