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
}

impl Watch {
    pub(crate) fn new(config: &Config, witness: Option<OwnedFd>) -> Self {
        Self { witness: witness.map(Arc::new), stall: config.stall }
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

    /// The same for a call that does not wait.
    pub(crate) fn verdict_at_once(&self) -> Option<ErrorKind> {
        self.peer_is_gone().then_some(ErrorKind::PeerGone)
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
