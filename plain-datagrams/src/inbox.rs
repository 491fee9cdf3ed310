//! One datagram at a time, out of the kernel's queue: one recvmsg(2) and no allocation.

use std::{
    io::IoSliceMut,
    os::fd::{AsRawFd, BorrowedFd},
};

use ipc_core::Peer;
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, SockaddrLike, recvmsg},
};

use crate::credentials;

/// Where datagrams are received.
pub(crate) struct Inbox {
    /// As large as the largest datagram admitted. Memory that was never written to costs nothing.
    room: Vec<u8>,
    control: Vec<u8>,
}

/// A datagram that was taken out of the queue.
pub(crate) struct Taken {
    /// How many bytes it had; there is room for so many or fewer, unless it was cut.
    pub(crate) size: usize,
    pub(crate) is_cut: bool,
    /// It came with descriptors, none of which was let in.
    pub(crate) had_descriptors: bool,
    pub(crate) peer: Option<Peer>,
}

impl Inbox {
    pub(crate) fn new(largest: u32) -> Self {
        // A vector of its own size has a place even for nothing, which recvmsg(2) needs to see.
        Self { room: vec![0; (largest as usize).max(1)], control: credentials::room() }
    }

    /// Takes the next one; `None` if there is none. Without `may_block` the call does not sleep. Where it came from is put
    /// into `from`, unless nobody wants to know (`()`).
    #[inline]
    pub(crate) fn take<A: SockaddrLike>(
        &mut self,
        socket: BorrowedFd<'_>,
        may_block: bool,
        from: &mut Option<A>,
    ) -> nix::Result<Option<Taken>> {
        let mut rooms = [IoSliceMut::new(&mut self.room)];
        let control = Some(self.control.as_mut_slice()).filter(|room| !room.is_empty());
        let flags = if may_block { ALWAYS } else { ALWAYS.union(MsgFlags::MSG_DONTWAIT) };
        let message = match recvmsg::<A>(socket.as_raw_fd(), &mut rooms, control, flags) {
            Err(Errno::EAGAIN) => return Ok(None),
            received => received?,
        };
        let peer = credentials::of(&message);
        let taken = Taken {
            size: message.bytes,
            is_cut: message.flags.contains(MsgFlags::MSG_TRUNC),
            had_descriptors: message.flags.contains(MsgFlags::MSG_CTRUNC),
            peer,
        };
        *from = message.address;
        Ok(Some(taken))
    }

    pub(crate) fn bytes(&self, size: usize) -> &[u8] {
        &self.room[..size.min(self.room.len())]
    }
}

/// MSG_TRUNC among the flags makes Linux say how large a datagram was that did not fit (recv(2)).
#[cfg(any(target_os = "linux", target_os = "android"))]
const ALWAYS: MsgFlags = MsgFlags::MSG_TRUNC.union(MsgFlags::MSG_CMSG_CLOEXEC);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const ALWAYS: MsgFlags = MsgFlags::empty();
