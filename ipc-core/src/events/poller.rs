//! Which clients have something: epoll(7), or poll(2) where there is none.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, RawFd},
    time::Duration,
};

use super::{
    client::{Client, Wants},
    slots::Token,
};
use crate::{Interest, Interests};

#[cfg(all(target_os = "linux", not(hobnob_portable)))]
pub(super) use epoll::Poller;
#[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
pub(super) use fallback::Poller;

/// The bell's number; no client comes to it.
pub(super) const BELL: Token = Token::MAX;

/// How many events are taken at once.
pub(super) const EVENTS: usize = 256;

/// Something has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) token: Token,
    /// Not only is there room.
    pub(super) is_read: bool,
    /// It is the end of something, and this is the last word of it.
    pub(super) is_end: bool,
}

/// A client's descriptors, each with what it is looked at for.
struct Descriptors<'a> {
    reads: Interests<'a>,
    writes: Interests<'a>,
}

impl<'a> Descriptors<'a> {
    fn of<S>(client: &'a Client<S>) -> Self {
        let (mut reads, mut writes) = (Interests::default(), Interests::default());
        client.rx.recv_interests(&mut reads);
        client.tx.send_interests(&mut writes);
        Self { reads, writes }
    }

    /// Each once.
    fn each(&self) -> impl Iterator<Item = BorrowedFd<'a>> {
        let all = || self.reads.iter().chain(self.writes.iter()).map(|(fd, _)| fd);
        all()
            .enumerate()
            .filter(move |(at, fd)| !all().take(*at).any(|other| other.as_raw_fd() == fd.as_raw_fd()))
            .map(|(_, fd)| fd)
    }

    /// What one of them is looked at for; none if it is not.
    fn wanted(&self, fd: RawFd, wants: Wants) -> impl Iterator<Item = Interest> {
        let reads = self.reads.iter().filter(move |_| wants.read);
        reads
            .chain(self.writes.iter().filter(move |_| wants.write))
            .filter(move |(other, _)| other.as_raw_fd() == fd)
            .map(|(_, interest)| interest)
    }
}

#[cfg(all(target_os = "linux", not(hobnob_portable)))]
mod epoll {
    use std::mem::replace;

    use nix::{
        errno::Errno,
        sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    };

    use super::*;

    /// Edge-triggered: whoever is not looked at to the end is in line for another turn anyway.
    #[derive(Debug)]
    pub(in crate::events) struct Poller {
        epoll: Epoll,
        events: Vec<EpollEvent>,
    }

