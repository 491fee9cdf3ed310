//! The connection by which client and server of a road of datagrams have met. Nothing is said on it any more; its end
//! tells what the receiver of datagrams is not told: that the other side is gone, or sends no more.

use std::{
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::Arc,
};

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recv},
};

/// A connection, and what it was last seen to say.
#[derive(Debug)]
pub(crate) struct Witness {
    connection: Arc<UnixStream>,
    says: Word,
}

/// What a witness can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Alive,
    /// What the other side has sent has all come.
    Over,
    /// Something was said on it. No peer of ours does so.
    Broken,
}

impl Witness {
    pub(crate) fn new(connection: Arc<UnixStream>) -> Self {
        Self { connection, says: Word::Alive }
    }

    /// Looks once more. True: there is nothing new.
    pub(crate) fn is_silent(&mut self) -> bool {
        if self.says != Word::Alive {
            return false;
        }
        self.says = match recv(self.connection.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT) {
            Err(Errno::EAGAIN) => return true,
            // Whoever is told so looks again.
            Err(Errno::EINTR) => Word::Alive,
            Ok(0) | Err(_) => Word::Over,
            Ok(_) => Word::Broken,
        };
        false
    }

    /// Whether the other side was seen to have ended.
    ///
    /// # Errors
    /// `InvalidData`: it has said something where there is nothing to say.
    pub(crate) fn is_over(&self) -> io::Result<bool> {
        match self.says {
            Word::Alive => Ok(false),
            Word::Over => Ok(true),
            Word::Broken => {
                let why = "bytes on the connection that only tells of the end; expected none";
                Err(io::Error::new(io::ErrorKind::InvalidData, why))
            }
        }
    }
}

impl AsFd for Witness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}
