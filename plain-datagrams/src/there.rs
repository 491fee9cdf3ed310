//! Where a client finds its server, and whose that is.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use ipc_core::{
    Address, Config, Entry, Error, ErrorKind, Folder, Kind, Place, Result, Target, no_such_server, places_of,
};
use nix::{
    errno::Errno,
    sys::socket::{UnixAddr, connect},
};

use crate::{IN_RECORD, SOCKET};

/// Connects the socket to the server at `at`: from then on it sends to it, and takes datagrams from nobody else. Gives
/// the uid that the server's socket belongs to.
pub(crate) fn connect_there(socket: &OwnedFd, at: &Address, config: &Config) -> Result<u32> {
    match at.target() {
        Target::Path(path) => connect_path(socket, path, config)?.ok_or_else(|| nobody(path)),
        Target::Name(name) => {
            for place in places_of(name, IN_RECORD, config)? {
                if let Place::Folder(folder, _) = place
                    && let Some(server) = connect_in(socket, &folder, config)?
                {
                    return Ok(server);
                }
            }
            Err(no_such_server(config))
        }
        _ => Err(Error::bad_address(format!("{at} is neither; expected dgram:NAME or dgram:/PATH"))),
    }
}

/// A path may lead through links, as /dev/log does: what counts is whose socket is at its end.
fn connect_path(socket: &OwnedFd, path: &Path, config: &Config) -> Result<Option<u32>> {
    let found = match path.canonicalize() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let parent = Folder::open(found.parent().unwrap_or(Path::new("/")))?;
    let Some(name) = ipc_core::base_name(&found) else { return Ok(None) };
    connect_to(socket, &parent, name, config)
}

fn connect_in(socket: &OwnedFd, folder: &Folder, config: &Config) -> Result<Option<u32>> {
    connect_to(socket, folder, SOCKET, config)
}

/// `None`: nobody is there.
fn connect_to(socket: &OwnedFd, folder: &Folder, name: &str, config: &Config) -> Result<Option<u32>> {
    let (_held, path, found) = match hold(folder, name) {
        Ok(held) => held,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let shown = folder.path().join(name);
    if found.kind != Kind::Socket {
        return Err(Error::bad_address(format!("{} is no socket; expected a server's", shown.display())));
    }
    if !config.trusts(found.uid) {
        return Err(ErrorKind::ServerUntrusted { uid: found.uid }.into());
    }
    match connect(socket.as_raw_fd(), &UnixAddr::new(&path)?) {
        Ok(()) => Ok(Some(found.uid)),
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => Ok(None),
        Err(errno @ Errno::EPROTOTYPE) => {
            let why = format!("{} is no datagram socket; expected one", shown.display());
            Err(Error::caused(ErrorKind::BadAddress { why }, errno.into()))
        }
        Err(errno) => Err(errno.into()),
    }
}

/// What is looked at is what is connected to.
#[cfg(all(target_os = "linux", not(hobnob_portable)))]
fn hold(folder: &Folder, name: &str) -> io::Result<(OwnedFd, PathBuf, Entry)> {
    let (held, path) = folder.pin(name)?;
    let found = ipc_core::look_at(std::os::fd::AsFd::as_fd(&held))?;
    Ok((held, path, found))
}

/// What cannot be held is looked at just before.
#[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
fn hold(folder: &Folder, name: &str) -> io::Result<((), PathBuf, Entry)> {
    Ok(((), folder.path_to(name), folder.look(name)?))
}

fn nobody(path: &Path) -> Error {
    ErrorKind::NoSuchServer { searched: vec![path.to_owned()] }.into()
}
