//! What else ends a wait on a peer: its process is gone though its descriptors live on in another, or it has
//! stopped in the middle of something.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{Config, ErrorKind};

/// What a connection's waits look at besides their descriptors.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    /// Readable once the peer's process is gone (pidfd_open(2)).
    pub(crate) witness: Option<Arc<OwnedFd>>,
    stall: Option<Duration>,
    /// Since when calls that do not wait have found something under way that did not go on.
    stuck: Option<Instant>,
}

impl Watch {
    pub(crate) fn new(config: &Config, witness: Option<OwnedFd>) -> Self {
        Self { witness: witness.map(Arc::new), stall: config.stall, stuck: None }
    }

    /// Whether there is anything to look at.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.witness.is_some() || self.stall.is_some()
    }

    /// Why to give the peer up, if there is a reason. `since` is when something under way last went on.
    pub(crate) fn verdict(&self, now: Instant, since: Option<Instant>) -> Option<ErrorKind> {
        if self.peer_is_gone() {
            return Some(ErrorKind::PeerGone);
        }
        let stalled = self.stall.zip(since).is_some_and(|(stall, since)| now.duration_since(since) >= stall);
        stalled.then_some(ErrorKind::Stalled)
    }

    /// The same for a call that does not wait, and has found something under way that went on, or did not.
    pub(crate) fn verdict_at_once(
        &mut self,
        now: Instant,
        under_way: bool,
        went_on: bool,
    ) -> Option<ErrorKind> {
        let since = self.stuck.filter(|_| !went_on).unwrap_or(now);
        self.stuck = (self.stall.is_some() && under_way).then_some(since);
        self.verdict(now, self.stuck)
    }

    /// A call that does not wait was done.
    #[inline]
    pub(crate) fn went_on(&mut self) {
        self.stuck = None;
    }

    /// When the next call that does not wait has something to say of a stall.
    pub(crate) fn stalls_next(&self) -> Option<Instant> {
        self.stalls_at(self.stuck)
    }

    /// When something that last went on at `since` will count as stalled.
    pub(crate) fn stalls_at(&self, since: Option<Instant>) -> Option<Instant> {
        self.stall.zip(since).and_then(|(stall, since)| since.checked_add(stall))
    }

    fn peer_is_gone(&self) -> bool {
        let Some(witness) = &self.witness else { return false };
        let mut asked = [PollFd::new(witness.as_fd(), PollFlags::POLLIN)];
        // Interrupted, it is asked again at the next look.
        poll(&mut asked, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }
}
