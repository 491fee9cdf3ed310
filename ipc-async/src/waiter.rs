//! The only place here that waits: tries a call, and has the runtime wait for what it names.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use ipc_core::{Deadline, Error, ErrorKind, Interests, Result};

use crate::{
    Runtime,
    ender::{Ender, Half},
    ops::Op,
    sources::Sources,
};

/// How a connection, half or server waits. Declared before it wherever they are kept, so that nothing is watched that
/// is closed.
pub(crate) struct Waiter<R: Runtime> {
    pub(crate) sources: Sources<R>,
    /// What a try may close: watched from the end of one to the beginning of the next.
    passing: Sources<R>,
    timer: Timer<R>,
    /// Where all of these are watched.
    home: Option<R::Id>,
    pub(crate) ender: Option<Arc<Ender>>,
    half: Half,
    /// So many more hopeful calls are tried before the runtime is asked.
    hope: u8,
}

/// The runtime is asked now and then all the same: that is where it lets other tasks have their turn.
const HOPE: u8 = 15;

impl<R: Runtime> Waiter<R> {
    pub(crate) fn new(half: Half) -> Self {
        Self::over(Sources::default(), None, half, None)
    }

    fn over(sources: Sources<R>, home: Option<R::Id>, half: Half, ender: Option<Arc<Ender>>) -> Self {
        Self { sources, passing: Sources::default(), timer: Timer::new(), home, ender, half, hope: HOPE }
    }

    /// Tries until it is done or would block, and then waits with the task.
    pub(crate) fn poll<C: ?Sized, O: Op<C>>(
        &mut self,
        cx: &mut Context<'_>,
        on: &mut C,
        op: &mut O,
        ends: &mut Ends,
    ) -> Poll<Result<O::Output>> {
        if let Some(ender) = &self.ender {
            ender.ends_calls(op.heeds())?;
        }
        self.passing.clear();
        if let Some(by) = ends.one_try() {
            return Poll::Ready(op.attempt(on, by));
        }
        let mut tried = op.is_in_vain(on);
        // What can be done at once need not be watched for, and a short connection never is.
        if !tried && (self.sources.is_empty() || self.hopes(op) || op.is_at_hand(on)) {
            match op.attempt(on, Deadline::Polled) {
                Err(error) if *error.kind() == ErrorKind::WouldBlock => (tried, self.hope) = (true, 0),
                done => return Poll::Ready(done),
            }
        }
        self.come_home();
        loop {
            let mut interests = Interests::default();
            op.interests(on, &mut interests);
            let (guards, passes) = match interests.only().filter(|(fd, _)| self.sources.begin_with(*fd)) {
                Some((_, interest)) => (self.sources.poll_first(cx, interest)?, false),
                None => (
                    self.sources.poll(cx, interests.that_pass(false))?,
                    !self.passing.poll(cx, interests.that_pass(true))?.is_empty(),
                ),
            };
            let is_ready = passes || !guards.is_empty();
            // Looked at also while there is something, for a peer that always has one more byte.
            if tried && ends.at().is_some_and(|ends| ends <= Instant::now()) {
                self.passing.clear();
                return Poll::Ready(last_try(on, op, ErrorKind::TimedOut.into()));
            }
            if tried && !is_ready {
                if let Some(ender) = &self.ender
                    && let Err(stopped) = ender.poll_waits(cx, self.half, op.heeds())
                {
                    self.passing.clear();
                    return Poll::Ready(last_try(on, op, stopped));
                }
                let until = ends.at().into_iter().chain(op.wake_at(on)).min();
                if !self.timer.is_over(cx, until)? {
                    if op.is_in_vain(on) {
                        op.rest(on);
                    }
                    return Poll::Pending;
                }
            }
            self.passing.clear();
            match op.attempt(on, Deadline::Polled) {
                Err(error) if *error.kind() == ErrorKind::WouldBlock => guards.clear(),
                done => {
                    if op.is_in_vain(on) {
                        guards.clear_first();
                    }
                    // It did not have to wait.
                    if !tried {
                        self.hope = HOPE;
                    }
                    return Poll::Ready(done);
                }
            }
            tried = true;
        }
    }

