//! What sockets can do that no safe wrapper does (unix(7)): descriptors from one process to another, and addresses of
//! any bytes.
#![allow(unsafe_code, reason = "the one address of unsafe code for sockets")]

use std::{
    io::{IoSlice, IoSliceMut},
    mem::offset_of,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use nix::{
    cmsg_space,
    errno::Errno,
    libc,
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
pub fn take(from: &UnixStream) -> nix::Result<OwnedFd> {
    take_all(from).map(|[only]| only)
}

/// Waits for so many descriptors that the other side gives together.
///
/// # Errors
/// What the operating system says; ENOMSG: there were more or fewer.
pub fn take_all<const MANY: usize>(from: &UnixStream) -> nix::Result<[OwnedFd; MANY]> {
    let mut byte = [0];
    let mut room = [IoSliceMut::new(&mut byte)];
    let mut control = cmsg_space!([i32; MANY]);
    let received =
        recvmsg::<()>(from.as_raw_fd(), &mut room, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
    match received.cmsgs()?.next() {
        Some(ControlMessageOwned::ScmRights(rights)) => {
            // SAFETY: the kernel has just made these descriptors for us in recvmsg(2), and nothing else knows them.
            let all: Vec<_> = rights.iter().map(|fd| unsafe { OwnedFd::from_raw_fd(*fd) }).collect();
            all.try_into().map_err(|_| Errno::ENOMSG)
        }
        _ => Err(Errno::ENOMSG),
    }
}

/// Binds a socket to exactly these bytes: none makes the kernel choose, a first NUL is an abstract name, and 108
/// bytes without a NUL are allowed too.
///
/// # Errors
/// What the operating system says.
pub fn bind_bytes(socket: BorrowedFd<'_>, path: &[u8]) -> nix::Result<()> {
    let mut address =
        libc::sockaddr_un { sun_family: libc::AF_UNIX as libc::sa_family_t, sun_path: [0; 108] };
    for (to, from) in address.sun_path.iter_mut().zip(path) {
        *to = from.cast_signed();
    }
    let length = offset_of!(libc::sockaddr_un, sun_path) + path.len().min(address.sun_path.len());
    // SAFETY: the address is a live local of at least `length` bytes, and the kernel only reads it. The descriptor is
    // borrowed, so it is open.
    let bound =
        unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length as libc::socklen_t) };
    Errno::result(bound).map(drop)
}
