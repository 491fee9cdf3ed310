//! Framings as simple parsers over all the bytes that have come.

/// What begins with the first byte that has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A whole frame: its kind and its bytes.
    Frame(u8, &'a [u8]),
    /// Perhaps a frame, when more has come.
    Need,
    /// No frame, whatever comes.
    Bad,
}

/// One way to cut a stream into frames. A new one is a constant here, and a line in the target `decoder`.
pub struct Framing {
    /// The size of a header, in bytes.
    pub header: usize,
    /// A header, which may lie.
    pub encode: fn(kind: u8, length: u32, reserved: [u8; 3]) -> Vec<u8>,
    /// Parses; frames of more than so many bytes are bad.
    pub next: for<'a> fn(&'a [u8], limit: u32) -> Next<'a>,
}

/// u32 length, u8 kind from 1 to 9, three bytes that are 0; little-endian.
pub const NATIVE: Framing = Framing { header: 8, encode: native_header, next: native_next };

/// A whole frame in the native framing.
#[must_use]
pub fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    [&native_header(kind, body.len() as u32, [0; 3])[..], body].concat()
}

fn native_header(kind: u8, length: u32, reserved: [u8; 3]) -> Vec<u8> {
    [&length.to_le_bytes()[..], &[kind], &reserved].concat()
}

fn native_next(bytes: &[u8], limit: u32) -> Next<'_> {
    if bytes.len() < 8 {
        return Next::Need;
    }
    let length = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    if !(1..=9).contains(&bytes[4]) || bytes[5..8] != [0, 0, 0] || length > limit {
        return Next::Bad;
    }
    bytes[8..].get(..length as usize).map_or(Next::Need, |body| Next::Frame(bytes[4], body))
}
