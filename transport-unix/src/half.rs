//! One socket, two halves. The socket stays in blocking mode; every call says for itself whether it may wait.

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
use nix::sys::socket::{MsgFlags, recv, recvmsg, send, sendmsg, setsockopt, sockopt::SndBuf};

use crate::{Unix, peer::process_of};

/// The half that sends.
#[derive(Debug)]
pub struct Tx {
    socket: Arc<UnixStream>,
    /// The send buffer was enlarged, or cannot be.
    enlarged: bool,
}

/// The half that receives.
#[derive(Debug)]
pub struct Rx(Arc<UnixStream>);

pub(crate) fn link(stream: UnixStream, peer: Peer, config: &Config) -> Link<Unix> {
    let witness = if config.watch_peer { process_of(&stream) } else { None };
    let stream = Arc::new(stream);
    Link { tx: Tx { socket: stream.clone(), enlarged: false }, rx: Rx(stream), peer, nonce: None, witness }
}

impl ipc_core::Tx for Tx {
    fn try_send(&mut self, bufs: &[IoSlice<'_>], may_block: bool) -> io::Result<usize> {
        if !self.enlarged && bufs.iter().map(|buf| buf.len()).sum::<usize>() > LARGE {
            self.enlarge();
        }
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

#[cfg(not(target_vendor = "apple"))]
const NO_SIGNAL: MsgFlags = MsgFlags::MSG_NOSIGNAL;

/// macOS has no such flag, and its SO_NOSIGPIPE has no safe wrapper. There a program must not undo what Rust does at
/// its start: to ignore SIGPIPE. Not run on any system yet.
#[cfg(target_vendor = "apple")]
const NO_SIGNAL: MsgFlags = MsgFlags::empty();

/// A send of more than this is worth a larger buffer.
const LARGE: usize = 64 * 1024;

/// What is asked for then; the kernel doubles it for its own bookkeeping and allows at most
/// `net.core.wmem_max`. It is a bound for what may be on the way unread, and no memory by itself.
const BUFFER: usize = 1 << 20;

impl Tx {
    /// With room for all of a large message its sender need not be woken once for each part of it.
    #[cold]
    fn enlarge(&mut self) {
        // Without it a large message takes longer, and that is all.
        let _ = setsockopt(&self.socket, SndBuf, &BUFFER);
        self.enlarged = true;
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

fn flags(may_block: bool) -> MsgFlags {
    if may_block { MsgFlags::empty() } else { MsgFlags::MSG_DONTWAIT }
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
