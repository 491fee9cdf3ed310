//! The socket that datagrams are sent to, and its name in the file system.
//!
//! It is bound where it stays: a program that receives an answer is told the path that the server's socket was bound to,
//! and some (socat) take no answer from anywhere but the path that they sent to. A temporary name, as the transports use
//! it, would be that path. It is not needed either: a datagram socket takes datagrams as soon as it is bound.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
};

use ipc_core::{
    Address, Config, Entry, Error, ErrorKind, Folder, Given, Kind, Place, Result, TEMPORARY, Target,
    base_name,
};
use nix::{
    errno::Errno,
    fcntl::AtFlags,
    sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, connect, socket},
    unistd::{geteuid, linkat},
};

use crate::{
    SOCKET, credentials,
    turn::{Turn, turn},
};

/// To send one must be allowed to write (unix(7)).
const OTHERS_SEND: u32 = 0o622;

/// The name of a socket of ours, and what it was when we made it: it is only removed while it is still that.
#[derive(Debug)]
pub(crate) struct Rendezvous {
    folder: Folder,
    name: String,
    identity: (u64, u64),
    made_by: u32,
}

/// The socket, and its name. The lease on the place is held already.
pub(crate) fn make(place: &Place, config: &Config) -> Result<(OwnedFd, Rendezvous)> {
    match place {
        Place::Folder(folder, _) => make_in(folder, SOCKET, &address_in(folder)?, config),
        Place::Path(path) => {
            let (folder, name) = parts(path)?;
            make_in(&folder, name, &address_of(path)?, config)
        }
        _ => Err(Error::bad_address("expected a name or a path")),
    }
}

/// A socket that somebody else has made and bound.
pub(crate) fn take(given: &Given, at: &Address) -> Result<OwnedFd> {
    let Target::Path(path) = at.target() else {
        let why = format!("{at} on a descriptor that was given; expected the path that it is bound to");
        return Err(Error::bad_address(why));
    };
    let socket = given.take_datagram(path)?;
    credentials::ask(&socket)?;
    Ok(socket)
}

/// The path as people know it, if a socket address can hold it.
fn address_in(folder: &Folder) -> Result<UnixAddr> {
    let plain = folder.path().join(SOCKET);
    let plain = plain.is_absolute().then(|| UnixAddr::new(&plain).ok()).flatten();
    plain.map_or_else(|| address_of(&folder.path_to(SOCKET)), Ok)
}

pub(crate) fn address_of(path: &Path) -> Result<UnixAddr> {
    UnixAddr::new(path).map_err(|_| {
        Error::bad_address(format!(
            "the path {} has {} bytes; expected one that fits into a socket address (107 bytes on Linux)",
            path.display(),
            path.as_os_str().len()
        ))
    })
}

fn parts(path: &Path) -> Result<(Folder, &str)> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let folder = parent.canonicalize().and_then(|parent| Folder::open(&parent))?;
    let name = base_name(path).ok_or_else(|| Error::bad_address("the path ends in no plain text"))?;
    Ok((folder, name))
}

fn make_in(
    folder: &Folder,
    name: &str,
    address: &UnixAddr,
    config: &Config,
) -> Result<(OwnedFd, Rendezvous)> {
    let _turn = take_over(folder, name, address)?;
    let socket = datagram_socket()?;
    // Before it has a name: no datagram comes without its sender.
    credentials::ask(&socket)?;
    match bind(socket.as_raw_fd(), address) {
        Err(Errno::EADDRINUSE) => return Err(in_use(folder, name)),
        bound => bound?,
    }
    let identity = match folder.look(name) {
        Ok(file) if file.kind == Kind::Socket => file.identity,
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        // The way there has changed between two calls.
        _ => {
            return Err(Error::denied(format!(
                "the socket is not where it was bound, at {}; expected a directory that nobody moves",
                folder.path().join(name).display()
            )));
        }
    };
    let made_by = std::process::id();
    let rendezvous = Rendezvous { folder: folder.clone(), name: name.to_owned(), identity, made_by };
    if config.shared {
        folder.set_mode(name, OTHERS_SEND)?;
    }
    Ok((socket, rendezvous))
}

/// Removes the socket of a dead server. Whatever else is there is left alone.
fn take_over(folder: &Folder, name: &str, address: &UnixAddr) -> Result<Option<Turn>> {
    let is_free = find_dead(folder, name, address)?.is_none();
    // What lies beside it belongs to who has the turn, or was left by one who was killed.
    if is_free && [turn(name), aside(name)].iter().all(|beside| folder.look(beside).is_err()) {
        return Ok(None);
    }
    let turn = Turn::take(folder, name)?;
    remove_leftover(folder, &aside(name));
    // Somebody had the turn before us; or was being bound, when its name is there before anything answers at it.
    if let Some(dead) = find_dead(folder, name, address)? {
        remove_dead(folder, name, dead)?;
    }
    Ok(Some(turn))
}

