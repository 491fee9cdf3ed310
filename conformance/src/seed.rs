//! What the faults are drawn from, where the suite runs over `Faulty`. Other transports do not look at it.

use std::{
    env,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

pub(crate) const SEED: &str = "HOBNOB_SEED";

/// The seed of this run: `HOBNOB_SEED`, or another one each time.
///
/// # Panics
/// `HOBNOB_SEED` is no number.
#[must_use]
pub fn seed() -> u64 {
    static SEED_OF_RUN: OnceLock<u64> = OnceLock::new();
    *SEED_OF_RUN.get_or_init(|| match env::var(SEED) {
        Ok(text) => text.parse().expect("HOBNOB_SEED is a number"),
        Err(_) => {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| u64::from(time.subsec_nanos()))
        }
    })
}

/// Says the seed if the test fails in its thread.
pub(crate) struct TellSeed;

impl Drop for TellSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", seed_line());
        }
    }
}

/// How to meet the same faults again.
pub(crate) fn seed_line() -> String {
    format!("over a faulty transport: {SEED}={} brings the same faults", seed())
}
