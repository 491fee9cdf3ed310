//! A stream of messages whose sizes and bytes both sides know by its seed. Nothing is made anew for a message, so that
//! a process spends its life in sending.

use crate::Dice;

/// The largest message, which is the default limit.
pub const LARGEST: usize = 16 << 20;

/// A prime, so that the bytes of a large message are not like those a round number before.
const PERIOD: usize = 65_521;

pub struct Stream {
    bytes: Vec<u8>,
    seed: u64,
    dice: Dice,
    most: usize,
}

impl Stream {
    /// Messages of 1 to `most` bytes, as many small as large ones.
    #[must_use]
    pub fn new(seed: u64, most: usize) -> Self {
        let (length, mut dice) = (most + PERIOD, Dice::of(0));
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < PERIOD {
            bytes.extend(dice.roll().to_le_bytes());
        }
        bytes.truncate(PERIOD);
        while bytes.len() < length {
            bytes.extend_from_within(..bytes.len().min(length - bytes.len()));
        }
        Self { bytes, seed, dice: Dice::of(seed), most }
    }

    /// From the first message again.
    pub fn rewind(&mut self) {
        self.dice = Dice::of(self.seed);
    }

    /// The next message: a piece from anywhere of bytes that were drawn once.
    pub fn next_message(&mut self) -> &[u8] {
        let size = size(&mut self.dice, self.most);
        let start = self.dice.roll() as usize % PERIOD;
        &self.bytes[start..start + size]
    }
}

/// A size of 1 to `most`: each power of two as often as any other.
pub fn size(dice: &mut Dice, most: usize) -> usize {
    let below = 1 << (dice.roll() % u64::from(most.ilog2() + 1));
    (below + dice.roll() as usize % below).min(most)
}
