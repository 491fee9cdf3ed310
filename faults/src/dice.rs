//! Random numbers that a run can be made to repeat: the instants of deaths, and who dies.

use std::{env, time::Duration};

/// A splitmix64 generator.
pub struct Dice(u64);

impl Dice {
    /// The seed is `HOBNOB_DICE`, or always the same. The seed brings the same numbers; how the processes
    /// interleave is not in it.
    #[must_use]
    pub fn of_run() -> Self {
        let seed = env::var("HOBNOB_DICE").map(|text| text.parse().expect("HOBNOB_DICE is a number"));
        Self(seed.unwrap_or(4))
    }

    /// The same numbers for the same `number`, others for each.
    #[must_use]
    pub fn of(number: u64) -> Self {
        Self(Self::of_run().0 ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    #[must_use]
    pub fn seed(&self) -> u64 {
        self.0
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// True once in so many.
    pub fn one_in(&mut self, many: u64) -> bool {
        self.roll().is_multiple_of(many)
    }

    /// A time below `most`, to the microsecond.
    pub fn below(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.roll() % most.as_micros() as u64)
    }
}
