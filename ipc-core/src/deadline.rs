//! How long a call may wait.

use std::time::{Duration, Instant};

/// How long a call may wait. Measured on the monotonic clock: setting the wall clock changes no deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Deadline {
    /// Never wait: what cannot be done at once is [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock).
    Now,
    /// One try of a call whose wait is somebody else's, such as an async runtime's: as [`Now`](Self::Now), but a
    /// pulled [`StopHandle`](crate::StopHandle) ends it as it would end the wait.
    Polled,
    /// At most this long, counted from the first moment the call has to wait.
    Within(Duration),
    /// Until this instant.
    Until(Instant),
    /// As long as it takes. Only this one lets a transport sleep inside its own system call.
    #[default]
    Forever,
}

impl Deadline {
    /// The instant at which to give up, when the wait starts at `now`; `None` waits for ever.
    /// A span too long for the clock counts as for ever.
    #[must_use]
    pub fn ends(self, now: Instant) -> Option<Instant> {
        match self {
            Self::Now | Self::Polled => Some(now),
            Self::Within(span) => now.checked_add(span),
            Self::Until(instant) => Some(instant),
            Self::Forever => None,
        }
    }

    /// The same deadline with its start fixed at `now`, so that several calls can share one budget.
    #[must_use]
    pub fn started(self, now: Instant) -> Self {
        match self {
            Self::Within(_) => self.ends(now).map_or(Self::Forever, Self::Until),
            other => other,
        }
    }
}

impl From<Duration> for Deadline {
    fn from(span: Duration) -> Self {
        Self::Within(span)
    }
}

impl From<Instant> for Deadline {
    fn from(instant: Instant) -> Self {
        Self::Until(instant)
    }
}

/// `None` waits for ever, as in [`std::net::TcpStream::set_read_timeout`].
impl From<Option<Duration>> for Deadline {
    fn from(span: Option<Duration>) -> Self {
        span.map_or(Self::Forever, Self::Within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_beyond_the_clock_is_for_ever() {
        assert_eq!(Deadline::Within(Duration::MAX).ends(Instant::now()), None);
        assert_eq!(Deadline::Within(Duration::MAX).started(Instant::now()), Deadline::Forever);
    }

    #[test]
    fn a_started_span_no_longer_moves() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let started = Deadline::Within(Duration::from_secs(5)).started(now);
        assert_eq!(started.ends(later), Some(now + Duration::from_secs(5)));
    }
}
