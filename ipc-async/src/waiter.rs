//! The only place here that waits: tries a call, and has the runtime wait for what it names.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use ipc_core::{Deadline, ErrorKind, Interests, Result};

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
}

impl<R: Runtime> Waiter<R> {
    pub(crate) fn new(half: Half) -> Self {
        Self::over(Sources::default(), None, half, None)
    }

    fn over(sources: Sources<R>, home: Option<R::Id>, half: Half, ender: Option<Arc<Ender>>) -> Self {
        Self { sources, passing: Sources::default(), timer: Timer::new(), home, ender, half }
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
        if ends.is_one_try() {
            return Poll::Ready(op.attempt(on, ends.deadline));
        }
        if op.is_at_hand(on) {
            match op.attempt(on, Deadline::Polled) {
                Err(error) if *error.kind() == ErrorKind::WouldBlock => {}
                tried => return Poll::Ready(tried),
            }
        }
        self.come_home();
        let mut tried = op.is_in_vain(on);
        loop {
            let mut interests = Interests::default();
            op.interests(on, &mut interests);
            let guards = self.sources.poll(cx, interests.that_pass(false))?;
            let is_ready =
                !self.passing.poll(cx, interests.that_pass(true))?.is_empty() || !guards.is_empty();
            // Looked at also while there is something, for a peer that always has one more byte.
            if tried && ends.at().is_some_and(|ends| ends <= Instant::now()) {
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
            if tried && !is_ready {
                if let Some(ender) = &self.ender {
                    ender.poll_waits(cx, self.half, op.heeds())?;
                }
                let until = ends.at().into_iter().chain(op.wake_at(on)).min();
                if !self.timer.is_over(cx, until)? {
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
}

/// When a call gives up; counted from when it first has to wait.
pub(crate) struct Ends {
    deadline: Deadline,
    at: Option<Option<Instant>>,
}

impl Ends {
    pub(crate) fn by(deadline: Deadline) -> Self {
        Self { deadline, at: None }
    }

    /// Whether it is not to wait at all.
    fn is_one_try(&self) -> bool {
        matches!(self.deadline, Deadline::Now | Deadline::Polled)
    }

    pub(crate) fn at(&mut self) -> Option<Instant> {
        *self.at.get_or_insert_with(|| self.deadline.ends(Instant::now()))
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
