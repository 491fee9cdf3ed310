//! A token bucket: how many failures are put up with in a row, and how many a second after that.

use std::time::{Duration, Instant};

/// Failures are paid for with tokens.
#[derive(Debug)]
pub(crate) struct Bucket {
    tokens: u32,
    /// When it had that many.
    at: Instant,
}

/// As many as it holds, and how long it takes for one to come.
const FULL: u32 = 1000;
const EACH: Duration = Duration::from_micros(20);

impl Bucket {
    pub(crate) fn new(now: Instant) -> Self {
        Self { tokens: FULL, at: now }
    }

    /// Pays for one failure. With nothing left, says when to go on: with a tenth of what it holds.
    pub(crate) fn pay(&mut self, now: Instant) -> Option<Instant> {
        let come = now.saturating_duration_since(self.at).as_nanos() / EACH.as_nanos();
        if come >= u128::from(FULL - self.tokens) {
            (self.tokens, self.at) = (FULL, now);
        } else {
            // Less than it holds, so it fits.
            let come = come as u32;
            self.tokens += come;
            self.at += EACH * come;
        }
        self.tokens = self.tokens.saturating_sub(1);
        (self.tokens == 0).then(|| now + EACH * (FULL / 10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_then_there_are_fifty_thousand_a_second() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        assert!((1..FULL).all(|_| bucket.pay(start).is_none()));
        let (mut now, mut paid) = (start, 0);
        while now < start + Duration::from_secs(1) {
            paid += 1;
            now = bucket.pay(now).unwrap_or(now);
        }
        assert!((49_000..=51_000).contains(&paid), "{paid}");
        let rested = now + EACH * FULL;
        assert!((1..FULL).all(|_| bucket.pay(rested).is_none()), "it is full again");
        assert!(bucket.pay(rested).is_some());
    }
}
