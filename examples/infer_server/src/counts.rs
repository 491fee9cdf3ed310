//! What is told in the log at the end.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// How many requests came to what.
#[derive(Default)]
pub struct Counts {
    pub answered: Count,
    pub refused: Count,
    /// Their senders are gone, have no address or do not read.
    pub undeliverable: Count,
}

/// Counted by many threads.
#[derive(Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn one_more(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [answered, refused, lost] =
            [&self.answered, &self.refused, &self.undeliverable].map(|count| count.0.load(Relaxed));
        write!(f, "{answered} answered, {refused} refused, {lost} of these could not be delivered")
    }
}
