//! Who is at the other end of a socket: the credentials that the kernel took when the connection was made.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
};

use ipc_core::{Peer, PeerPid, Proof};

/// SO_PEERCRED, unix(7): on the server's side who called connect(2), on the client's who called listen(2).
/// A process outside our PID namespace has pid 0.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn peer_of(stream: &UnixStream) -> io::Result<Peer> {
    let said = nix::sys::socket::getsockopt(stream, nix::sys::socket::sockopt::PeerCredentials)?;
    let pid =
        u32::try_from(said.pid()).ok().filter(|pid| *pid != 0).map_or(PeerPid::Unknown, PeerPid::Verified);
    Ok(Peer::new(Some(said.uid()), Some(said.gid()), pid, Proof::Kernel))
}

/// The process at the other end, to be watched (SO_PEERPIDFD, Linux 6.5), unless it cannot be had.
#[cfg(all(target_os = "linux", not(hobnob_portable)))]
pub(crate) fn process_of(stream: &UnixStream) -> Option<OwnedFd> {
    let process = nix::sys::socket::getsockopt(stream, nix::sys::socket::sockopt::PeerPidfd);
    process.inspect_err(|errno| log::debug!("a peer's process cannot be watched: {errno}")).ok()
}

#[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
pub(crate) fn process_of(_: &UnixStream) -> Option<OwnedFd> {
    None
}

/// getpeereid(3), of the BSDs and macOS. Linux has no such call, so `hobnob_portable` cannot try it there, and it
/// was not run on any system yet. (illumos has getpeerucred(3) instead, which nix does not know.)
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn peer_of(stream: &UnixStream) -> io::Result<Peer> {
    let (uid, gid) = nix::unistd::getpeereid(stream)?;
    Ok(Peer::new(Some(uid.as_raw()), Some(gid.as_raw()), PeerPid::Unknown, Proof::Kernel))
}
