//! Sockets of our own making: close-on-exec always, nonblocking where they are made so.

use std::{
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixListener,
    },
    path::Path,
};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket, socketpair,
};

/// Bound to a path and listening. std's type stands for a listening socket of either type that keeps connections:
/// what it does with one (accept, nonblocking, its address) is the same for both.
pub(crate) fn listening(kind: SockType, at: &Path) -> io::Result<UnixListener> {
    let made = nonblocking(kind)?;
    bind(made.as_raw_fd(), &UnixAddr::new(at)?)?;
    listen(&made, LONGEST_BACKLOG)?;
    Ok(made.into())
}

/// What the system allows at most.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
const LONGEST_BACKLOG: Backlog = Backlog::MAXALLOWABLE;
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
const LONGEST_BACKLOG: Backlog = Backlog::MAXCONN;

#[cfg(not(any(target_vendor = "apple", hobnob_portable)))]
pub(crate) fn nonblocking(kind: SockType) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Unix, kind, flags, None)?)
}

/// macOS has no such flags. A child that another thread forks between these calls inherits the socket; std's own
/// sockets have the same gap there.
#[cfg(any(target_vendor = "apple", hobnob_portable))]
pub(crate) fn nonblocking(kind: SockType) -> io::Result<OwnedFd> {
    let made = socket(AddressFamily::Unix, kind, SockFlag::empty(), None)?;
    close_on_exec(&made)?;
    nix::fcntl::fcntl(&made, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
    Ok(made)
}

/// Two sockets that are connected to each other and have no name: nobody else can send into them.
#[cfg(not(any(target_vendor = "apple", hobnob_portable)))]
pub(crate) fn pair(kind: SockType) -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)?)
}

#[cfg(any(target_vendor = "apple", hobnob_portable))]
pub(crate) fn pair(kind: SockType) -> io::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = socketpair(AddressFamily::Unix, kind, None, SockFlag::empty())?;
    close_on_exec(&one)?;
    close_on_exec(&other)?;
    Ok((one, other))
}

#[cfg(any(target_vendor = "apple", hobnob_portable))]
pub(crate) fn close_on_exec(descriptor: &OwnedFd) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(())
}
