//! How a stream of bytes comes: of which sizes, and in which pieces.

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use ipc_core::frame::Decoder;

/// Around the sizes at which the decoder does something else, and any.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Size {
    Small(u8),
    Any(u16),
    NearSixteenKiB(i8),
    NearSixtyFourKiB(i8),
    NearMiB(i8),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Cut {
    Few(u8),
    Some(u16),
    /// As much as there is room for.
    All,
    /// Before a wait.
    Rest,
}

impl Size {
    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Small(size) => size.into(),
            Self::Any(size) => size.into(),
            Self::NearSixteenKiB(by) => (16usize << 10).saturating_add_signed(by.into()),
            Self::NearSixtyFourKiB(by) => (64usize << 10).saturating_add_signed(by.into()),
            Self::NearMiB(by) => (1usize << 20).saturating_add_signed(by.into()),
        }
    }
}

impl Cut {
    /// How much comes at most; nothing before a wait.
    #[must_use]
    pub fn most(self) -> usize {
        match self {
            Self::Few(most) => most.into(),
            Self::Some(most) => most.into(),
            Self::All => usize::MAX,
            Self::Rest => 0,
        }
    }
}

/// More than this would only be slow.
pub const LONGEST: usize = 4 << 20;
/// After so many reads everything comes at once.
pub const MOST_CUTS: usize = 2000;

const SHIFTS: usize = 10_007;

/// Bytes that betray a shift, a swap or a loss.
static PATTERN: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..(1 << 20) + 128 + SHIFTS).map(|i| ((i * 7) ^ (i >> 8)) as u8).collect());

/// So many bytes of the pattern, others at each place of a stream.
#[must_use]
pub fn pattern(at: usize, size: usize) -> &'static [u8] {
    let shift = at % SHIFTS;
    &PATTERN[shift..shift + size]
}

/// As readv(2) would.
pub fn read(decoder: &mut Decoder, mut bytes: &[u8], most: usize) -> usize {
    let mut rooms = decoder.rooms();
    assert!(!rooms.slices()[0].is_empty(), "a room that is empty looks like the end");
    let mut count = 0;
    for room in rooms.slices() {
        let size = room.len().min(bytes.len()).min(most - count);
        room[..size].copy_from_slice(&bytes[..size]);
        (bytes, count) = (&bytes[size..], count + size);
    }
    decoder.filled(count);
    count
}
