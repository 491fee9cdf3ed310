//! The 64-byte records of the FIFO rendezvous: magic 0-7, pid 8-11, id 12-27, nonce 28-43, CRC-32 in 60-63.

use transport_fifo::record::Knock;

/// The size of a record, in bytes.
pub const SIZE: usize = 64;

/// The record that these 64 bytes are, if they are one.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Knock> {
    let sum = u32::from_le_bytes([bytes[60], bytes[61], bytes[62], bytes[63]]);
    if &bytes[..8] != b"hobnobF1" || crc32(&bytes[..60]) != sum {
        return None;
    }
    let pid = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    Some(Knock { pid, id: sixteen(&bytes[12..28]), nonce: sixteen(&bytes[28..44]) })
}

/// Where records begin, and how many bytes are in none, as far as can be told yet. Records may overlap: whoever may
/// write can make the beginning of one that the next honest record happens to complete.
#[must_use]
pub fn find(stream: &[u8]) -> (Vec<(usize, Knock)>, usize) {
    let (mut found, mut garbage, mut covered) = (Vec::new(), 0, 0);
    for (at, window) in stream.windows(SIZE).enumerate() {
        if let Some(knock) = decode(window) {
            found.push((at, knock));
            covered = at + SIZE;
        } else if at >= covered {
            garbage += 1;
        }
    }
    (found, garbage)
}

/// The first `length` bytes of a record that `after`, whatever it is, completes. The four bytes in front of `after`,
/// or of the sum, are chosen so that the sum is right.
#[must_use]
pub fn forge(knock: &Knock, length: usize, after: &[u8]) -> Vec<u8> {
    let length = length.clamp(16, 60);
    let mut whole = knock.encode();
    let from_after = (SIZE - length).min(after.len());
    whole[length..length + from_after].copy_from_slice(&after[..from_after]);
    let wanted = u32::from_le_bytes([whole[60], whole[61], whole[62], whole[63]]);
    let free = length - 4;
    let before = !crc32(&whole[..free]);
    // Backwards from the sum to the state behind the free bytes, and on through them from a state of zeros.
    let behind = whole[length..60].iter().rev().fold(!wanted, |state, byte| back(state) ^ u32::from(*byte));
    let start = (0..4).fold(behind, |state, _| back(state));
    whole[free..length].copy_from_slice(&(start ^ before).to_le_bytes());
    whole[..length].to_vec()
}

/// The state before a byte of zeros that led to this one.
fn back(state: u32) -> u32 {
    (0..8).fold(state, |state, _| if state >> 31 == 1 { (state ^ 0xEDB8_8320) << 1 | 1 } else { state << 1 })
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 };
        }
    }
    !sum
}

fn sixteen(bytes: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(bytes);
    out
}
