//! What the faults did, written down: to explain a failure, and to see that the same seed does the same.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::Fault;

/// Which end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The one that connected.
    Client,
    /// The one that accepted.
    Server,
}

/// Which part of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The listener; it is no part of a connection and has the number 0.
    Listener,
    /// The road being made.
    Handshake,
    /// The half that sends.
    Tx,
    /// The half that receives.
    Rx,
}

/// Where something happened. These are ordered as a trace lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// Which end.
    pub side: Side,
    /// Which connection of this end, from 0.
    pub number: u64,
    /// Which part of it.
    pub part: Part,
}

/// A fault that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Where.
    pub spot: Spot,
    /// In which call there, from 1.
    pub call: u64,
    /// What.
    pub fault: Fault,
    /// The most bytes that the call could move, if that is less than it was asked to; for a death, how many this
    /// half had moved in all.
    pub bytes: u64,
}

/// A record of the faults that came. Clones write into the same one.
///
/// It lists each half by itself, since two halves may run in two threads. Two traces are equal if every half met
/// the same faults.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<Vec<Happening>>>);

impl Trace {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what happened; for the wrapper.
    pub fn add(&self, happening: Happening) {
        self.lock().push(happening);
    }

    /// What happened: half by half, in the order in which each met it.
    #[must_use]
    pub fn happenings(&self) -> Vec<Happening> {
        let mut all = self.lock().clone();
        all.sort_by_key(|happening| (happening.spot, happening.call));
        all
    }

    /// How often this came.
    #[must_use]
    pub fn count(&self, fault: Fault) -> usize {
        self.lock().iter().filter(|happening| happening.fault == fault).count()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Happening>> {
        // A panic elsewhere cannot have left the list half-made.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for Trace {
    fn eq(&self, other: &Self) -> bool {
        self.happenings() == other.happenings()
    }
}

impl Eq for Trace {}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace of {} faults", self.lock().len())
    }
}

impl fmt::Display for Trace {
    /// A line for each fault.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.happenings().iter().try_for_each(|happening| writeln!(f, "{happening}"))
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spot { side, number, part } = self.spot;
        write!(f, "{side:?} {number}, {part:?}, call {}: {:?}", self.call, self.fault)?;
        match self.fault {
            Fault::Short | Fault::OneByte => write!(f, ", at most {} bytes", self.bytes),
            Fault::Death => write!(f, " after {} bytes", self.bytes),
            _ => Ok(()),
        }
    }
}
