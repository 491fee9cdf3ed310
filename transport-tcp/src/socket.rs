//! Sockets of our own making, and what is set on every one that carries a connection.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, connect, listen, setsockopt,
        socket, sockopt::ReuseAddr,
    },
};

use crate::endpoint::is_loopback;

/// Listens at `at`, and does not wait.
pub(crate) fn listening(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = nonblocking(at)?;
    // Connections of a server that is gone keep its port for a minute (TIME_WAIT), unless both it and the next have this
    // set. Never SO_REUSEPORT, with which two servers could share a port.
    let reuse = || setsockopt(&socket, ReuseAddr, &true);
    if at.port() != 0 {
        reuse()?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(at))?;
    // Only now, where the port is to be free: two servers could be given the same one.
    reuse()?;
    // As many as the system allows: who finds the backlog full is heard again after a second only.
    listen(&socket, Backlog::MAXCONN)?;
    Ok(socket.into())
}

/// Begins to connect; the socket becomes writable once it is connected, or cannot be.
pub(crate) fn connecting(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = nonblocking(to)?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
        // After a signal it goes on in the background, too.
        Ok(()) | Err(Errno::EINPROGRESS | Errno::EINTR) => Ok(socket.into()),
        Err(errno) => Err(errno.into()),
    }
}

/// Prepares a socket that is connected: it waits unless a call says otherwise, and small messages leave at once.
pub(crate) fn prepare(stream: &TcpStream, peer: SocketAddr) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    if !is_loopback(peer.ip()) {
        give_up_on_the_unreachable(stream);
    }
    Ok(())
}

/// A machine that cannot be reached is given up after a minute (TCP_USER_TIMEOUT, tcp(7)) instead of a quarter of an
/// hour. The same befalls a peer that takes nothing for so long while there is something for it. On loopback, where
/// nobody is unreachable, a peer that is slow is waited for, as on every other transport.
#[cfg(all(target_os = "linux", not(hobnob_portable)))]
fn give_up_on_the_unreachable(stream: &TcpStream) {
    let milliseconds = 60_000;
    // Without it they are given up later, and that is all.
    let _ = setsockopt(stream, nix::sys::socket::sockopt::TcpUserTimeout, &milliseconds);
}

#[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
fn give_up_on_the_unreachable(_: &TcpStream) {}

#[cfg(not(any(target_vendor = "apple", hobnob_portable)))]
fn nonblocking(of: SocketAddr) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(family(of), SockType::Stream, flags, None)?)
}

/// macOS has no such flags. A child that another thread forks between these calls inherits the socket; std's own
/// sockets have the same gap there.
#[cfg(any(target_vendor = "apple", hobnob_portable))]
fn nonblocking(of: SocketAddr) -> io::Result<OwnedFd> {
    use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
    let made = socket(family(of), SockType::Stream, SockFlag::empty(), None)?;
    fcntl(&made, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    fcntl(&made, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(made)
}

fn family(of: SocketAddr) -> AddressFamily {
    if of.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}
