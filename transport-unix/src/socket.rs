//! A socket of our own making: close-on-exec and nonblocking.

use std::{io, os::fd::OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

#[cfg(not(any(target_vendor = "apple", hobnob_portable)))]
pub(crate) fn nonblocking_socket() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Unix, SockType::Stream, flags, None)?)
}

/// macOS has no such flags. A child that another thread forks between these calls inherits the socket; std's own
/// sockets have the same gap there.
#[cfg(any(target_vendor = "apple", hobnob_portable))]
pub(crate) fn nonblocking_socket() -> io::Result<OwnedFd> {
    use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
    let made = socket(AddressFamily::Unix, SockType::Stream, SockFlag::empty(), None)?;
    fcntl(&made, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    fcntl(&made, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(made)
}
