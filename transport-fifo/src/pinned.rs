//! A file looked at before it is opened, and opened as exactly the file that was looked at.

use std::{io, os::fd::OwnedFd};

use ipc_core::{Access, Entry, Folder};

#[cfg(all(target_os = "linux", not(hobnob_portable)))]
mod by_descriptor {
    use std::{
        io::Write,
        os::fd::{AsFd, AsRawFd},
    };

    use nix::{
        fcntl::{OFlag, open, openat},
        sys::stat::Mode,
    };

    use super::{Access, Entry, Folder, OwnedFd, io};

    /// An O_PATH descriptor: it holds the file and cannot read it, and opening a FIFO so waits for nobody.
    #[derive(Debug)]
    pub(crate) struct Pinned(OwnedFd);

    impl Pinned {
        pub(crate) fn new(folder: &Folder, name: &str) -> io::Result<Self> {
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            Ok(Self(openat(folder, name, flags, Mode::empty())?))
        }

        pub(crate) fn look(&self) -> io::Result<Entry> {
            ipc_core::look_at(self.0.as_fd())
        }

        pub(crate) fn open(&self, access: Access) -> io::Result<OwnedFd> {
            reopen(&self.0, access)
        }
    }

    /// Another open description of the same file, nonblocking, whatever became of its name.
    pub(crate) fn reopen(fd: &OwnedFd, access: Access) -> io::Result<OwnedFd> {
        let access = match access {
            Access::Read => OFlag::O_RDONLY,
            Access::Write => OFlag::O_WRONLY,
        };
        // On the stack: the message path comes here, once for each half.
        let mut path = [0; 32];
        let mut rest = &mut path[..];
        write!(rest, "/proc/self/fd/{}", fd.as_raw_fd())?;
        let unused = rest.len();
        Ok(open(&path[..path.len() - unused], access | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty())?)
    }
}

/// Without O_PATH the file is looked at by name, and what is opened under that name later must be the same file.
#[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
mod by_name {
    use std::os::fd::AsFd;

    use super::{Access, Entry, Folder, OwnedFd, io};

    #[derive(Debug)]
    pub(crate) struct Pinned {
        folder: Folder,
        name: String,
        seen: Entry,
    }

    impl Pinned {
        pub(crate) fn new(folder: &Folder, name: &str) -> io::Result<Self> {
            Ok(Self { folder: folder.clone(), name: name.to_owned(), seen: folder.look(name)? })
        }

        #[allow(clippy::unnecessary_wraps, reason = "where it asks the descriptor, that can fail")]
        pub(crate) fn look(&self) -> io::Result<Entry> {
            Ok(self.seen.clone())
        }

        pub(crate) fn open(&self, access: Access) -> io::Result<OwnedFd> {
            let opened = self.folder.open_file(&self.name, access)?;
            if ipc_core::look_at(opened.as_fd())?.identity != self.seen.identity {
                return Err(io::Error::other("the file was swapped"));
            }
            Ok(opened)
        }
    }

    /// There is no other description to be had without a name: those halves wait with poll(2).
    pub(crate) fn reopen(_: &OwnedFd, _: Access) -> io::Result<OwnedFd> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(target_os = "linux", not(hobnob_portable)))]
pub(crate) use by_descriptor::{Pinned, reopen};
#[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
pub(crate) use by_name::{Pinned, reopen};

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    /// The file itself, or none at all: never what has its name by now.
    #[test]
    fn what_is_opened_is_what_was_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        drop(folder.make_fifo("asked", 0o600).unwrap());
        let pinned = Pinned::new(&folder, "asked").unwrap();
        let seen = pinned.look().unwrap();
        let identity = |fd: OwnedFd| ipc_core::look_at(fd.as_fd()).unwrap().identity;
        assert_eq!(identity(pinned.open(Access::Read).unwrap()), seen.identity);
        folder.rename("asked", "away").unwrap();
        drop(folder.make_fifo("asked", 0o600).unwrap());
        match pinned.open(Access::Read) {
            Ok(opened) => assert_eq!(identity(opened), seen.identity),
            // By name there is nothing left to open.
            Err(error) => assert_eq!(error.to_string(), "the file was swapped"),
        }
        folder.remove("asked").unwrap();
        std::os::unix::fs::symlink("away", dir.path().join("asked")).unwrap();
        assert!(Pinned::new(&folder, "asked").and_then(|link| link.open(Access::Read)).is_err());
    }
}
