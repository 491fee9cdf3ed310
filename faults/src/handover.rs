//! Descriptors from one process to another (SCM_RIGHTS, unix(7)).

use std::{
    io::{IoSlice, IoSliceMut},
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg},
};

/// Gives the other side this open description too.
///
/// # Errors
/// What the operating system says.
pub fn give(to: &UnixStream, what: BorrowedFd<'_>) -> nix::Result<()> {
    let rights = [what.as_raw_fd()];
    let message = [ControlMessage::ScmRights(&rights)];
    sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(b"x")], &message, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// Waits for a descriptor that the other side gives.
///
/// # Errors
/// What the operating system says; ENOMSG: no descriptor came.
#[allow(unsafe_code, reason = "nix hands received descriptors out as plain numbers")]
pub fn take(from: &UnixStream) -> nix::Result<OwnedFd> {
    let mut byte = [0];
    let mut room = [IoSliceMut::new(&mut byte)];
    let mut control = cmsg_space!([i32; 1]);
    let received =
        recvmsg::<()>(from.as_raw_fd(), &mut room, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
    match received.cmsgs()?.next() {
        Some(ControlMessageOwned::ScmRights(rights)) if rights.len() == 1 => {
            // SAFETY: the kernel has just made this descriptor for us in recvmsg(2), and nothing else knows it.
            Ok(unsafe { OwnedFd::from_raw_fd(rights[0]) })
        }
        _ => Err(Errno::ENOMSG),
    }
}
