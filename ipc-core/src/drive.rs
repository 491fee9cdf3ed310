//! The only place that waits. Whatever blocks in hobnob is an [`Operation`] driven from here.

use std::{io, os::fd::AsFd, time::Instant};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::{
    Config, Deadline, Error, ErrorKind, Interest, Interests, Result, Seams, StopHandle,
    strategy::{Spinner, Turn},
    watch::Watch,
};

/// What one try came to.
#[derive(Debug)]
pub enum Try<R> {
    /// It is done.
    Done(R),
    /// It went on, but is not done: try again at once. Between two tries the clock is looked at, so that a peer
    /// that sends byte by byte cannot hold a call past its deadline.
    Again,
    /// It would have to wait.
    NotNow,
}

/// Something that can be tried again until it is done. Progress lives in the operation.
pub trait Operation {
    /// What it comes to.
    type Output;

    /// One try. With `may_block` a transport may sleep in its own system call.
    ///
    /// # Errors
    /// It cannot be done at all.
    fn attempt(&mut self, may_block: bool) -> Result<Try<Self::Output>>;

    /// Called before anyone is told "not now"; see [`Wait::arm`](crate::Wait::arm).
    ///
    /// # Errors
    /// As there.
    fn arm(&mut self) -> io::Result<bool>;

    /// Adds every descriptor whose event means "try again".
    fn interests<'a>(&'a self, into: &mut Interests<'a>);

    /// When to try again even if no descriptor says so.
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// Whether it waits for the rest of something, rather than for something to begin.
    fn is_under_way(&self) -> bool {
        false
    }

    /// The peer is given up for this reason.
    fn fail(&mut self, why: ErrorKind) -> Error {
        why.into()
    }
}

/// What besides the operation itself ends a wait, by which clock, and how it spends its time.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub(crate) stop: Option<StopHandle>,
    pub(crate) seams: Seams,
    pub(crate) spinner: Spinner,
    pub(crate) watch: Watch,
}

impl Waiting {
    /// Nothing else, for now; the clock and the way to wait are the configuration's.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let (seams, spinner) = (config.seams.clone(), Spinner::new(config.wait));
        Self { stop: None, seams, spinner, watch: Watch::default() }
    }

    /// The handle that ends these waits; made when first asked for.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn stop_handle(&mut self) -> Result<StopHandle> {
        if self.stop.is_none() {
            self.stop = Some(StopHandle::new()?);
        }
        self.stop.clone().ok_or_else(|| ErrorKind::Closed.into())
    }

    /// Lets this handle end these waits.
    pub fn stop_with(&mut self, handle: &StopHandle) {
        self.stop = Some(handle.clone());
    }

    /// Whether a call that may wait can begin: after a stop it cannot, even if it would not have to wait.
    #[inline]
    pub(crate) fn begin(&self, deadline: Deadline) -> Result<()> {
        match &self.stop {
            Some(stop) if deadline != Deadline::Now => stop.ends_calls(),
            _ => Ok(()),
        }
    }

    /// Whether a system call may sleep for it: nothing else could end that sleep.
    #[inline]
    fn may_block(&self, deadline: Deadline) -> bool {
        deadline == Deadline::Forever && self.stop.is_none() && !self.watch.is_on()
    }

    /// What ends a wait besides what is waited for.
    #[inline]
    pub fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        if let Some(stop) = &self.stop {
            into.add(stop.as_fd(), Interest::Readable);
        }
        if let Some(witness) = &self.watch.witness {
            into.add(witness.as_fd(), Interest::Readable);
        }
    }

    /// The same waits, deaf to the handle: for goodbyes.
    pub(crate) fn unstoppable(&self) -> Self {
        Self { stop: None, ..self.clone() }
    }
}

/// Tries until it is done, the deadline passes or the handle is pulled: tries again while that pays, then sleeps.
/// The clock is read only once the first try has failed.
///
/// # Errors
/// The operation's own; `WouldBlock`, `TimedOut` or `Stopped`: it is not done, and nothing was lost.
#[inline]
pub fn drive<O: Operation>(op: &mut O, deadline: Deadline, waiting: &mut Waiting) -> Result<O::Output> {
    if deadline == Deadline::Now {
        return at_once(op, waiting);
    }
    waiting.begin(deadline)?;
    if deadline == Deadline::Polled {
        return polled(op, waiting);
    }
    let may_block = waiting.may_block(deadline);
    let turn = waiting.spinner.turn();
    // To sleep in the system call is to have given up trying again.
    match op.attempt(may_block && turn.is_over())? {
        Try::Done(done) => Ok(done),
        Try::Again => wait(op, deadline, waiting, turn, true),
        Try::NotNow => wait(op, deadline, waiting, turn, false),
    }
}

