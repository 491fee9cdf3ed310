//! How a wait spends its time: asleep, or trying again for a while first.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use nix::unistd::{SysconfVar, sysconf};

/// What a half does while there is nothing to receive, or no room to send.
///
/// Waking a process that sleeps takes the kernel tens of microseconds when another CPU has to be woken for it.
/// Trying again takes a fraction of one, but keeps a CPU busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitStrategy {
    /// Sleeps at once. Nothing is burnt; a message to a sleeper on another CPU takes as long as waking it.
    Sleep,
    /// Tries again for at most [`BURST`](Self::BURST) before it sleeps, and only while that has been paying: after
    /// bursts in vain it sleeps at once, and tries a burst ever more rarely, down to one in 4,096 waits. So
    /// it learns when both processes share a CPU, when the machine is busy, and when the other side is slow.
    #[default]
    Adaptive,
    /// Tries again until it is done, whatever it burns. For a machine with CPUs to spare.
    Spin,
}

impl WaitStrategy {
    /// The longest time that [`Adaptive`](Self::Adaptive) tries again before it sleeps: more than it takes to
    /// wake the other side, so that two halves that both slept find back to each other.
    pub const BURST: Duration = Duration::from_micros(50);
}

/// What one half has learned about its waits.
#[derive(Clone, Debug)]
pub(crate) struct Spinner {
    strategy: WaitStrategy,
    /// How far bursts have been paying; with none left they are only probed.
    credit: u8,
    /// So many waits sleep before the next probe, and so many after a probe in vain.
    skip: u16,
    pause: u16,
}

const MOST_CREDIT: u8 = 8;
/// A new half does not try at once: many live for one exchange only.
const FIRST_PAUSE: u16 = 8;
const LONGEST_PAUSE: u16 = 4096;
/// The clock is read once in so many tries: a read of it costs a tenth of a try.
const TRIES: u32 = 8;

impl Spinner {
    pub(crate) fn new(strategy: WaitStrategy) -> Self {
        Self { strategy, credit: 0, skip: FIRST_PAUSE, pause: FIRST_PAUSE }
    }

    /// Whether the wait that may come now begins with trying again.
    #[inline]
    pub(crate) fn turn(&mut self) -> Turn {
        match self.strategy {
            WaitStrategy::Sleep => Turn::Over,
            WaitStrategy::Spin => Turn::Endless,
            WaitStrategy::Adaptive if self.credit > 0 => Turn::NotYet,
            WaitStrategy::Adaptive if self.skip > 0 => {
                self.skip -= 1;
                Turn::Over
            }
            WaitStrategy::Adaptive => Turn::NotYet,
        }
    }

    /// What was waited for came during a burst.
    pub(crate) fn paid(&mut self) {
        (self.credit, self.pause) = ((self.credit + 1).min(MOST_CREDIT), FIRST_PAUSE);
    }

    fn in_vain(&mut self) {
        self.credit = self.credit.saturating_sub(2);
        if self.credit == 0 {
            self.skip = self.pause;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// The trying again of one wait.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Nothing has had to be waited for.
    NotYet,
    Burst(Burst),
    Endless,
    /// Now it may sleep.
    Over,
}

/// Some time of trying again, begun when the first try failed.
#[derive(Debug)]
pub(crate) struct Burst {
    began: Instant,
    tries: u32,
    _place: Place,
}

impl Turn {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// A try has failed: whether to try again now, instead of sleeping.
    pub(crate) fn goes_on(&mut self, spinner: &mut Spinner) -> bool {
        match self {
            Self::Endless => true,
            Self::Over => false,
            Self::NotYet => {
                *self = Place::take().map_or(Self::Over, |place| {
                    Self::Burst(Burst { began: Instant::now(), tries: 0, _place: place })
                });
                !self.is_over()
            }
            Self::Burst(burst) => {
                burst.tries += 1;
                if burst.tries.is_multiple_of(TRIES) && burst.began.elapsed() >= WaitStrategy::BURST {
                    spinner.in_vain();
                    *self = Self::Over;
                }
                !self.is_over()
            }
        }
    }

    /// Whether the clock is worth a look at this try.
    pub(crate) fn looks_at_clock(&self) -> bool {
        match self {
            Self::Burst(burst) => burst.tries.is_multiple_of(TRIES),
            _ => true,
        }
    }
}

/// A CPU's worth of trying again. A process takes no more of them than there are CPUs, and none on a single one.
#[derive(Debug)]
struct Place;

static TAKEN: AtomicUsize = AtomicUsize::new(0);

impl Place {
    fn take() -> Option<Self> {
        if TAKEN.fetch_add(1, Relaxed) < places() {
            return Some(Self);
        }
        TAKEN.fetch_sub(1, Relaxed);
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Relaxed);
    }
}

/// CPUs online, not those this thread is bound to: the other side may well be bound to another one.
fn places() -> usize {
    static ONLINE: OnceLock<usize> = OnceLock::new();
    *ONLINE.get_or_init(|| {
        let online = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
        match online.and_then(|count| usize::try_from(count).ok()) {
            Some(0 | 1) | None => 0,
            Some(count) => count,
        }
    })
}
