//! Where tests reach in: the clock, named points at which a call can be made to fail or the process to die, and the
//! faults of the road.

use std::{
    fmt, io,
    sync::Arc,
    time::{Instant, SystemTime},
};

use crate::Faults;

/// The clock that deadlines and the client file's age are read from.
pub trait Clock: Send + Sync {
    /// The monotonic clock.
    fn now(&self) -> Instant;
    /// The wall clock; used for the age of files only.
    fn wall(&self) -> SystemTime;
}

/// Named points in the life of names and connections. A test may return an error there, or die.
pub trait Failpoints: Send + Sync {
    /// Called when the point is reached.
    ///
    /// # Errors
    /// What the test wants the step to fail with.
    fn reach(&self, point: &'static str) -> io::Result<()>;
}

/// The clock, the failpoints and the faults in use. The default is the real clock and neither of the others.
#[derive(Clone, Default)]
pub struct Seams(
    /// Every connection has seams, twice, and hardly any has more than the default.
    Option<Arc<Replaced>>,
);

#[derive(Clone, Default)]
struct Replaced {
    clock: Option<Arc<dyn Clock>>,
    failpoints: Option<Arc<dyn Failpoints>>,
    faults: Option<Faults>,
}

impl Seams {
    /// These seams with another clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        self.with(|replaced| replaced.clock = Some(clock))
    }

    /// These seams with failpoints.
    #[must_use]
    pub fn with_failpoints(self, failpoints: Arc<dyn Failpoints>) -> Self {
        self.with(|replaced| replaced.failpoints = Some(failpoints))
    }

    /// These seams with faults on the road; only the transport wrapper `Faulty` looks at them.
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        self.with(|replaced| replaced.faults = Some(faults))
    }

    fn with(mut self, replace: impl FnOnce(&mut Replaced)) -> Self {
        replace(Arc::make_mut(self.0.get_or_insert_default()));
        self
    }

    /// The faults on the road.
    #[must_use]
    pub fn faults(&self) -> Option<&Faults> {
        self.0.as_ref()?.faults.as_ref()
    }

    fn clock(&self) -> Option<&dyn Clock> {
        self.0.as_ref()?.clock.as_deref()
    }

    fn failpoints(&self) -> Option<&dyn Failpoints> {
        self.0.as_ref()?.failpoints.as_deref()
    }

    /// The monotonic clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.clock().map_or_else(Instant::now, Clock::now)
    }

    /// The wall clock.
    #[must_use]
    pub fn wall(&self) -> SystemTime {
        self.clock().map_or_else(SystemTime::now, Clock::wall)
    }

    /// Says that a named point is reached.
    ///
    /// # Errors
    /// What a test's failpoint returns; never without one.
    pub fn reach(&self, point: &'static str) -> io::Result<()> {
        self.failpoints().map_or(Ok(()), |failpoints| failpoints.reach(point))
    }
}

impl fmt::Debug for Seams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seams")
            .field("clock", &if self.clock().is_some() { "injected" } else { "real" })
            .field("failpoints", &self.failpoints().is_some())
            .field("faults", &self.faults())
            .finish()
    }
}
