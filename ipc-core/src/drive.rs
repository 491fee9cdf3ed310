//! The only place that waits. Whatever blocks in hobnob is an [`Operation`] driven from here.

use std::{io, time::Instant};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::{Deadline, Error, ErrorKind, Interest, Interests, Result, Seams, StopHandle};

/// What one try came to.
#[derive(Debug)]
pub(crate) enum Try<R> {
    Done(R),
    /// It went on, but is not done: try again at once. Between two tries the clock is looked at, so that a peer
    /// that sends byte by byte cannot hold a call past its deadline.
    Again,
    NotNow,
}

/// Something that can be tried again until it is done. Progress lives in the operation.
pub(crate) trait Operation {
    type Output;

    /// One try. With `may_block` a transport may sleep in its own system call.
    fn attempt(&mut self, may_block: bool) -> Result<Try<Self::Output>>;
    fn arm(&mut self) -> io::Result<bool>;
    fn interests<'a>(&'a self, into: &mut Interests<'a>);
    fn wake_at(&self) -> Option<Instant> {
        None
    }
}

/// What besides the operation itself ends a wait, and by which clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) stop: Option<StopHandle>,
    pub(crate) strategy: crate::WaitStrategy,
    pub(crate) seams: Seams,
}

impl Waiting {
    pub(crate) fn new(config: &crate::Config) -> Self {
        Self { stop: None, strategy: config.wait, seams: config.seams.clone() }
    }

    /// The handle that ends these waits; made when first asked for.
    pub(crate) fn stop_handle(&mut self) -> Result<StopHandle> {
        if self.stop.is_none() {
            self.stop = Some(StopHandle::new()?);
        }
        self.stop.clone().ok_or_else(|| ErrorKind::Closed.into())
    }

    /// The same waits, deaf to the handle: for goodbyes.
    pub(crate) fn unstoppable(&self) -> Self {
        Self { stop: None, strategy: self.strategy, seams: self.seams.clone() }
    }
}

/// Tries until it is done, the deadline passes or the handle is pulled.
/// The clock is read only once the first try has failed.
pub(crate) fn drive<O: Operation>(op: &mut O, deadline: Deadline, waiting: &Waiting) -> Result<O::Output> {
    let stop = waiting.stop.as_ref().filter(|_| deadline != Deadline::Now);
    stop.map_or(Ok(()), StopHandle::ends_calls)?;
    let may_block = deadline == Deadline::Forever && stop.is_none();
    let mut ends: Option<Option<Instant>> = None;
    let mut unarmed = 0;
    loop {
        let armed = match op.attempt(may_block)? {
            Try::Done(done) => return Ok(done),
            Try::Again if matches!(deadline, Deadline::Now | Deadline::Forever) => {
                stop.map_or(Ok(()), StopHandle::ends_calls)?;
                unarmed = 0;
                continue;
            }
            Try::Again => false,
            Try::NotNow => op.arm()?,
        };
        if deadline == Deadline::Now {
            // Told "not now" while not armed, nobody would ring: only a peer that flickers brings it so far.
            if armed || unarmed == MOST_UNARMED {
                return Err(ErrorKind::WouldBlock.into());
            }
            unarmed += 1;
            continue;
        }
        stop.map_or(Ok(()), StopHandle::ends_waits)?;
        let now = waiting.seams.now();
        let ends = *ends.get_or_insert_with(|| deadline.ends(now));
        if ends.is_some_and(|ends| ends <= now) {
            return Err(ErrorKind::TimedOut.into());
        }
        if armed {
            let until = ends.into_iter().chain(op.wake_at()).min();
            park(op, stop, until.map(|until| until.saturating_duration_since(now)))?;
        }
    }
}

/// How often a call that must not wait looks again when something seems to be there after all.
const MOST_UNARMED: u32 = 100;

/// Sleeps until a descriptor has something to say or the time is over. A signal ends it early; that is harmless.
fn park<O: Operation>(op: &O, stop: Option<&StopHandle>, time: Option<std::time::Duration>) -> Result<()> {
    use std::os::fd::AsFd;
    let mut interests = Interests::default();
    op.interests(&mut interests);
    if let Some(stop) = stop {
        interests.add(stop.as_fd(), Interest::Readable);
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