/// Goes on after a first try that went on, or did not.
fn wait<O: Operation>(
    op: &mut O,
    deadline: Deadline,
    waiting: &mut Waiting,
    mut turn: Turn,
    mut went_on: bool,
) -> Result<O::Output> {
    let may_block = waiting.may_block(deadline);
    let Waiting { stop, seams, spinner, watch } = waiting;
    let stop = stop.as_ref();
    let mut ends: Option<Option<Instant>> = None;
    let mut since = None;
    loop {
        let again = if went_on {
            stop.map_or(Ok(()), StopHandle::ends_calls)?;
            turn.went_on(spinner);
            true
        } else {
            stop.map_or(Ok(()), StopHandle::ends_waits)?;
            turn.goes_on(spinner)
        };
        let look = (deadline != Deadline::Forever || watch.is_on()) && (went_on || turn.looks_at_clock());
        if look || !again {
            let armed = !again && op.arm()?;
            let now = seams.now();
            let ends = *ends.get_or_insert_with(|| deadline.ends(now));
            if ends.is_some_and(|ends| ends <= now) {
                // Whoever is told so may wait on a descriptor of his own.
                let _ = !armed && op.arm()?;
                return Err(ErrorKind::TimedOut.into());
            }
            if watch.is_on() {
                since = op.is_under_way().then(|| since.filter(|_| !went_on).unwrap_or(now));
                if let Some(why) = watch.verdict(now, since) {
                    match op.attempt(false)? {
                        Try::Done(done) => return Ok(done),
                        Try::NotNow => return Err(op.fail(why)),
                        // What it sent before is still coming.
                        Try::Again => went_on = true,
                    }
                    continue;
                }
            }
            if armed {
                let until = ends.into_iter().chain(op.wake_at()).chain(watch.stalls_at(since)).min();
                park(op, stop, watch, until.map(|until| until.saturating_duration_since(now)))?;
            }
        }
        match op.attempt(may_block && turn.is_over())? {
            Try::Done(done) => {
                turn.went_on(spinner);
                return Ok(done);
            }
            tried => went_on = matches!(tried, Try::Again),
        }
    }
}

/// A call whose wait is somebody else's.
fn polled<O: Operation>(op: &mut O, waiting: &mut Waiting) -> Result<O::Output> {
    let tried = at_once(op, waiting);
    match (&tried, &waiting.stop) {
        (Err(error), Some(stop)) if *error.kind() == ErrorKind::WouldBlock => stop.ends_waits().and(tried),
        _ => tried,
    }
}

/// A call that must not wait.
#[inline]
fn at_once<O: Operation>(op: &mut O, waiting: &mut Waiting) -> Result<O::Output> {
    let Waiting { watch, seams, .. } = waiting;
    let (mut unarmed, mut went_on) = (0, false);
    loop {
        match op.attempt(false)? {
            Try::Done(done) => {
                watch.went_on();
                return Ok(done);
            }
            Try::Again => (unarmed, went_on) = (0, true),
            // Told "not now" while not armed, nobody would ring: only a peer that flickers brings it so far.
            Try::NotNow if op.arm()? || unarmed == MOST_UNARMED => break,
            Try::NotNow => unarmed += 1,
        }
    }
    if watch.is_on()
        && let Some(why) = watch.verdict_at_once(seams.now(), op.is_under_way(), went_on)
    {
        return match op.attempt(false)? {
            Try::Done(done) => Ok(done),
            Try::NotNow => Err(op.fail(why)),
            Try::Again => Err(ErrorKind::WouldBlock.into()),
        };
    }
    Err(ErrorKind::WouldBlock.into())
}

/// How often a call that must not wait looks again when something seems to be there after all.
const MOST_UNARMED: u32 = 100;

/// Sleeps until a descriptor has something to say or the time is over. A signal ends it early; that is harmless.
fn park<O: Operation>(
    op: &O,
    stop: Option<&StopHandle>,
    watch: &Watch,
    time: Option<std::time::Duration>,
) -> Result<()> {
    let mut interests = Interests::default();
    op.interests(&mut interests);
    if let Some(stop) = stop {
        interests.add(stop.as_fd(), Interest::Readable);
    }
    if let Some(witness) = &watch.witness {
        interests.add(witness.as_fd(), Interest::Readable);
    }
    // Rounded up to whole milliseconds: a deadline is never early.
    let timeout = time.map_or(PollTimeout::NONE, |time| {
        PollTimeout::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX)
    });
    match poll_all(&interests, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(Error::from(errno)),
    }
}