    impl Poller {
        pub(in crate::events) fn new(bell: BorrowedFd<'_>) -> io::Result<Self> {
            let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
            epoll.add(bell, EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
            Ok(Self { epoll, events: vec![EpollEvent::empty(); EVENTS] })
        }

        /// Watches a client's descriptors for what it wants now, or not at all.
        pub(in crate::events) fn watch<S>(
            &self,
            token: Token,
            client: &mut Client<S>,
            wants: Option<Wants>,
        ) -> io::Result<()> {
            if client.watched == wants {
                return Ok(());
            }
            let (before, client) = (replace(&mut client.watched, wants), &*client);
            let descriptors = Descriptors::of(client);
            for fd in descriptors.each() {
                let flags = |wants: Option<Wants>| {
                    wants.and_then(|wants| flags(descriptors.wanted(fd.as_raw_fd(), wants)))
                };
                self.change(fd, token, flags(before), flags(wants))?;
            }
            Ok(())
        }

        fn change(
            &self,
            fd: BorrowedFd<'_>,
            token: Token,
            before: Option<EpollFlags>,
            now: Option<EpollFlags>,
        ) -> io::Result<()> {
            let event = |flags| EpollEvent::new(flags | EpollFlags::EPOLLET, token);
            match (before, now) {
                (None, Some(now)) => self.epoll.add(fd, event(now))?,
                (Some(before), Some(now)) if before != now => {
                    match self.epoll.modify(fd, &mut event(now)) {
                        // A half that has died has exchanged its descriptor.
                        Err(Errno::ENOENT) => self.epoll.add(fd, event(now))?,
                        modified => modified?,
                    }
                }
                // Not watched is as good as forgotten.
                (Some(_), None) => drop(self.epoll.delete(fd)),
                _ => {}
            }
            Ok(())
        }

        /// Waits at most that long, and says who has something.
        pub(in crate::events) fn wait<'a, S: 'a>(
            &mut self,
            _: BorrowedFd<'_>,
            _: impl Iterator<Item = (Token, &'a Client<S>)>,
            span: Option<Duration>,
            into: &mut Vec<Event>,
        ) -> io::Result<()> {
            let timeout = span.map_or(EpollTimeout::NONE, |span| {
                EpollTimeout::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(EpollTimeout::MAX)
            });
            match self.epoll.wait(&mut self.events, timeout) {
                Ok(count) => into.extend(self.events.iter().take(count).map(told)),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            Ok(())
        }
    }

    fn told(event: &EpollEvent) -> Event {
        let (token, events) = (event.data(), event.events());
        let end = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        Event { token, is_read: events != EpollFlags::EPOLLOUT, is_end: events.intersects(end) }
    }

    fn flags(wanted: impl Iterator<Item = Interest>) -> Option<EpollFlags> {
        let flag = |interest| match interest {
            Interest::Readable => EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP,
            Interest::Writable => EpollFlags::EPOLLOUT,
            Interest::Hangup => EpollFlags::empty(),
        };
        wanted.map(flag).reduce(|all, flag| all | flag)
    }
}

/// Everybody is asked at every wake-up.
#[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
mod fallback {
    use nix::{
        errno::Errno,
        poll::{PollFd, PollFlags, PollTimeout, poll},
    };

    use super::*;

    #[derive(Debug)]
    pub(in crate::events) struct Poller;

    impl Poller {
        pub(in crate::events) fn new(_: BorrowedFd<'_>) -> io::Result<Self> {
            Ok(Self)
        }

        pub(in crate::events) fn watch<S>(
            &self,
            _: Token,
            client: &mut Client<S>,
            wants: Option<Wants>,
        ) -> io::Result<()> {
            client.watched = wants;
            Ok(())
        }

        pub(in crate::events) fn wait<'a, S: 'a>(
            &mut self,
            bell: BorrowedFd<'_>,
            clients: impl Iterator<Item = (Token, &'a Client<S>)>,
            span: Option<Duration>,
            into: &mut Vec<Event>,
        ) -> io::Result<()> {
            let (mut asked, mut whose) = (vec![PollFd::new(bell, PollFlags::POLLIN)], vec![BELL]);
            for (token, client) in clients {
                let Some(wants) = client.watched else { continue };
                let descriptors = Descriptors::of(client);
                for fd in descriptors.each() {
                    let wanted = descriptors.wanted(fd.as_raw_fd(), wants).map(flag);
                    if let Some(flags) = wanted.reduce(|all, flag| all | flag) {
                        asked.push(PollFd::new(fd, flags));
                        whose.push(token);
                    }
                }
            }
            let timeout = span.map_or(PollTimeout::NONE, |span| {
                PollTimeout::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX)
            });
            match poll(&mut asked, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let ready = asked.iter().zip(whose).filter(|(asked, _)| asked.any() == Some(true));
            into.extend(ready.map(|(asked, token)| Event {
                token,
                is_read: asked.revents() != Some(PollFlags::POLLOUT),
                // If it is, poll(2) says so again.
                is_end: false,
            }));
            Ok(())
        }
    }

    fn flag(interest: Interest) -> PollFlags {
        match interest {
            Interest::Readable => PollFlags::POLLIN,
            Interest::Writable => PollFlags::POLLOUT,
            Interest::Hangup => PollFlags::empty(),
        }
    }
}
