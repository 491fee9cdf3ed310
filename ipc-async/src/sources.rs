//! The descriptors of a connection, half or server, as the runtime watches them.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::Arc,
    task::{Context, Poll},
};

use ipc_core::{Interest, Interests};

use crate::{Ready, Runtime, Source};

/// Watched once each, when first waited for.
pub(crate) struct Sources<R: Runtime>(Vec<Known<R>>);

struct Known<R: Runtime> {
    fd: RawFd,
    source: Arc<R::Source>,
    /// A copy of a descriptor that somebody else watches, too. Dropped after the source.
    _copy: Option<Arc<OwnedFd>>,
}

/// What is said to be ready. `first` is what is waited for in the first place.
pub(crate) struct Guards<'a, R: Runtime> {
    first: Option<<R::Source as Source>::Ready<'a>>,
    others: Vec<<R::Source as Source>::Ready<'a>>,
}

impl<R: Runtime> Default for Sources<R> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<R: Runtime> Sources<R> {
    /// Whether this one is known, and is the first.
    #[inline]
    pub(crate) fn begin_with(&self, fd: BorrowedFd<'_>) -> bool {
        self.0.first().is_some_and(|known| known.fd == fd.as_raw_fd())
    }

    /// Whether the first may be ready: the way of nearly every message, for there is only one.
    #[inline]
    pub(crate) fn poll_first(&self, cx: &mut Context<'_>, interest: Interest) -> io::Result<Guards<'_, R>> {
        let first = match self.0.first().map(|known| known.source.poll_ready(cx, interest)) {
            Some(Poll::Ready(ready)) => Some(ready?),
            Some(Poll::Pending) | None => None,
        };
        Ok(Guards { first, others: Vec::new() })
    }

    /// Those of these descriptors that may be ready; of the others the task is told.
    pub(crate) fn poll<'a>(
        &mut self,
        cx: &mut Context<'_>,
        interests: impl Iterator<Item = (BorrowedFd<'a>, Interest)> + Clone,
    ) -> io::Result<Guards<'_, R>> {
        self.watch(interests.clone())?;
        let mut guards = Guards { first: None, others: Vec::new() };
        for (place, (fd, interest)) in interests.enumerate() {
            match self.find(fd).map(|known| known.source.poll_ready(cx, interest)) {
                Some(Poll::Ready(ready)) if place == 0 => guards.first = Some(ready?),
                Some(Poll::Ready(ready)) => guards.others.push(ready?),
                // All are known by now.
                Some(Poll::Pending) | None => {}
            }
        }
        Ok(guards)
    }

    fn find(&self, fd: BorrowedFd<'_>) -> Option<&Known<R>> {
        self.0.iter().find(|known| known.fd == fd.as_raw_fd())
    }

    /// Has the runtime watch those that it does not watch yet.
    fn watch<'a>(&mut self, interests: impl Iterator<Item = (BorrowedFd<'a>, Interest)>) -> io::Result<()> {
        for (fd, _) in interests {
            if self.find(fd).is_none() {
                // Mostly there is one, for each of many connections.
                self.0.reserve_exact(1);
                self.0.push(Known::new(fd)?);
            }
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// None is watched any more.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// None but these is watched any more.
    pub(crate) fn keep(&mut self, interests: &Interests<'_>) {
        self.0.retain(|known| interests.iter().any(|(fd, _)| known.fd == fd.as_raw_fd()));
    }

    /// For the half that sends: what the half that receives waits for in another way. One task at a time waits for
    /// each interest in a source.
    pub(crate) fn share(&self, ours: &Interests<'_>, theirs: &Interests<'_>) -> Self {
        let is_theirs = |fd: RawFd, interest| {
            theirs.iter().any(|(their, other)| their.as_raw_fd() == fd && is_read(other) == is_read(interest))
        };
        let shared = ours.iter().filter(|(fd, interest)| !is_theirs(fd.as_raw_fd(), *interest));
        let known = shared.filter_map(|(fd, _)| self.find(fd));
        Self(known.map(Known::clone).collect())
    }
}

fn is_read(interest: Interest) -> bool {
    interest != Interest::Writable
}

impl<R: Runtime> Known<R> {
    fn new(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let (source, copy) = match R::watch(fd) {
            // A handle or a peer's process that others wait for, too.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let copy = fd.try_clone_to_owned()?;
                (R::watch(std::os::fd::AsFd::as_fd(&copy))?, Some(Arc::new(copy)))
            }
            watched => (watched?, None),
        };
        Ok(Self { fd: fd.as_raw_fd(), source: Arc::new(source), _copy: copy })
    }
}

impl<R: Runtime> Clone for Known<R> {
    fn clone(&self) -> Self {
        Self { fd: self.fd, source: self.source.clone(), _copy: self._copy.clone() }
    }
}

impl<R: Runtime> Guards<'_, R> {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.others.is_empty()
    }

    /// A try has found nothing.
    pub(crate) fn clear(self) {
        self.first.into_iter().chain(self.others).for_each(Ready::clear);
    }

    /// A try has taken all there was of what is waited for first.
    pub(crate) fn clear_first(self) {
        self.first.into_iter().for_each(Ready::clear);
    }
}