/// What is there, if it is the socket of a dead server.
fn find_dead(folder: &Folder, name: &str, address: &UnixAddr) -> Result<Option<(u64, u64)>> {
    let found = match folder.look(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    let uid = geteuid();
    if found.kind != Kind::Socket || found.uid != uid.as_raw() {
        return Err(Error::denied(format!(
            "{} is there, belongs to uid {} and is {}; expected nothing, or a dead server's socket of uid {uid}",
            folder.path().join(name).display(),
            found.uid,
            if found.kind == Kind::Socket { "a socket" } else { "no socket" }
        )));
    }
    match probe(address)? {
        Err(Errno::ENOENT) => Ok(None),
        Err(Errno::ECONNREFUSED) => Ok(Some(found.identity)),
        // It could be connected to, is another kind of socket, or takes datagrams of one peer only: it lives.
        _ => Err(in_use(folder, name)),
    }
}

/// Servers of another library hold no lease: what has come in the meantime is put back as it was.
fn remove_dead(folder: &Folder, name: &str, dead: (u64, u64)) -> Result<()> {
    let aside = aside(name);
    match folder.rename(name, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed?,
    }
    if folder.look(&aside)?.identity == dead {
        return Ok(folder.remove(&aside)?);
    }
    linkat(folder, aside.as_str(), folder, name, AtFlags::empty())?;
    folder.remove(&aside)?;
    Err(in_use(folder, name))
}

fn aside(name: &str) -> String {
    format!("{TEMPORARY}dead-{name}")
}

/// A server that was killed while it put a dead one aside has left it.
fn remove_leftover(folder: &Folder, aside: &str) {
    let is_ours = |file: &Entry| file.kind == Kind::Socket && file.uid == geteuid().as_raw();
    let is_dead =
        || UnixAddr::new(&folder.path_to(aside)).and_then(|at| probe(&at)) == Ok(Err(Errno::ECONNREFUSED));
    if folder.look(aside).is_ok_and(|file| is_ours(&file)) && is_dead() {
        let _ = folder.remove(aside);
    }
}

/// What comes of connecting there; outside, that it could not be tried.
fn probe(address: &UnixAddr) -> nix::Result<nix::Result<()>> {
    let probe = datagram_socket()?;
    Ok(connect(probe.as_raw_fd(), address))
}

pub(crate) fn in_use(folder: &Folder, name: &str) -> Error {
    ErrorKind::NameInUse { name: folder.path().join(name).display().to_string(), holder: None }.into()
}

impl Drop for Rendezvous {
    fn drop(&mut self) {
        let is_ours = || self.folder.look(&self.name).is_ok_and(|file| file.identity == self.identity);
        // In a forked child the name is still the parent's.
        if self.made_by == std::process::id() && is_ours() {
            let _ = self.folder.remove(&self.name);
        }
    }
}

/// A socket of our own, close-on-exec. It stays in blocking mode: each call says for itself whether it may sleep.
#[cfg(not(any(target_vendor = "apple", hobnob_portable)))]
pub(crate) fn datagram_socket() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
}

/// macOS has no such flag. A child that another thread forks between these calls inherits the socket.
#[cfg(any(target_vendor = "apple", hobnob_portable))]
pub(crate) fn datagram_socket() -> nix::Result<OwnedFd> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    let made = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::empty(), None)?;
    fcntl(&made, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(made)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    /// Between the probe and the removal somebody else may come, who holds no lease of ours.
    #[test]
    fn what_came_to_a_dead_ones_place_in_the_meantime_is_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        drop(UnixDatagram::bind(dir.path().join("sock")).unwrap());
        let dead = folder.look("sock").unwrap().identity;
        folder.remove("sock").unwrap();
        // So that it has another inode.
        std::fs::write(dir.path().join("in between"), "").unwrap();
        let live = UnixDatagram::bind(dir.path().join("sock")).unwrap();
        let refused = remove_dead(&folder, "sock", dead).unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::NameInUse { .. }), "{refused}");
        UnixDatagram::unbound().unwrap().send_to(b"x", dir.path().join("sock")).unwrap();
        assert_eq!(live.recv(&mut [0; 9]).unwrap(), 1);
        assert_eq!(folder.names(9).unwrap().len(), 2, "and nothing else is left");
        remove_dead(&folder, "sock", folder.look("sock").unwrap().identity).unwrap();
        assert_eq!(folder.names(9).unwrap(), ["in between"]);
    }
}
