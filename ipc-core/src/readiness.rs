//! One descriptor that is ready when anything of a server is: its listener or one of its half-open clients.

use std::io;

use crate::Interests;

/// What a readiness event belongs to.
pub(crate) type Token = u64;

#[cfg(target_os = "linux")]
pub(crate) use epoll::Readiness;
#[cfg(not(target_os = "linux"))]
pub(crate) use fallback::Readiness;

#[cfg(target_os = "linux")]
mod epoll {
    use std::os::fd::{AsFd, BorrowedFd};

    use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

    use super::{Interests, Token, io};
    use crate::Interest;

    /// epoll(7), level-triggered.
    #[derive(Debug)]
    pub(crate) struct Readiness(Epoll);

    impl Readiness {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
        }

        pub(crate) fn add(&self, interests: &Interests<'_>, token: Token) -> io::Result<()> {
            for (fd, interest) in interests.iter() {
                let events = match interest {
                    Interest::Readable => EpollFlags::EPOLLIN,
                    Interest::Writable => EpollFlags::EPOLLOUT,
                    Interest::Hangup => EpollFlags::empty(),
                };
                self.0.add(fd, EpollEvent::new(events, token))?;
            }
            Ok(())
        }

        pub(crate) fn remove(&self, interests: &Interests<'_>) {
            for (fd, _) in interests.iter() {
                // Not registered is as good as removed.
                let _ = self.0.delete(fd);
            }
        }

        /// The tokens that are ready; `None` where that is not known, and everything must be tried.
        pub(crate) fn ready(&self) -> io::Result<Option<Vec<Token>>> {
            let mut events = [EpollEvent::empty(); 64];
            match self.0.wait(&mut events, EpollTimeout::ZERO) {
                Ok(count) => Ok(Some(events.iter().take(count).map(EpollEvent::data).collect())),
                Err(nix::errno::Errno::EINTR) => Ok(Some(Vec::new())),
                Err(errno) => Err(errno.into()),
            }
        }

        /// The one descriptor to wait on, if there is one.
        pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
            Some(self.epoll())
        }

        pub(crate) fn epoll(&self) -> BorrowedFd<'_> {
            self.0.0.as_fd()
        }
    }
}

/// Where there is no epoll: no single descriptor, and everything is tried at every wake-up. Not run on any
/// system yet.
#[cfg(not(target_os = "linux"))]
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

        pub(crate) fn ready(&self) -> io::Result<Option<Vec<Token>>> {
            Ok(None)
        }

        pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
            None
        }
    }
}
