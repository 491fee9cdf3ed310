//! A stream of bytes: one socket, two halves.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::Shutdown,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::Arc,
};

use ipc_core::{Config, Got, Interest, Interests, Link, Peer, Wait};
use nix::sys::socket::{recv, recvmsg, send, sendmsg};

use crate::{
    Unix,
    call::{Buffer, NO_SIGNAL, flags},
    peer::process_of,
};

/// The half that sends.
#[derive(Debug)]
pub struct Tx {
    socket: Arc<UnixStream>,
    buffer: Buffer,
}

/// The half that receives.
#[derive(Debug)]
pub struct Rx(Arc<UnixStream>);

pub(crate) fn link(stream: Arc<UnixStream>, peer: Peer, config: &Config) -> Link<Unix> {
    let witness = if config.watch_peer { process_of(&stream) } else { None };
    Link {
        tx: Tx { socket: stream.clone(), buffer: Buffer::default() },
        rx: Rx(stream),
        peer,
        nonce: None,
        witness,
    }
}

impl ipc_core::Tx for Tx {
    fn try_send(&mut self, bufs: &[IoSlice<'_>], may_block: bool) -> io::Result<usize> {
        self.buffer.fit(&self.socket, bufs);
        let (socket, flags) = (self.socket.as_raw_fd(), flags(may_block) | NO_SIGNAL);
        Ok(match bufs {
            [buf] => send(socket, buf, flags)?,
            bufs => sendmsg::<()>(socket, bufs, &[], flags, None)?,
        })
    }

    fn finish(&mut self) {
        // A socket whose peer is gone has nothing left to shut.
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

impl ipc_core::Rx for Rx {
    const SHORT_IS_ALL: bool = true;

    fn try_recv(&mut self, rooms: &mut [IoSliceMut<'_>], may_block: bool) -> io::Result<Got> {
        let (socket, flags) = (self.0.as_raw_fd(), flags(may_block));
        let received = match rooms {
            [room] => recv(socket, room, flags),
            rooms => recvmsg::<()>(socket, rooms, None, flags).map(|message| message.bytes),
        };
        match received {
            Ok(0) => Ok(Got::End),
            Ok(count) => Ok(Got::Bytes(count)),
            // ECONNRESET: a peer that closed with our bytes unread. What it had sent was read before this.
            Err(errno) => Err(errno.into()),
        }
    }

    fn finish(&mut self) {
        let _ = self.0.shutdown(Shutdown::Read);
    }
}

impl Wait for Tx {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.socket.as_fd(), Interest::Writable);
    }
}

impl Wait for Rx {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.0.as_fd(), Interest::Readable);
    }
}

impl AsFd for Tx {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsFd for Rx {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
