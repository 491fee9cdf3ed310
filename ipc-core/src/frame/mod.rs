//! Messages out of a stream of bytes, and frames into one. Pure: no descriptor, no clock.
//!
//! In the native framing every message is an 8-byte header and its bytes; `foreign` has the others.
//!
//! | bytes | meaning |
//! |---|---|
//! | 0-3 | length of what follows the header, u32 |
//! | 4 | [`FrameKind`] |
//! | 5 | flags; none is defined yet: 0 |
//! | 6-7 | 0 |
//!
//! Numbers are little-endian. A header that breaks these rules is a protocol violation, so that later versions
//! can give the reserved bytes a meaning only where both sides have agreed on it.

mod body;
mod decoder;
mod foreign;
#[cfg(test)]
mod tests;
mod window;

pub use decoder::{Decoder, Frame, Rooms};

/// The size of a header, in bytes.
pub const HEADER: usize = 8;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// A message.
    Data = 1,
    /// The sender will send no more.
    Goodbye = 2,
    /// Reserved: are you there?
    Ping = 3,
    /// Reserved: the answer to a ping.
    Pong = 4,
    /// Reserved: a descriptor or memory comes with this frame.
    Attach = 5,
    /// Reserved: what follows travels another way.
    Switch = 6,
    /// The client's first word.
    Hello = 7,
    /// The server's answer.
    Verdict = 8,
    /// The client's last word of the handshake.
    Ready = 9,
}

impl FrameKind {
    /// In the order of their numbers, from 1 on.
    const ALL: [Self; 9] = [
        Self::Data,
        Self::Goodbye,
        Self::Ping,
        Self::Pong,
        Self::Attach,
        Self::Switch,
        Self::Hello,
        Self::Verdict,
        Self::Ready,
    ];
}

/// The header of a frame with `length` bytes.
#[must_use]
#[inline]
pub fn header(kind: FrameKind, length: u32) -> [u8; HEADER] {
    let [a, b, c, d] = length.to_le_bytes();
    [a, b, c, d, kind as u8, 0, 0, 0]
}

/// A whole small frame, for the handshake.
#[must_use]
pub fn frame(kind: FrameKind, body: &[u8]) -> Vec<u8> {
    // Only handshake bodies come here: some 60 bytes.
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&header(kind, length)[..], body].concat()
}

/// What a header says.
///
/// # Errors
/// The header is not one: what is wrong with it.
#[inline]
pub fn parse_header(bytes: [u8; HEADER]) -> Result<(FrameKind, u32), &'static str> {
    let [a, b, c, d, kind, flags, zero @ ..] = bytes;
    let kind = FrameKind::ALL.get(usize::from(kind).wrapping_sub(1)).ok_or("unknown frame kind")?;
    if flags != 0 || zero != [0, 0] {
        return Err("reserved header bytes are not zero");
    }
    Ok((*kind, u32::from_le_bytes([a, b, c, d])))
}
