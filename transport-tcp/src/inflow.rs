//! A word that comes in parts. Never more is read than the word has: what follows it is the core's.

use std::{io, net::TcpStream, os::fd::AsRawFd};

use ipc_core::{Error, ErrorKind, Result};
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recv, send},
};

/// At most `N` bytes, and how many of them have come.
#[derive(Debug)]
pub(crate) struct Inflow<const N: usize> {
    bytes: [u8; N],
    came: usize,
}

impl<const N: usize> Inflow<N> {
    pub(crate) fn new() -> Self {
        Self { bytes: [0; N], came: 0 }
    }

    pub(crate) fn came(&self) -> &[u8] {
        &self.bytes[..self.came]
    }

    /// All of it, once it has come.
    pub(crate) fn whole(&self) -> Option<[u8; N]> {
        (self.came == N).then_some(self.bytes)
    }

    /// Reads on, up to `wanted` bytes in all. False: nothing is there now.
    ///
    /// # Errors
    /// `PeerGone`: it ends before.
    pub(crate) fn read(&mut self, stream: &TcpStream, wanted: usize) -> Result<bool> {
        let room = &mut self.bytes[self.came..wanted.min(N)];
        let count = match recv(stream.as_raw_fd(), room, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => return Err(ErrorKind::PeerGone.into()),
            Ok(count) => count,
            // Nothing has come: it is tried again.
            Err(Errno::EINTR) => 0,
            Err(Errno::EAGAIN) => return Ok(false),
            Err(errno) => return Err(gone(errno)),
        };
        self.came += count;
        Ok(true)
    }
}

/// Says a word of the handshake. It is among the first bytes of its connection, so there is room for all of it.
pub(crate) fn say(stream: &TcpStream, word: &[u8]) -> Result<()> {
    match send(stream.as_raw_fd(), word, MsgFlags::MSG_DONTWAIT | crate::half::NO_SIGNAL) {
        Ok(count) if count == word.len() => Ok(()),
        Ok(_) => Err(io::Error::from(io::ErrorKind::WriteZero).into()),
        Err(errno) => Err(gone(errno)),
    }
}

fn gone(errno: Errno) -> Error {
    if crate::half::is_gone(errno) { ErrorKind::PeerGone.into() } else { errno.into() }
}
