//! The server's side of the rendezvous: temporary bind, listen, rename; accept and check.

use std::{
    io,
    os::{
        fd::AsFd,
        unix::{
            ffi::OsStrExt,
            fs::{FileTypeExt, MetadataExt},
            net::UnixListener,
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use ipc_core::{
    Arrival, ClientFile, Config, Error, ErrorKind, Folder, Given, Interest, Interests, Place, Refusal,
    Result, Sweeper, TEMPORARY, Up, Wait, base_name, make_clients_folder,
};

use nix::{errno::Errno, sys::socket::SockType};

use crate::{
    client_file,
    peer::peer_of,
    road::Road,
    socket::{listening, nonblocking},
};

/// The rendezvous in a server's folder.
pub(crate) const SOCKET: &str = "sock";

/// To connect one must be allowed to write (unix(7)).
const OTHERS_CONNECT: u32 = 0o622;

/// Takes clients in.
#[derive(Debug)]
pub struct Listener<R: Road> {
    socket: UnixListener,
    /// What the next client's road needs; none if it could not be had at the last try.
    prepared: Option<R::Needs>,
    rendezvous: Rendezvous,
    clients: Option<Folder>,
    config: Config,
    sweeper: Sweeper,
}

/// The name in the file system, and what it was when we made it: it is only removed while it is still that.
#[derive(Debug)]
enum Rendezvous {
    Leased(Folder, (u64, u64)),
    Path(PathBuf, (u64, u64)),
    /// Somebody else's, who may give it to another server after us.
    Given,
    /// The same, and who waits there now is left to that server.
    Left,
}

pub(crate) fn listen<R: Road>(place: &Place, config: &Config) -> Result<Listener<R>> {
    let prepared = Some(R::prepare()?);
    let (socket, rendezvous, clients) = match place {
        Place::Folder(folder, _) => listen_in(R::MEETS_BY, folder, config)?,
        Place::Path(path) => match &config.given {
            Some(given) => listen_on(given, path)?,
            None => listen_at(R::MEETS_BY, path, config)?,
        },
        _ => return Err(Error::bad_address("expected a name or a path")),
    };
    let sweeper = Sweeper::new(config.seams.clone());
    Ok(Listener { socket, prepared, rendezvous, clients, config: config.clone(), sweeper })
}

/// The socket, where it can be found, and the folder for clients' files.
type Open = (UnixListener, Rendezvous, Option<Folder>);

fn listen_in(kind: SockType, folder: &Folder, config: &Config) -> Result<Open> {
    let clients = match config.client_file {
        ClientFile::Off => None,
        _ => Some(make_clients_folder(folder, config)?),
    };
    // Where paths are plain ones, the clients' files have the longest: better no server than one without clients.
    let _ = clients.as_ref().map(client_file::longest_address).transpose()?;
    let temporary = format!("{TEMPORARY}{SOCKET}");
    // Under the lease, a file of this name is a dead server's.
    let _ = folder.remove(&temporary);
    let there = folder.path_to(&temporary);
    let socket = listening(kind, &there).map_err(|error| unfit(&there, error))?;
    config.seams.reach("unix.bound")?;
    let made = folder.look(&temporary).and_then(|file| {
        if config.shared {
            folder.set_mode(&temporary, OTHERS_CONNECT)?;
        }
        config.seams.reach("unix.listening")?;
        folder.rename(&temporary, SOCKET).map(|()| file.identity)
    });
    let identity = made.inspect_err(|_| {
        let _ = folder.remove(&temporary);
    })?;
    Ok((socket, Rendezvous::Leased(folder.clone(), identity), clients))
}

fn listen_on(given: &Given, path: &Path) -> Result<Open> {
    let socket = UnixListener::from(given.take_listener(path)?);
    socket.set_nonblocking(true)?;
    Ok((socket, Rendezvous::Given, None))
}

/// A path outside our directory. The lease on it is held already, so no other hobnob server is taking it; but one
/// that knows nothing of leases may be serving it: that is asked by connecting.
fn listen_at(kind: SockType, path: &Path, config: &Config) -> Result<Open> {
    let dead = match std::fs::symlink_metadata(path) {
        Ok(found) => {
            must_be_dead(kind, path, &found)?;
            Some((found.dev(), found.ino()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let temporary = temporary_beside(path);
    // Under the lease, a socket of ours with this name was left by a server that was killed.
    if std::fs::symlink_metadata(&temporary).is_ok_and(|left| is_our_socket(&left)) {
        std::fs::remove_file(&temporary)?;
    }
    let socket = listening(kind, &temporary).map_err(|error| unfit(path, error))?;
    let made = std::fs::symlink_metadata(&temporary).and_then(|file| {
        if config.shared {
            let_others_connect(&temporary)?;
        }
        put_in_place(&temporary, path, dead)?;
        Ok((file.dev(), file.ino()))
    });
    let identity = made.inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    });
    let identity = identity.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => in_use(path),
        _ => error.into(),
    })?;
    Ok((socket, Rendezvous::Path(path.to_owned(), identity), None))
}

/// Others may write to the parent directory perhaps: `set_mode` follows no link there.
fn let_others_connect(socket: &Path) -> io::Result<()> {
    let parent = Folder::open(&socket.parent().unwrap_or(Path::new("/")).canonicalize()?)?;
    // The lease was taken under a name in plain text, so the temporary one is that, too.
    parent.set_mode(base_name(socket).unwrap_or_default(), OTHERS_CONNECT)
}

fn must_be_dead(kind: SockType, path: &Path, found: &std::fs::Metadata) -> Result<()> {
    let uid = nix::unistd::geteuid();
    if !is_our_socket(found) {
        return Err(Error::denied(format!(
            "{} is there, belongs to uid {} and is {}; expected nothing, or a dead server's socket of uid {uid}",
            path.display(),
            found.uid(),
            if found.file_type().is_socket() { "a socket" } else { "no socket" }
        )));
    }
    let probe = nonblocking(kind)?;
    let there = nix::sys::socket::UnixAddr::new(path)?;
    match nix::sys::socket::connect(std::os::fd::AsRawFd::as_raw_fd(&probe), &there) {
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => Ok(()),
        // It answered, or has a full backlog, or is a socket of another type: somebody is there.
        _ => Err(in_use(path)),
    }
}

fn in_use(path: &Path) -> Error {
    ErrorKind::NameInUse { name: path.display().to_string(), holder: None }.into()
}

fn is_our_socket(file: &std::fs::Metadata) -> bool {
    file.file_type().is_socket() && file.uid() == nix::unistd::geteuid().as_raw()
}

fn temporary_beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(TEMPORARY);
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

/// Renames over the dead socket that was found, or over nothing. Servers of another runtime directory, or of
/// another library, hold no lease of ours: what has come in the meantime is left alone.
fn put_in_place(temporary: &Path, path: &Path, dead: Option<(u64, u64)>) -> io::Result<()> {
    let taken = || io::Error::from(io::ErrorKind::AddrInUse);
    if dead.is_some() {
        let found = std::fs::symlink_metadata(path).map(|file| (file.dev(), file.ino())).ok();
        return if found == dead || found.is_none() {
            std::fs::rename(temporary, path)
        } else {
            Err(taken())
        };
    }
    #[cfg(all(target_os = "linux", not(hobnob_portable)))]
    {
        use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
        renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RenameFlags::RENAME_NOREPLACE).map_err(|errno| {
            match errno {
                Errno::EEXIST => taken(),
                errno => errno.into(),
            }
        })
    }
    // A second name for the socket, which does not replace anything either.
    #[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
    std::fs::hard_link(temporary, path)
        .map_err(|error| if error.kind() == io::ErrorKind::AlreadyExists { taken() } else { error })
        .and_then(|()| std::fs::remove_file(temporary))
}

/// `bind` failed: a path that is too long is told apart.
fn unfit(path: &Path, error: io::Error) -> Error {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENAMETOOLONG) => too_long(path),
        _ => error.into(),
    }
}

