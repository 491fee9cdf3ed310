//! The two halves: an end of a FIFO each.
//!
//! O_NONBLOCK belongs to the open description, so a half that is allowed to sleep in its system call opens the FIFO
//! a second time, without it: one system call for a message instead of three. It does so once it has had to sleep
//! a few times; many connections live for one exchange only.

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use ipc_core::{Access, Config, Got, Interest, Interests, Link, Nonce, Peer, Wait};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::uio::readv,
    unistd::read,
};

use crate::{Fifo, pinned::reopen, sys};

/// The half that sends.
#[derive(Debug)]
pub struct Tx {
    end: End,
    /// The pipe was enlarged, or cannot be.
    enlarged: bool,
}

/// The half that receives.
#[derive(Debug)]
pub struct Rx {
    end: End,
    writer: Writer,
}

/// What is known of the one who writes to a FIFO that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// Perhaps it has not come yet: a read gives 0 just as at the end.
    Awaited,
    /// It came before we opened the FIFO. If it left before that, too, no poll shows it: only a read tells.
    Came,
    /// It was there after we had opened the FIFO: that it leaves shows as POLLHUP.
    Met,
}

/// One end of a FIFO.
#[derive(Debug)]
struct End {
    fd: OwnedFd,
    sleeping: Sleeping,
}

/// The description without O_NONBLOCK.
#[derive(Debug)]
enum Sleeping {
    /// So many times it would have had to sleep.
    NotOpened(u8),
    Open(OwnedFd),
    Unavailable,
}

/// Both halves.
pub(crate) fn link(
    tx: OwnedFd,
    rx: OwnedFd,
    writer: Writer,
    peer: Peer,
    nonce: Nonce,
    config: &Config,
) -> Link<Fifo> {
    let witness = if config.watch_peer { crate::process::claimed_by(&peer) } else { None };
    Link {
        tx: Tx { end: End::new(tx), enlarged: false },
        rx: Rx { end: End::new(rx), writer },
        peer,
        nonce: Some(nonce),
        witness,
    }
}

impl End {
    fn new(fd: OwnedFd) -> Self {
        Self { fd, sleeping: Sleeping::NotOpened(0) }
    }

    /// The description to use: the sleeping one if that is allowed and there is one.
    fn description(&self, may_block: bool) -> BorrowedFd<'_> {
        match &self.sleeping {
            Sleeping::Open(fd) if may_block => fd.as_fd(),
            _ => self.fd.as_fd(),
        }
    }

    /// It was allowed to sleep in its system call and could not.
    #[cold]
    fn missed_sleep(&mut self, access: Access) {
        if let Sleeping::NotOpened(missed) = &mut self.sleeping {
            *missed += 1;
            if *missed == PATIENCE {
                self.sleeping = open_sleeping(&self.fd, access).map_or(Sleeping::Unavailable, Sleeping::Open);
            }
        }
    }
}

/// How often a half sleeps in poll(2) before it opens its second description.
const PATIENCE: u8 = 8;

fn open_sleeping(fd: &OwnedFd, access: Access) -> io::Result<OwnedFd> {
    let other = reopen(fd, access)?;
    fcntl(&other, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(other)
}

impl ipc_core::Tx for Tx {
    fn try_send(&mut self, bufs: &[IoSlice<'_>], may_block: bool) -> io::Result<usize> {
        if !self.enlarged && bufs.iter().map(|buf| buf.len()).sum::<usize>() > LARGE {
            self.enlarge();
        }
        let written = sys::write_vectored(self.end.description(may_block), bufs);
        if may_block && written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            self.end.missed_sleep(Access::Write);
        }
        written
    }
}

/// A write of more than this is worth a larger pipe: a pipe has 64 KiB at first.
const LARGE: usize = 32 * 1024;

#[cfg(all(target_os = "linux", not(hobnob_portable)))]
impl Tx {
    /// With room for all of a message its two sides need not wake each other once for each part of it.
    #[cold]
    fn enlarge(&mut self) {
        // Refused when the user has too much in pipes already; then a large message takes longer.
        let _ = fcntl(&self.end.fd, FcntlArg::F_SETPIPE_SZ(PIPE));
        self.enlarged = true;
    }
}

#[cfg(all(target_os = "linux", not(hobnob_portable)))]
const PIPE: i32 = 1 << 20;

#[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
impl Tx {
    fn enlarge(&mut self) {
        self.enlarged = true;
    }
}

impl ipc_core::Rx for Rx {
    const SHORT_IS_ALL: bool = true;

    fn try_recv(&mut self, rooms: &mut [IoSliceMut<'_>], may_block: bool) -> io::Result<Got> {
        let description = self.end.description(may_block && self.writer != Writer::Awaited);
        let count = match rooms {
            [room] => read(description, room),
            rooms => readv(description, rooms),
        };
        match count {
            Ok(0) if self.writer != Writer::Awaited || self.writer_left()? => Ok(Got::End),
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            Ok(count) => {
                if self.writer == Writer::Awaited {
                    self.writer = Writer::Met;
                }
                Ok(Got::Bytes(count))
            }
            Err(Errno::EAGAIN) => {
                self.writer = Writer::Met;
                if may_block {
                    self.end.missed_sleep(Access::Read);
                }
                Err(Errno::EAGAIN.into())
            }
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Rx {
    /// A writer that came and went leaves POLLHUP; one that has not come yet does not.
    fn writer_left(&mut self) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.end.fd.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO)?;
        let events = fds[0].revents().unwrap_or(PollFlags::empty());
        if events.contains(PollFlags::POLLHUP) {
            self.writer = Writer::Met;
        }
        // With bytes beside the hang-up, the next read gives them first.
        Ok(events.contains(PollFlags::POLLHUP) && !events.contains(PollFlags::POLLIN))
    }
}

impl Wait for Tx {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.end.fd.as_fd(), Interest::Writable);
    }
}

impl Wait for Rx {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.end.fd.as_fd(), Interest::Readable);
    }

    /// Nobody is to wait for a writer that left unseen.
    fn arm(&mut self) -> io::Result<bool> {
        Ok(self.writer != Writer::Came)
    }
}

impl AsFd for Tx {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.fd.as_fd()
    }
}

impl AsFd for Rx {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.fd.as_fd()
    }
}
