//! Waiting for what another process is about to do, by looking at it.

use std::{
    fmt::Debug,
    thread,
    time::{Duration, Instant},
};

/// Far above what anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `look` gives `expected`; panics, and says what it gave last, if it never does.
pub fn settles<T: PartialEq + Debug>(what: &str, expected: &T, mut look: impl FnMut() -> T) {
    let end = Instant::now() + PATIENCE;
    loop {
        let found = look();
        if found == *expected {
            return;
        }
        assert!(Instant::now() < end, "{what}: {found:?} after {PATIENCE:?}, expected {expected:?}");
        thread::sleep(Duration::from_micros(100));
    }
}

/// Lets a victim live for so long, from now on. Asleep, this would be late by the kernel's slack, and the first
/// instants would never be met.
pub fn live_for(span: Duration) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        thread::yield_now();
    }
}
