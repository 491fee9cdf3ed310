//! How a call on a connected socket is made: whether it may wait, that it raises no signal, and how much may be on
//! the way.

use std::{
    io::IoSlice,
    os::fd::{AsFd, BorrowedFd},
};

use nix::sys::socket::{MsgFlags, setsockopt, sockopt::SndBuf};

/// The socket stays in blocking mode; every call says for itself whether it may wait.
pub(crate) fn flags(may_block: bool) -> MsgFlags {
    if may_block { MsgFlags::empty() } else { MsgFlags::MSG_DONTWAIT }
}

#[cfg(not(target_vendor = "apple"))]
pub(crate) const NO_SIGNAL: MsgFlags = MsgFlags::MSG_NOSIGNAL;

/// macOS has no such flag, and its SO_NOSIGPIPE has no safe wrapper. There a program must not undo what Rust does at
/// its start: to ignore SIGPIPE. Not run on any system yet.
#[cfg(target_vendor = "apple")]
pub(crate) const NO_SIGNAL: MsgFlags = MsgFlags::empty();

/// A send of more than this is worth a larger buffer.
const LARGE: usize = 64 * 1024;

/// What is asked for then; the kernel doubles it for its own bookkeeping and allows at most
/// `net.core.wmem_max`. It is a bound for what may be on the way unread, and no memory by itself.
const BUFFER: usize = 1 << 20;

/// How many bytes there are.
#[inline]
pub(crate) fn length(bufs: &[IoSlice<'_>]) -> usize {
    bufs.iter().map(|buf| buf.len()).sum()
}

/// A socket's send buffer: as the system makes it, until a large message is sent.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// It was enlarged, or cannot be.
    enlarged: bool,
}

impl Buffer {
    /// Before these are sent. With room for all of a large message its sender need not be woken once for each
    /// part of it.
    #[inline]
    pub(crate) fn fit(&mut self, socket: &impl AsFd, bufs: &[IoSlice<'_>]) {
        if !self.enlarged && length(bufs) > LARGE {
            self.enlarge(socket.as_fd());
        }
    }

    #[cold]
    fn enlarge(&mut self, socket: BorrowedFd<'_>) {
        // Without it a large message takes longer, and that is all.
        let _ = setsockopt(&socket, SndBuf, &BUFFER);
        self.enlarged = true;
    }
}