fn poll_all(interests: &Interests<'_>, timeout: PollTimeout) -> nix::Result<i32> {
    let mut all = interests.iter().map(|(fd, interest)| PollFd::new(fd, events(interest)));
    let few: [Option<PollFd<'_>>; crate::transport::FEW] = std::array::from_fn(|_| all.next());
    // The common sizes need no allocation.
    match few {
        [None, ..] => poll(&mut [], timeout),
        [Some(a), None, ..] => poll(&mut [a], timeout),
        [Some(a), Some(b), None, ..] => poll(&mut [a, b], timeout),
        [Some(a), Some(b), Some(c), None, ..] => poll(&mut [a, b, c], timeout),
        few => poll(&mut few.into_iter().flatten().chain(all).collect::<Vec<_>>(), timeout),
    }
}

fn events(interest: Interest) -> PollFlags {
    match interest {
        Interest::Readable => PollFlags::POLLIN,
        Interest::Writable => PollFlags::POLLOUT,
        // POLLHUP and POLLERR are always reported.
        Interest::Hangup => PollFlags::empty(),
    }
}

/// Repeats a system call that a signal interrupted; "not now" becomes `None`.
#[inline]
pub(crate) fn settle<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<Option<R>> {
    loop {
        match call() {
            Ok(done) => return Ok(Some(done)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::WaitStrategy;

    /// Done after so many tries of each wait; counts its tries, and how often it was about to sleep.
    struct Late {
        left: u32,
        tries: u32,
        armed: u32,
        /// Told when a wait is well under way.
        waits: Option<std::sync::mpsc::Sender<()>>,
    }

    impl Operation for Late {
        type Output = ();

        fn attempt(&mut self, _: bool) -> Result<Try<()>> {
            self.tries += 1;
            if self.tries == 100
                && let Some(waits) = self.waits.take()
            {
                waits.send(()).unwrap();
            }
            self.left = self.left.saturating_sub(1);
            Ok(if self.left == 0 { Try::Done(()) } else { Try::NotNow })
        }

        /// There is nothing to sleep for: it is to be tried again.
        fn arm(&mut self) -> io::Result<bool> {
            self.armed += 1;
            Ok(false)
        }

        fn interests<'a>(&'a self, _: &mut Interests<'a>) {}
    }

    fn waiting(wait: WaitStrategy) -> Waiting {
        Waiting::new(&Config { wait, ..Config::default() })
    }

    fn run(waiting: &mut Waiting, left: u32, deadline: Deadline) -> (Result<()>, Late) {
        let mut late = Late { left, tries: 0, armed: 0, waits: None };
        let result = drive(&mut late, deadline, waiting);
        (result, late)
    }

    #[test]
    fn adaptive_stops_going_to_sleep_once_trying_has_paid() {
        for (wait, most) in
            [(WaitStrategy::Sleep, 2000), (WaitStrategy::Adaptive, 100), (WaitStrategy::Spin, 0)]
        {
            let mut waiting = waiting(wait);
            let armed: u32 = (0..1000).map(|_| run(&mut waiting, 3, Deadline::Forever).1.armed).sum();
            let least = if wait == WaitStrategy::Sleep { 2000 } else { 0 };
            assert!((least..=most).contains(&armed), "{wait:?}: {armed} times");
        }
    }

    #[test]
    fn a_deadline_ends_every_way_of_waiting_and_not_early() {
        for wait in [WaitStrategy::Sleep, WaitStrategy::Adaptive, WaitStrategy::Spin] {
            let mut waiting = waiting(wait);
            for _ in 0..30 {
                let (began, span) = (Instant::now(), Duration::from_micros(300));
                let (result, _) = run(&mut waiting, u32::MAX, span.into());
                assert_eq!(*result.unwrap_err().kind(), ErrorKind::TimedOut, "{wait:?}");
                assert!(began.elapsed() >= span);
            }
        }
    }

    #[test]
    fn a_stop_ends_every_way_of_waiting() {
        for wait in [WaitStrategy::Sleep, WaitStrategy::Adaptive, WaitStrategy::Spin] {
            let mut waiting = waiting(wait);
            let stop = waiting.stop_handle().unwrap();
            std::thread::scope(|scope| {
                let (tell, under_way) = std::sync::mpsc::channel();
                let waits = scope.spawn(|| {
                    let mut late = Late { left: u32::MAX, tries: 0, armed: 0, waits: Some(tell) };
                    drive(&mut late, Deadline::Forever, &mut waiting)
                });
                under_way.recv().unwrap();
                stop.stop();
                assert_eq!(*waits.join().unwrap().unwrap_err().kind(), ErrorKind::Stopped, "{wait:?}");
            });
        }
    }

    #[test]
    fn a_dead_peer_ends_every_wait_but_not_before_what_it_sent_is_taken() {
        let (reader, mut writer) = io::pipe().unwrap();
        io::Write::write_all(&mut writer, b"dead").unwrap();
        let witness = std::sync::Arc::new(std::os::fd::OwnedFd::from(reader));
        for wait in [WaitStrategy::Sleep, WaitStrategy::Adaptive, WaitStrategy::Spin] {
            let mut waiting = waiting(wait);
            waiting.watch.witness = Some(witness.clone());
            for deadline in [Deadline::Forever, Deadline::Within(Duration::from_secs(60)), Deadline::Now] {
                let left = if deadline == Deadline::Now { MOST_UNARMED + 2 } else { 2 };
                run(&mut waiting, left, deadline).0.unwrap();
                let (ended, _) = run(&mut waiting, u32::MAX, deadline);
                assert_eq!(*ended.unwrap_err().kind(), ErrorKind::PeerGone, "{wait:?}, {deadline:?}");
            }
        }
    }

    #[test]
    fn a_stop_ends_a_wait_that_is_elsewhere_as_it_would_end_ours() {
        let mut waiting = waiting(WaitStrategy::Sleep);
        let stop = waiting.stop_handle().unwrap();
        let told = |result: Result<()>| result.map_err(|error| error.kind().clone());
        assert_eq!(told(run(&mut waiting, u32::MAX, Deadline::Polled).0), Err(ErrorKind::WouldBlock));
        stop.drain();
        assert_eq!(told(run(&mut waiting, 1, Deadline::Polled).0), Ok(()), "what needs no wait is done");
        assert_eq!(told(run(&mut waiting, u32::MAX, Deadline::Polled).0), Err(ErrorKind::Stopped));
        assert_eq!(told(run(&mut waiting, u32::MAX, Deadline::Now).0), Err(ErrorKind::WouldBlock));
        stop.stop();
        assert_eq!(told(run(&mut waiting, 1, Deadline::Polled).0), Err(ErrorKind::Stopped));
        assert_eq!(told(run(&mut waiting, 1, Deadline::Now).0), Ok(()));
    }

    /// Something is under way, and goes on when told to.
    struct Stuck {
        goes_on: bool,
    }

    impl Operation for Stuck {
        type Output = ();

        fn attempt(&mut self, _: bool) -> Result<Try<()>> {
            Ok(if std::mem::take(&mut self.goes_on) { Try::Again } else { Try::NotNow })
        }

        fn arm(&mut self) -> io::Result<bool> {
            Ok(true)
        }

        fn interests<'a>(&'a self, _: &mut Interests<'a>) {}

        fn is_under_way(&self) -> bool {
            true
        }
    }

    #[test]
    fn calls_that_do_not_wait_tell_of_a_stall_too() {
        let (clock, stall) = (std::sync::Arc::new(Hands::default()), Duration::from_secs(3));
        let seams = Seams::default().with_clock(clock.clone());
        let config = Config { seams, stall: Some(stall), ..Config::default() };
        let mut waiting = Waiting { watch: Watch::new(&config, None), ..Waiting::new(&config) };
        let mut poll = |goes_on| {
            let told = drive(&mut Stuck { goes_on }, Deadline::Polled, &mut waiting).unwrap_err();
            (told.kind().clone(), waiting.watch.stalls_next().map(|at| at - clock.start))
        };
        let second = |seconds| clock.passed.store(seconds, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(poll(false), (ErrorKind::WouldBlock, Some(stall)));
        second(2);
        assert_eq!(poll(true), (ErrorKind::WouldBlock, Some(stall + Duration::from_secs(2))));
        second(4);
        assert_eq!(poll(false).0, ErrorKind::WouldBlock);
        second(5);
        assert_eq!(poll(false).0, ErrorKind::Stalled);
    }

    /// A clock that is set by hand, in seconds.
    #[derive(Debug)]
    struct Hands {
        start: Instant,
        passed: std::sync::atomic::AtomicU64,
    }

    impl Default for Hands {
        fn default() -> Self {
            Self { start: Instant::now(), passed: 0.into() }
        }
    }

    impl crate::Clock for Hands {
        fn now(&self) -> Instant {
            self.start + Duration::from_secs(self.passed.load(std::sync::atomic::Ordering::Relaxed))
        }

        fn wall(&self) -> std::time::SystemTime {
            std::time::SystemTime::UNIX_EPOCH
        }
    }

    #[test]
    fn now_never_tries_for_long_whatever_the_strategy() {
        for wait in [WaitStrategy::Sleep, WaitStrategy::Adaptive, WaitStrategy::Spin] {
            let (result, late) = run(&mut waiting(wait), u32::MAX, Deadline::Now);
            assert_eq!(*result.unwrap_err().kind(), ErrorKind::WouldBlock);
            assert_eq!(late.tries, MOST_UNARMED + 1, "{wait:?}");
        }
    }
}
