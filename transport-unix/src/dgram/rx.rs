//! The half that receives datagrams, and watches the witness.

use std::{
    io::{self, IoSliceMut},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use ipc_core::{Got, Interest, Interests, Wait};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{MsgFlags, Shutdown, recv, shutdown},
};

use crate::{record::Rest, witness::Witness};

/// The half that receives.
#[derive(Debug)]
pub struct Rx {
    socket: OwnedFd,
    witness: Witness,
    rest: Rest,
    /// So many tries in a row have found nothing.
    vain: u8,
    pace: Pace,
}

/// Whether a receive that may wait mostly has to: then it is cheaper to wait first and receive then.
#[derive(Debug)]
struct Pace {
    waits: bool,
    /// So many receives more until it is tried whether that has changed.
    until_try: u8,
}

/// A caller who never waits, and so never arms, is told of the end after so many tries at the latest.
const TRIES: u8 = 64;

/// One receive in so many is tried before it is waited for.
const PROBE: u8 = 32;

impl Rx {
    pub(crate) fn new(socket: OwnedFd, witness: Witness) -> Self {
        let pace = Pace { waits: false, until_try: 0 };
        Self { socket, witness, rest: Rest::default(), vain: 0, pace }
    }

    /// Sleeps until there is something on either of both. If that is the end, the caller finds nothing to receive, and
    /// arms before it waits again.
    fn sleep(&self) -> io::Result<()> {
        let mut both =
            [&self.socket as &dyn AsFd, &self.witness].map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN));
        poll(&mut both, PollTimeout::NONE)?;
        Ok(())
    }

    /// What is there now: a part of a datagram, or the end.
    fn take(&mut self, rooms: &mut [IoSliceMut<'_>]) -> io::Result<Got> {
        // The end is told once all that came before it has been taken: asked for in this order, nothing is missed.
        let is_over = self.witness.is_over()?;
        match self.rest.receive(&self.socket, rooms, false) {
            Ok(0) => {
                let why = "an empty datagram; expected one byte at least";
                Err(io::Error::new(io::ErrorKind::InvalidData, why))
            }
            Ok(count) => Ok(Got::Bytes(count)),
            Err(error) if is_over && error.kind() == io::ErrorKind::WouldBlock => Ok(Got::End),
            // A peer that has connected its socket to another one.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Got::End),
            Err(error) => Err(error),
        }
    }

    fn take_or_sleep(&mut self, rooms: &mut [IoSliceMut<'_>]) -> io::Result<Got> {
        if self.rest.is_empty() && self.pace.waits_first() {
            self.sleep()?;
        } else {
            let took = self.take(rooms);
            self.pace.waits = is_nothing(&took);
            if !self.pace.waits {
                return took;
            }
            self.sleep()?;
        }
        // It may have been woken for nothing: whoever has called looks again.
        self.take(rooms)
    }
}

fn is_nothing(took: &io::Result<Got>) -> bool {
    took.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl Pace {
    fn waits_first(&mut self) -> bool {
        if self.waits && self.until_try > 0 {
            self.until_try -= 1;
            return true;
        }
        self.until_try = PROBE;
        false
    }
}

impl ipc_core::Rx for Rx {
    fn holds_more(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Where it may wait, it sleeps in a poll(2) of its own: in a receive it would not hear of the end.
    fn try_recv(&mut self, rooms: &mut [IoSliceMut<'_>], may_block: bool) -> io::Result<Got> {
        if may_block {
            return self.take_or_sleep(rooms);
        }
        let took = self.take(rooms);
        self.vain = if is_nothing(&took) { self.vain + 1 } else { 0 };
        if self.vain == TRIES {
            self.vain = 0;
            // The next try tells.
            self.witness.is_silent();
        }
        took
    }

    /// The peer's sends fail from now on; one that sleeps for want of room is woken by taking what it has sent.
    fn finish(&mut self) {
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Read);
        while recv(self.socket.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT).is_ok_and(|count| count > 0) {}
    }
}

impl Wait for Rx {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.socket.as_fd(), Interest::Readable);
        into.add(self.witness.as_fd(), Interest::Readable);
    }

    /// Whoever is told that there is nothing may be told of the witness's end only once, and have been.
    fn arm(&mut self) -> io::Result<bool> {
        Ok(self.witness.is_silent())
    }
}

impl AsFd for Rx {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