/// A path that no socket address can hold.
pub(crate) fn too_long(path: &Path) -> Error {
    Error::bad_address(format!(
        "the path {} has {} bytes; expected one that fits, with room for a temporary name, into a socket address \
         (108 bytes on Linux)",
        path.display(),
        path.as_os_str().as_bytes().len()
    ))
}

impl<R: Road> ipc_core::Listener<R> for Listener<R> {
    const DESCRIPTORS: usize = R::DESCRIPTORS;

    fn try_accept(&mut self) -> io::Result<Option<Arrival<R>>> {
        if let Rendezvous::Left = self.rendezvous {
            return Ok(None);
        }
        if let Some(clients) = &self.clients {
            // Older than any file that would still be taken.
            self.sweeper.sweep(clients, |_, _| true);
        }
        let needs = self.prepared.take().map_or_else(R::prepare, Ok)?;
        let (socket, from) = match self.socket.accept() {
            Ok(accepted) => accepted,
            Err(error) => {
                self.prepared = Some(needs);
                return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
            }
        };
        // At once, so that a server holds as much after a client as before.
        self.prepared = R::prepare().ok();
        // A peer that is gone again has no credentials on some systems.
        let Ok(peer) = peer_of(&socket) else { return Ok(Some(Arrival::Rejected(Refusal::Gone, None))) };
        let file = self.check_file(from.as_pathname(), &peer);
        let Ok(link) = R::accepted(Arc::new(socket), peer, needs, &self.config) else {
            return Ok(Some(Arrival::Rejected(Refusal::Gone, None)));
        };
        Ok(Some(match file {
            Ok(()) => Arrival::Incoming(Up::new(link)),
            Err(reason) => Arrival::Rejected(reason, Some(link)),
        }))
    }

