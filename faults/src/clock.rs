//! A clock that a test sets, for the seam that hobnob reads its clocks through.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant, SystemTime},
};

use hobnob::Seams;

/// The real clocks, and by how many seconds they are off.
#[derive(Default)]
pub struct SetClock {
    wall: AtomicI64,
    next: Mutex<VecDeque<i64>>,
    monotonic: AtomicU64,
}

impl SetClock {
    /// The wall clock is off by so many seconds from now on.
    pub fn set(&self, seconds: i64) {
        self.wall.store(seconds, SeqCst);
    }

    /// It is off by these at the next looks, one after the other, and then as it was set.
    pub fn set_for_looks(&self, seconds: &[i64]) {
        self.next.lock().unwrap().extend(seconds);
    }

    /// So much time has passed that nobody noticed, as on a machine that slept. The wall clock is not asked.
    pub fn pass(&self, seconds: u64) {
        self.monotonic.fetch_add(seconds, SeqCst);
    }

    #[must_use]
    pub fn seams(self: &Arc<Self>) -> Seams {
        Seams::default().with_clock(self.clone())
    }
}

impl ipc_core::Clock for SetClock {
    fn now(&self) -> Instant {
        Instant::now() + Duration::from_secs(self.monotonic.load(SeqCst))
    }

    fn wall(&self) -> SystemTime {
        let off = self.next.lock().unwrap().pop_front().unwrap_or_else(|| self.wall.load(SeqCst));
        let span = Duration::from_secs(off.unsigned_abs());
        if off < 0 { SystemTime::now() - span } else { SystemTime::now() + span }
    }
}
