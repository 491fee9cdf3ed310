//! A file looked at before it is opened, and opened as exactly the file that was looked at.

use std::{io, os::fd::OwnedFd};

use ipc_core::{Access, Entry, Folder};

#[cfg(target_os = "linux")]
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

/// Without O_PATH the file is opened by name and then compared. Not run on any system yet.
#[cfg(not(target_os = "linux"))]
mod by_name {
    use super::{Access, Entry, Folder, OwnedFd, io};

    #[derive(Debug)]
    pub(crate) struct Pinned {
        reader: OwnedFd,
        writer: Option<OwnedFd>,
    }

    impl Pinned {
        pub(crate) fn new(folder: &Folder, name: &str) -> io::Result<Self> {
            use std::os::fd::AsFd;
            let reader = folder.open_file(name, Access::Read)?;
            // The reader is open, so this does not fail for want of one.
            let writer = folder.open_file(name, Access::Write)?;
            if ipc_core::look_at(reader.as_fd())?.identity != ipc_core::look_at(writer.as_fd())?.identity {
                return Err(io::Error::other("the file was swapped"));
            }
            Ok(Self { reader, writer: Some(writer) })
        }

        pub(crate) fn look(&self) -> io::Result<Entry> {
            use std::os::fd::AsFd;
            ipc_core::look_at(self.reader.as_fd())
        }

        pub(crate) fn open(&self, access: Access) -> io::Result<OwnedFd> {
            match (access, &self.writer) {
                (Access::Write, Some(writer)) => writer.try_clone(),
                _ => self.reader.try_clone(),
            }
        }
    }

    /// There is no other description to be had without a name: those halves wait with poll(2).
    pub(crate) fn reopen(_: &OwnedFd, _: Access) -> io::Result<OwnedFd> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(target_os = "linux")]
pub(crate) use by_descriptor::{Pinned, reopen};
#[cfg(not(target_os = "linux"))]
pub(crate) use by_name::{Pinned, reopen};
