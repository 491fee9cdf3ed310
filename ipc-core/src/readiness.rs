//! One descriptor that is ready when anything of a server is: its listener or one of its half-open clients.

use std::io;

use crate::Interests;

/// What a readiness event belongs to.
pub(crate) type Token = u64;

#[cfg(all(target_os = "linux", not(hobnob_portable)))]
pub(crate) use epoll::Readiness;
#[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
pub(crate) use fallback::Readiness;

#[cfg(all(target_os = "linux", not(hobnob_portable)))]
mod epoll {
    use std::{
        os::fd::{AsFd, BorrowedFd},
        sync::OnceLock,
        time::Instant,
    };

    use nix::sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        time::TimeSpec,
        timer::{Expiration, TimerSetTimeFlags},
        timerfd::{ClockId, TimerFd, TimerFlags},
    };

    use super::{Interests, Token, io};
    use crate::{Deadline, Interest};

    /// epoll(7), level-triggered; and a timer, once somebody waits on the descriptor himself.
    #[derive(Debug)]
    pub(crate) struct Readiness {
        epoll: Epoll,
        timer: OnceLock<Option<TimerFd>>,
    }

    /// No half-open client comes to this number.
    const TIMER: Token = Token::MAX;

    impl Readiness {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self { epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?, timer: OnceLock::new() })
        }

        pub(crate) fn add(&self, interests: &Interests<'_>, token: Token) -> io::Result<()> {
            for (fd, interest) in interests.iter() {
                let events = match interest {
                    Interest::Readable => EpollFlags::EPOLLIN,
                    Interest::Writable => EpollFlags::EPOLLOUT,
                    Interest::Hangup => EpollFlags::empty(),
                };
                self.epoll.add(fd, EpollEvent::new(events, token))?;
            }
            Ok(())
        }

        pub(crate) fn remove(&self, interests: &Interests<'_>) {
            for (fd, _) in interests.iter() {
                // Not registered is as good as removed.
                let _ = self.epoll.delete(fd);
            }
        }

        /// It can wait for its descriptors by itself.
        pub(crate) const CAN_SLEEP: bool = true;

        /// The tokens that are ready by then; `None` where that is not known, and everything must be tried.
        pub(crate) fn ready(&self, by: Deadline) -> io::Result<Option<Vec<Token>>> {
            let timeout = match by {
                // Rounded up: what is due then is due.
                Deadline::Within(span) => {
                    EpollTimeout::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(EpollTimeout::MAX)
                }
                Deadline::Forever => EpollTimeout::NONE,
                _ => EpollTimeout::ZERO,
            };
            let mut events = [EpollEvent::empty(); 64];
            match self.epoll.wait(&mut events, timeout) {
                Ok(count) => Ok(Some(events.iter().take(count).map(EpollEvent::data).collect())),
                Err(nix::errno::Errno::EINTR) => Ok(Some(Vec::new())),
                Err(errno) => Err(errno.into()),
            }
        }

        /// The one descriptor to wait on, if there is one.
        pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
            Some(self.epoll.0.as_fd())
        }

        /// The same for somebody else's event loop, which knows nothing of our deadlines: from now on the timer
        /// tells of them. Without a descriptor for it they are kept at the next arrival.
        pub(crate) fn expose(&self) -> BorrowedFd<'_> {
            self.timer.get_or_init(|| {
                let timer = TimerFd::new(
                    ClockId::CLOCK_MONOTONIC,
                    TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK,
                );
                let timer = timer.ok()?;
                self.epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER)).ok()?;
                Some(timer)
            });
            self.epoll.0.as_fd()
        }

        /// When the exposed descriptor shall be ready though nothing has come.
        pub(crate) fn wake_at(&self, at: Option<Instant>, now: Instant) {
            let Some(Some(timer)) = self.timer.get() else { return };
            // Setting it also takes back an expiry that was not looked at. A span of zero would switch it off.
            let _ = match at
                .map(|at| at.saturating_duration_since(now).max(std::time::Duration::from_micros(1)))
            {
                Some(span) => {
                    let once = Expiration::OneShot(TimeSpec::from_duration(span));
                    timer.set(once, TimerSetTimeFlags::empty())
                }
                None => timer.unset(),
            };
        }
    }
}

/// Where there is no epoll: no single descriptor, and everything is tried at every wake-up.
#[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
mod fallback {
    use std::os::fd::BorrowedFd;

    use super::{Interests, Token, io};

    #[derive(Debug)]
    pub(crate) struct Readiness;

    impl Readiness {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        pub(crate) fn add(&self, _: &Interests<'_>, _: Token) -> io::Result<()> {
            Ok(())
        }

        pub(crate) fn remove(&self, _: &Interests<'_>) {}

        pub(crate) const CAN_SLEEP: bool = false;

        pub(crate) fn ready(&self, _: crate::Deadline) -> io::Result<Option<Vec<Token>>> {
            Ok(None)
        }

        pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
            None
        }

        pub(crate) fn wake_at(&self, _: Option<std::time::Instant>, _: std::time::Instant) {}
    }
}