    /// It stays readable.
    fn may_have_more(&self) -> bool {
        false
    }

    fn retire(&mut self) {
        match &self.rendezvous {
            Rendezvous::Leased(folder, ours)
                if folder.look(SOCKET).is_ok_and(|file| file.identity == *ours) =>
            {
                let _ = folder.remove(SOCKET);
            }
            Rendezvous::Path(path, ours) => {
                let still =
                    std::fs::symlink_metadata(path).is_ok_and(|file| (file.dev(), file.ino()) == *ours);
                if still {
                    let _ = std::fs::remove_file(path);
                }
            }
            Rendezvous::Given => self.rendezvous = Rendezvous::Left,
            Rendezvous::Leased(..) | Rendezvous::Left => {}
        }
    }
}

impl<R: Road> Listener<R> {
    fn check_file(&self, from: Option<&Path>, peer: &ipc_core::Peer) -> std::result::Result<(), Refusal> {
        let Some(clients) = &self.clients else { return Ok(()) };
        match from.map(base_name) {
            Some(Some(name)) => client_file::check_and_unlink(clients, name, peer, self.config.seams.wall()),
            Some(None) => Err(Refusal::BadClientFile),
            None if self.config.client_file == ClientFile::Required => Err(Refusal::BadClientFile),
            None => Ok(()),
        }
    }
}

impl<R: Road> Wait for Listener<R> {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.socket.as_fd(), Interest::Readable);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Between the look and the rename somebody else may come, who holds no lease of ours.
    #[test]
    fn what_came_to_a_path_in_the_meantime_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (temporary, path) = (dir.path().join("temporary"), dir.path().join("calc.sock"));
        let _ours = UnixListener::bind(&temporary).unwrap();
        std::fs::write(&path, "somebody's").unwrap();
        let refused = put_in_place(&temporary, &path, None).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&path).unwrap(), b"somebody's");
        std::fs::remove_file(&path).unwrap();
        put_in_place(&temporary, &path, None).unwrap();
        assert!(path.exists() && !temporary.exists());
    }
}
