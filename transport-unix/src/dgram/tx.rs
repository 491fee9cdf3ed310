//! The half that sends datagrams.

use std::{
    io::{self, IoSlice},
    net::Shutdown,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::Arc,
};

use ipc_core::{Interest, Interests, Wait};

use crate::record::Cutter;

/// The half that sends.
#[derive(Debug)]
pub struct Tx {
    socket: OwnedFd,
    connection: Arc<UnixStream>,
    cutter: Cutter,
}

impl Tx {
    pub(crate) fn new(socket: OwnedFd, connection: Arc<UnixStream>) -> Self {
        Self { socket, connection, cutter: Cutter::default() }
    }
}

impl ipc_core::Tx for Tx {
    /// What is on the way is bounded by the socket's send buffer: a pair that is connected both ways knows no
    /// `net.unix.max_dgram_qlen`, and is writable as soon as a part of what was sent has been received.
    fn try_send(&mut self, bufs: &[IoSlice<'_>], may_block: bool) -> io::Result<usize> {
        self.cutter.send(&self.socket, bufs, may_block).map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotConnected => {
                io::Error::new(io::ErrorKind::BrokenPipe, error)
            }
            _ => error,
        })
    }

    /// To shut a datagram socket tells its peer nothing.
    fn finish(&mut self) {
        let _ = self.connection.shutdown(Shutdown::Write);
    }
}

impl Wait for Tx {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.socket.as_fd(), Interest::Writable);
    }
}

impl AsFd for Tx {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
