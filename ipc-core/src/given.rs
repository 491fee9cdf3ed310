//! A socket that somebody else made, bound and gave to us: a service manager, by socket activation (sd_listen_fds(3)).

use std::{
    fmt, fs, io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{fs::MetadataExt, net::UnixDatagram},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::socket::{
        AddressFamily, SockType, SockaddrLike, SockaddrStorage, getpeername, getsockname, getsockopt, sockopt,
    },
};

use crate::{Error, ErrorKind, Kind, Result, look_at};

/// A descriptor that a server is given, instead of making one. Clones are the same one; who takes it first has it.
#[derive(Clone, Debug)]
pub struct Given(Arc<Mutex<Option<OwnedFd>>>);

/// What a socket is.
#[derive(Debug)]
struct Socket {
    family: String,
    kind: String,
    listens: bool,
    is_connected: bool,
    path: Option<PathBuf>,
}

impl Given {
    /// Gives this descriptor.
    #[must_use]
    pub fn new(descriptor: OwnedFd) -> Self {
        Self(Arc::new(Mutex::new(Some(descriptor))))
    }

    /// Takes it if it is a listening AF_UNIX stream socket that is bound at `path`, and makes it close-on-exec.
    ///
    /// # Errors
    /// `BadDescriptor`: it is something else, or taken; then it is left as it was.
    pub fn take_listener(&self, path: &Path) -> Result<OwnedFd> {
        self.take(&Socket::of_ours(SockType::Stream, path))
    }

    /// Takes it if it is an AF_UNIX datagram socket that is bound at `path` and not connected, and makes it
    /// close-on-exec.
    ///
    /// # Errors
    /// As [`take_listener`](Self::take_listener).
    pub fn take_datagram(&self, path: &Path) -> Result<OwnedFd> {
        self.take(&Socket::of_ours(SockType::Datagram, path))
    }

    fn take(&self, expected: &Socket) -> Result<OwnedFd> {
        let bad =
            |found: String| Error::from(ErrorKind::BadDescriptor { found, expected: expected.to_string() });
        // A slot is whole at every instant.
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(descriptor) = slot.as_ref() else {
            return Err(bad("one that another server has taken".into()));
        };
        let kind = look_at(descriptor.as_fd())?.kind;
        if kind != Kind::Socket {
            return Err(bad(format!("no socket ({kind:?})")));
        }
        let found = Socket::look(descriptor.as_fd())?;
        if !found.is_what(expected) {
            return Err(bad(found.to_string()));
        }
        fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        slot.take().ok_or_else(|| ErrorKind::Closed.into())
    }
}

impl Socket {
    fn of_ours(kind: SockType, path: &Path) -> Self {
        let listens = kind == SockType::Stream;
        let (family, kind) = (format!("{:?}", AddressFamily::Unix), format!("{kind:?}"));
        Self { family, kind, listens, is_connected: false, path: Some(path.to_owned()) }
    }

    fn look(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let number = socket.as_raw_fd();
        let family = getsockname::<SockaddrStorage>(number)?.family();
        Ok(Self {
            family: family.map_or_else(|| "unknown".into(), |family| format!("{family:?}")),
            kind: getsockopt(&socket, sockopt::SockType)
                .map_or_else(|_| "other".into(), |kind| format!("{kind:?}")),
            listens: getsockopt(&socket, sockopt::AcceptConn)?,
            is_connected: getpeername::<SockaddrStorage>(number).is_ok(),
            path: match family {
                Some(AddressFamily::Unix) => path_of(socket)?,
                _ => None,
            },
        })
    }

    fn is_what(&self, expected: &Self) -> bool {
        let paths = self.path.as_deref().zip(expected.path.as_deref());
        let is_there = paths.is_some_and(|(a, b)| a == b || is_same_file(a, b));
        is_there && self.traits() == expected.traits()
    }

    /// All but where it is.
    fn traits(&self) -> (&str, &str, bool, bool) {
        (&self.family, &self.kind, self.listens, self.is_connected)
    }
}

/// What it is bound to. Of a socket, std asks nothing else for this.
fn path_of(socket: BorrowedFd<'_>) -> io::Result<Option<PathBuf>> {
    let address = UnixDatagram::from(socket.try_clone_to_owned()?).local_addr()?;
    Ok(address.as_pathname().map(Path::to_owned))
}

/// Another spelling of the same path.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a socket of family {} and type {}", self.family, self.kind)?;
        if let Some(path) = &self.path {
            write!(f, " at {}", path.display())?;
        }
        if self.is_connected {
            f.write_str(" that is connected")?;
        }
        f.write_str(if self.listens { " that listens" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::{Backlog, SockFlag, UnixAddr, bind, listen, socket};

    use super::*;

    fn made(kind: SockType, listens: bool, path: &Path) -> Given {
        let socket = socket(AddressFamily::Unix, kind, SockFlag::empty(), None).unwrap();
        bind(socket.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
        if listens {
            listen(&socket, Backlog::new(1).unwrap()).unwrap();
        }
        Given::new(socket)
    }

    #[test]
    fn every_trait_of_a_socket_counts() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (i, kind) in [SockType::Stream, SockType::SeqPacket, SockType::Datagram].into_iter().enumerate() {
            for listens in [false, true] {
                if listens && kind == SockType::Datagram {
                    continue;
                }
                let path = at(&format!("{i}{listens}"));
                let given = made(kind, listens, &path);
                let is_right = |kind_of: SockType| kind == kind_of && listens == (kind == SockType::Stream);
                // Another path first: what is refused is still there.
                assert!(
                    given.take_listener(&at("other")).is_err() && given.take_datagram(&at("other")).is_err()
                );
                let as_listener = given.take_listener(&path);
                assert_eq!(as_listener.is_ok(), is_right(SockType::Stream), "{as_listener:?}");
                let as_datagram = given.take_datagram(&path);
                assert_eq!(as_datagram.is_ok(), is_right(SockType::Datagram), "{as_datagram:?}");
                for error in [as_listener.err(), as_datagram.err()].into_iter().flatten() {
                    assert!(matches!(error.kind(), ErrorKind::BadDescriptor { .. }), "{error}");
                }
            }
        }
    }

    #[test]
    fn another_spelling_of_the_path_is_the_same_place() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("link")).unwrap();
        let given = made(SockType::Stream, true, &dir.path().join("sock"));
        given.take_listener(&dir.path().join("link/sock")).unwrap();
        let said = given.take_listener(&dir.path().join("sock")).unwrap_err().to_string();
        assert!(said.contains("another server has taken"), "{said}");
    }
}