    /// For the half that sends, when this one becomes the half that receives: what that one waits for otherwise.
    pub(crate) fn share(&mut self, ours: &Interests<'_>, theirs: &Interests<'_>) -> Self {
        // What passes may be closed by either half.
        self.passing.clear();
        let shared = self.sources.share(ours, theirs);
        // What only the other one has may be closed before this one is dropped.
        self.sources.keep(theirs);
        Self::over(shared, self.home.clone(), Half::Sending, self.ender.clone())
    }

    /// Nothing is watched any more: what was may be closed, and another have its number.
    pub(crate) fn forget(&mut self) {
        self.passing.clear();
        self.sources.clear();
        self.timer = Timer::new();
    }

    /// All is watched by the runtime that runs here.
    fn come_home(&mut self) {
        let here = R::here();
        if self.home != here {
            self.forget();
            self.home = here;
        }
    }

    #[inline]
    fn hopes<C: ?Sized, O: Op<C>>(&mut self, op: &O) -> bool {
        let hopes = op.is_hopeful() && self.hope > 0;
        self.hope -= u8::from(hopes);
        hopes
    }
}

/// For a call that may not wait. It was not tried if that seemed to be in vain, and the runtime may not have looked
/// since: what is there is taken all the same.
#[cold]
fn last_try<C: ?Sized, O: Op<C>>(on: &mut C, op: &mut O, why: Error) -> Result<O::Output> {
    op.attempt(on, Deadline::Polled).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => why,
        _ => error,
    })
}

/// A call that has the runtime wait. As a type of its own it takes a fraction of the memory that nested async functions
/// take, in each task that makes one.
#[must_use]
pub(crate) struct Call<'a, R: Runtime, C: ?Sized, O> {
    pub(crate) waiter: &'a mut Waiter<R>,
    pub(crate) on: &'a mut C,
    pub(crate) op: O,
    pub(crate) ends: Ends,
}

impl<R: Runtime, C: ?Sized, O: Op<C> + Unpin> Future for Call<'_, R, C, O> {
    type Output = Result<O::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { waiter, on, op, ends } = self.get_mut();
        match waiter.poll(cx, *on, op, ends) {
            Poll::Ready(Err(error)) if is_late(&error) => Poll::Ready(op.gave_up(error)),
            polled => polled,
        }
    }
}

/// The wait ended, not what was waited for.
pub(crate) fn is_late(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Stopped | ErrorKind::WouldBlock)
}

/// When a call gives up; counted from when it first has to wait.
pub(crate) enum Ends {
    By(Deadline),
    At(Option<Instant>),
}

impl Ends {
    pub(crate) fn by(deadline: Deadline) -> Self {
        Self::By(deadline)
    }

    /// The deadline of a call that is not to wait at all.
    fn one_try(&self) -> Option<Deadline> {
        match self {
            Self::By(by @ (Deadline::Now | Deadline::Polled)) => Some(*by),
            _ => None,
        }
    }

    pub(crate) fn at(&mut self) -> Option<Instant> {
        let at = match self {
            Self::At(at) => return *at,
            // No clock is asked.
            Self::By(Deadline::Forever) => None,
            Self::By(deadline) => deadline.ends(Instant::now()),
        };
        *self = Self::At(at);
        at
    }
}

/// A timer of the runtime, made when there is something to wait for.
pub(crate) struct Timer<R: Runtime> {
    at: Option<Instant>,
    sleep: Option<Pin<Box<R::Sleep>>>,
}

impl<R: Runtime> Timer<R> {
    pub(crate) fn new() -> Self {
        Self { at: None, sleep: None }
    }

    /// Whether that instant is over; if not, the task is woken then. None never is.
    pub(crate) fn is_over(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> io::Result<bool> {
        if self.at != at {
            let is_past = at.is_some_and(|at| at <= Instant::now());
            (self.at, self.sleep) = (at, None);
            if is_past {
                // Other tasks have their turn first.
                cx.waker().wake_by_ref();
                return Ok(false);
            }
            self.sleep = at.map(R::sleep_until).transpose()?.map(Box::pin);
        }
        let is_over = match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(cx).is_ready(),
            None => self.at.is_some(),
        };
        if is_over {
            (self.at, self.sleep) = (None, None);
        }
        Ok(is_over)
    }
}
