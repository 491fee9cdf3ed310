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
    fn paid(&mut self) {
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

    /// A try has succeeded, at least in part. What is still missing is another wait.
    pub(crate) fn went_on(&mut self, spinner: &mut Spinner) {
        if matches!(self, Self::Burst(_)) {
            spinner.paid();
            *self = Self::NotYet;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// One wait that is over after so many tries: whether it slept, and how long it tried.
    fn wait(spinner: &mut Spinner, ready_after: Option<u32>) -> (bool, u32) {
        let mut turn = spinner.turn();
        let mut tries = 0;
        loop {
            if ready_after == Some(tries) {
                turn.went_on(spinner);
                return (false, tries);
            }
            tries += 1;
            if !turn.goes_on(spinner) {
                return (true, tries);
            }
        }
    }

    #[test]
    fn sleep_sleeps_at_once() {
        let mut spinner = Spinner::new(WaitStrategy::Sleep);
        assert!((0..100).all(|_| wait(&mut spinner, None) == (true, 1)));
    }

    #[test]
    fn spin_does_not_sleep() {
        assert_eq!(wait(&mut Spinner::new(WaitStrategy::Spin), Some(1_000_000)), (false, 1_000_000));
    }

    #[test]
    fn adaptive_finds_out_that_trying_pays_and_keeps_at_it() {
        if places() == 0 {
            return println!("SKIPPED: adaptive_finds_out_that_trying_pays_and_keeps_at_it needs two CPUs");
        }
        let mut spinner = Spinner::new(WaitStrategy::Adaptive);
        let slept = (0..1000).filter(|_| wait(&mut spinner, Some(3)).0).count();
        assert_eq!(slept, usize::from(FIRST_PAUSE), "only until the first probe");
        // A few waits in vain do not shake it; many do.
        (0..2).for_each(|_| assert!(wait(&mut spinner, None).1 > 1));
        assert!(!wait(&mut spinner, Some(3)).0);
        (0..20).for_each(|_| assert!(wait(&mut spinner, None).0));
        assert!(wait(&mut spinner, Some(3)).0, "it has stopped trying");
    }

    #[test]
    fn adaptive_probes_ever_more_rarely_what_does_not_pay() {
        if places() == 0 {
            return println!("SKIPPED: adaptive_probes_ever_more_rarely_what_does_not_pay needs two CPUs");
        }
        let mut spinner = Spinner::new(WaitStrategy::Adaptive);
        let tried: Vec<_> = (0..22_000).filter(|_| wait(&mut spinner, None).1 > 1).collect();
        let gaps: Vec<_> = tried.windows(2).map(|pair| pair[1] - pair[0] - 1).collect();
        assert_eq!(tried[0], i32::from(FIRST_PAUSE));
        let doubling = [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 4096, 4096, 4096];
        assert_eq!(gaps, doubling[..gaps.len()]);
        assert!(gaps.len() > 10);
    }

    #[test]
    fn a_process_tries_on_no_more_cpus_than_there_are() {
        let taken: Vec<_> = std::iter::from_fn(Place::take).take(10_000).collect();
        // Other tests of this process may hold some.
        assert!(taken.len() <= places());
        drop(taken);
        assert!(TAKEN.load(Relaxed) <= places());
    }
}
