//! One socket, two halves. The socket stays in blocking mode; every call says for itself whether it may wait.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{Shutdown, TcpStream},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use ipc_core::{Config, Got, Interest, Interests, Link, Peer, Seams, Wait};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{MsgFlags, recv, recvmsg, send, sendmsg},
};

use crate::{Tcp, sys};

/// The half that sends.
#[derive(Debug)]
pub struct Tx {
    socket: Arc<TcpStream>,
    arrival: Option<Arrival>,
    seams: Seams,
}

/// The half that receives.
#[derive(Debug)]
pub struct Rx(Arc<TcpStream>);

/// When it is asked again whether all has arrived: no descriptor tells.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    ask: Instant,
    pause: Duration,
}

const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

pub(crate) fn link(stream: TcpStream, peer: Peer, config: &Config) -> Link<Tcp> {
    let socket = Arc::new(stream);
    let tx = Tx { socket: socket.clone(), arrival: None, seams: config.seams.clone() };
    Link { tx, rx: Rx(socket), peer, nonce: None, witness: None }
}

impl ipc_core::Tx for Tx {
    fn try_send(&mut self, bufs: &[IoSlice<'_>], may_block: bool) -> io::Result<usize> {
        let (socket, flags) = (self.socket.as_raw_fd(), flags(may_block) | NO_SIGNAL);
        let sent = match bufs {
            [buf] => send(socket, buf, flags),
            bufs => sendmsg::<()>(socket, bufs, &[], flags, None),
        };
        sent.map_err(|errno| if is_gone(errno) { Errno::EPIPE } else { errno }.into())
    }

    /// What the peer's kernel has acknowledged is safe. What it has not would be lost with this socket, if that is
    /// closed with something unread in it, or something comes for it later: then TCP resets the connection and throws
    /// away what is on the way (RFC 1122, 4.2.2.13).
    fn has_arrived(&mut self) -> io::Result<bool> {
        let has_arrived = sys::unacknowledged(self.socket.as_fd())? == 0 || self.is_reset()?;
        self.arrival = if has_arrived { None } else { Some(self.next_question()) };
        Ok(has_arrived)
    }

    fn finish(&mut self) {
        // A socket whose peer is gone has nothing left to shut.
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

impl Tx {
    /// Nothing more will arrive.
    fn is_reset(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::empty())];
        match poll(&mut fds, PollTimeout::ZERO) {
            // It is asked again.
            Err(Errno::EINTR) => return Ok(false),
            polled => polled?,
        };
        Ok(fds[0].revents().is_some_and(|events| events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP)))
    }

    /// Ever later, but no later for a question that comes before its time.
    fn next_question(&self) -> Arrival {
        let now = self.seams.now();
        match self.arrival {
            Some(arrival) if now < arrival.ask => arrival,
            Some(Arrival { pause, .. }) => {
                let pause = (pause * 2).min(LONGEST_PAUSE);
                Arrival { ask: now + pause, pause }
            }
            None => Arrival { ask: now + FIRST_PAUSE, pause: FIRST_PAUSE },
        }
    }
}

#[cfg(not(target_vendor = "apple"))]
pub(crate) const NO_SIGNAL: MsgFlags = MsgFlags::MSG_NOSIGNAL;

/// macOS has no such flag, and its SO_NOSIGPIPE has no safe wrapper. There a program must not undo what Rust does at
/// its start: to ignore SIGPIPE. Not run on any system yet.
#[cfg(target_vendor = "apple")]
pub(crate) const NO_SIGNAL: MsgFlags = MsgFlags::empty();

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
            // What had come before was read before this. It is not the end of the stream, which a reset has cut off: on a
            // foreign wire that would be a goodbye.
            Err(errno) => Err(if is_gone(errno) { Errno::ECONNRESET } else { errno }.into()),
        }
    }

    /// TCP has no word for "I receive no more". But what is unread is taken away, so that closing the socket resets
    /// nothing: what we have sent is perhaps still on the way.
    fn finish(&mut self) {
        let mut room = [0; DISCARDED];
        for _ in 0..DISCARDS {
            match recv(self.0.as_raw_fd(), &mut room, MsgFlags::MSG_DONTWAIT) {
                Ok(1..) | Err(Errno::EINTR) => {}
                _ => return,
            }
        }
    }
}

/// So much is discarded in one call, and so often: a socket that nobody reads holds less by default. A peer that always
/// has more does not keep us.
const DISCARDED: usize = 16 * 1024;
const DISCARDS: usize = 64;

/// The connection is no more, whatever took it.
pub(crate) fn is_gone(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::EPIPE
            | Errno::ECONNRESET
            | Errno::ECONNABORTED
            | Errno::ENOTCONN
            | Errno::ETIMEDOUT
            | Errno::EHOSTUNREACH
            | Errno::ENETUNREACH
            | Errno::ENETDOWN
    )
}

fn flags(may_block: bool) -> MsgFlags {
    if may_block { MsgFlags::empty() } else { MsgFlags::MSG_DONTWAIT }
}

impl Wait for Tx {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        // There is room long before all has arrived. Nothing else may be waited for either: the other half, in
        // another task, waits for what can be read, and a runtime tells one of them only.
        if self.arrival.is_none() {
            into.add(self.socket.as_fd(), Interest::Writable);
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.arrival.map(|arrival| arrival.ask)
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
