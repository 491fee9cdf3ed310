//! A directory held by descriptor. Every file that hobnob makes, looks at or unlinks is named relative to one, so
//! that no renamed or swapped parent can lead it astray.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use nix::{
    dir::Dir,
    fcntl::{AtFlags, OFlag, openat, renameat},
    sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmod, fchmodat, fstat, fstatat, mkdirat},
    unistd::{UnlinkatFlags, fchown, getegid, unlinkat},
};

use crate::{Error, ErrorKind};

/// A directory held by descriptor. Cloning shares the descriptor.
#[derive(Clone, Debug)]
pub struct Folder {
    fd: Arc<OwnedFd>,
    path: PathBuf,
}

/// What a file is, seen without following a link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its type.
    pub kind: Kind,
    /// Its permission bits, without the type.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// How many names it has.
    pub links: u64,
    /// Its file system and inode: what it *is*, whatever it is called.
    pub identity: (u64, u64),
    /// When it was last changed.
    pub modified: SystemTime,
}

/// The types of file that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Fifo,
    Socket,
    Directory,
    File,
    Other,
}

const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// To go through a directory one need not be allowed to read it: a shared one cannot be listed by others.
#[cfg(all(target_os = "linux", not(hobnob_portable)))]
const THROUGH: OFlag = OFlag::O_PATH.union(DIRECTORY);
#[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
const THROUGH: OFlag = DIRECTORY;

impl Folder {
    /// Opens the directory at `path`; its last component must not be a link.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let fd = nix::fcntl::open(path, THROUGH, Mode::empty())?;
        Ok(Self { fd: Arc::new(fd), path: path.to_owned() })
    }

    /// Opens the directory at `path`, through links: for parents that the system's administrator laid out, or that
    /// an address names.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open_following(path: &Path) -> io::Result<Self> {
        let fd = nix::fcntl::open(path, THROUGH.difference(OFlag::O_NOFOLLOW), Mode::empty())?;
        Ok(Self { fd: Arc::new(fd), path: path.to_owned() })
    }

    /// Opens the directory `name` in this one; it must not be a link.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn enter(&self, name: &str) -> io::Result<Self> {
        let fd = openat(&self.fd, name, THROUGH, Mode::empty())?;
        Ok(Self { fd: Arc::new(fd), path: self.path.join(name) })
    }

    /// The same, with a descriptor that can also be read, locked and changed.
    fn open_own(&self, name: &str) -> io::Result<Self> {
        let fd = openat(&self.fd, name, DIRECTORY, Mode::empty())?;
        Ok(Self { fd: Arc::new(fd), path: self.path.join(name) })
    }

    /// A description of the directory `name` in this one that nobody else has.
    pub(crate) fn describe(&self, name: &str) -> io::Result<OwnedFd> {
        Ok(openat(&self.fd, name, DIRECTORY, Mode::empty())?)
    }

    /// Makes the directory `name` in this one with exactly this mode, unless it is there, and opens it.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn make(&self, name: &str, mode: u32) -> io::Result<Self> {
        let made = match mkdirat(&self.fd, name, Mode::from_bits_truncate(mode)) {
            Ok(()) => true,
            Err(nix::errno::Errno::EEXIST) => false,
            Err(errno) => return Err(errno.into()),
        };
        let folder = self.open_own(name)?;
        if made {
            folder.set_own_mode(mode)?;
        }
        Ok(folder)
    }

    /// Sets the permission bits of this directory itself, which was opened by [`make`](Self::make).
    pub(crate) fn set_own_mode(&self, mode: u32) -> io::Result<()> {
        if self.itself()?.mode != mode {
            fchmod(&self.fd, Mode::from_bits_truncate(mode))?;
        }
        Ok(())
    }

    /// Gives this directory to our own group, and with the set-group-ID bit of `mode` all that is made in it.
    pub(crate) fn share(&self, mode: u32) -> io::Result<()> {
        fchown(&self.fd, None, Some(getegid()))?;
        Ok(fchmod(&self.fd, Mode::from_bits_truncate(mode))?)
    }

    /// Makes the FIFO `name` with exactly this mode, for which the umask is not asked. It must not be there yet.
    /// It is open for reading already, which is the only way to make sure of the mode cheaply.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn make_fifo(&self, name: &str, mode: u32) -> io::Result<OwnedFd> {
        self.name_fifo(name, Mode::from_bits_truncate(mode))?;
        let opened = self.open_file(name, Access::Read);
        if opened.as_ref().is_ok_and(|fifo| look_at(fifo.as_fd()).is_ok_and(|found| found.mode == mode)) {
            return opened;
        }
        // A umask that takes from the owner is rare.
        self.set_mode(name, mode)?;
        opened.or_else(|_| self.open_file(name, Access::Read))
    }

    #[cfg(not(any(target_vendor = "apple", hobnob_portable)))]
    fn name_fifo(&self, name: &str, mode: Mode) -> nix::Result<()> {
        nix::unistd::mkfifoat(&self.fd, name, mode)
    }

    /// macOS has had mkfifoat(2) since version 13 only, and nix does not offer it there.
    #[cfg(any(target_vendor = "apple", hobnob_portable))]
    fn name_fifo(&self, name: &str, mode: Mode) -> nix::Result<()> {
        nix::unistd::mkfifo(&self.path_to(name), mode)
    }

    /// Sets the permission bits of `name`, a FIFO or socket that was just made, whatever the umask was. Whatever has
    /// come in its place since is left alone: a link would lead out of this directory.
    ///
    /// # Errors
    /// What the operating system says; `PermissionDenied`: something else has this name.
    pub fn set_mode(&self, name: &str, mode: u32) -> io::Result<()> {
        let mode = Mode::from_bits_truncate(mode);
        #[cfg(all(target_os = "linux", not(hobnob_portable)))]
        {
            let (pinned, path) = self.pin(name)?;
            self.must_be_made(&look_at(pinned.as_fd())?, name)?;
            Ok(fchmodat(nix::fcntl::AT_FDCWD, &path, mode, FchmodatFlags::FollowSymlink)?)
        }
        #[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
        {
            self.must_be_made(&self.look(name)?, name)?;
            Ok(fchmodat(&self.fd, name, mode, FchmodatFlags::NoFollowSymlink)?)
        }
    }

    fn must_be_made(&self, found: &Entry, name: &str) -> io::Result<()> {
        if matches!(found.kind, Kind::Fifo | Kind::Socket) && found.links == 1 {
            return Ok(());
        }
        let why = format!("{} is no longer the file that was made there", self.path.join(name).display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
    }

    /// Holds the file `name` itself, by a descriptor that can do nothing else (O_PATH), and not what it may link to.
    /// The path leads to exactly this file while the descriptor is open, whatever becomes of its name.
    ///
    /// # Errors
    /// What the operating system says.
    #[cfg(all(target_os = "linux", not(hobnob_portable)))]
    pub fn pin(&self, name: &str) -> io::Result<(OwnedFd, PathBuf)> {
        use std::os::fd::AsRawFd;
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let pinned = openat(&self.fd, name, flags, Mode::empty())?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", pinned.as_raw_fd()));
        Ok((pinned, path))
    }

    /// What this directory itself is.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn itself(&self) -> io::Result<Entry> {
        Ok(entry(&fstat(&self.fd)?))
    }

    /// What `name` is.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn look(&self, name: impl AsRef<OsStr>) -> io::Result<Entry> {
        Ok(entry(&fstatat(&self.fd, name.as_ref(), AtFlags::AT_SYMLINK_NOFOLLOW)?))
    }

    /// Unlinks `name`, which is not a directory.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name.as_ref(), UnlinkatFlags::NoRemoveDir)?)
    }

    /// Removes the empty directory `name`.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn remove_folder(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name.as_ref(), UnlinkatFlags::RemoveDir)?)
    }

    /// Renames a file within this directory, over whatever has the new name.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.fd, from, &self.fd, to)?)
    }

    /// Renames a file within this directory, and replaces nothing.
    ///
    /// # Errors
    /// `AlreadyExists`: something has the new name. What the operating system says.
    pub fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        #[cfg(all(target_os = "linux", not(hobnob_portable)))]
        {
            use nix::fcntl::{RenameFlags, renameat2};
            Ok(renameat2(&self.fd, from, &self.fd, to, RenameFlags::RENAME_NOREPLACE)?)
        }
        // A second name, which replaces nothing either; a directory can have none.
        #[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
        {
            if self.look(from)?.kind != Kind::Directory {
                nix::unistd::linkat(&self.fd, from, &self.fd, to, AtFlags::empty())?;
                return self.remove(from);
            }
            match self.look(to) {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => self.rename(from, to),
            }
        }
    }

    /// At most so many of the names in this directory, in no order.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn names(&self, most: usize) -> io::Result<Vec<OsString>> {
        // A description of its own: reading moves a position.
        let mut dir = Dir::openat(&self.fd, ".", DIRECTORY, Mode::empty())?;
        let names = dir
            .iter()
            .filter_map(|entry| Some(OsStr::from_bytes(entry.ok()?.file_name().to_bytes()).to_owned()));
        Ok(names.filter(|name| name != "." && name != "..").take(most).collect())
    }

    /// Puts a file there with exactly this mode, whole or not at all, in place of what has the name.
    ///
    /// # Errors
    /// What the operating system says; nothing is left then.
    pub fn write_whole(&self, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        let temporary = format!("{TEMPORARY}{name}");
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let written = openat(&self.fd, temporary.as_str(), flags, Mode::from_bits_truncate(mode))
            .map_err(io::Error::from)
            .and_then(|fd| {
                fchmod(&fd, Mode::from_bits_truncate(mode))?;
                std::fs::File::from(fd).write_all(bytes)
            })
            .and_then(|()| self.rename(&temporary, name));
        if written.is_err() {
            let _ = self.remove(&temporary);
        }
        written
    }

    /// Reads a small file that must be a plain one.
    pub(crate) fn read_small(&self, name: &str, most: usize) -> io::Result<String> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let mut file = std::fs::File::from(openat(&self.fd, name, flags, Mode::empty())?);
        let mut text = vec![0; most];
        // One read gives all of a file as small as that. A FIFO gives nothing; a directory fails.
        let count = file.read(&mut text)?;
        text.truncate(count);
        String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Opens `name`, which must not be a link, close-on-exec and nonblocking.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open_file(&self, name: &str, access: Access) -> io::Result<OwnedFd> {
        let flags = access.flags() | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        Ok(openat(&self.fd, name, flags, Mode::empty())?)
    }

    /// A path to `name` for the calls that take nothing else (bind, connect). On Linux it goes through the
    /// descriptor, so it is short enough for a socket's 108 bytes and does not care what the parents are called
    /// by now. Elsewhere it is the plain path, which may be too long for a socket.
    #[must_use]
    pub fn path_to(&self, name: &str) -> PathBuf {
        #[cfg(all(target_os = "linux", not(hobnob_portable)))]
        {
            use std::os::fd::AsRawFd;
            PathBuf::from(format!("/proc/self/fd/{}/{name}", self.fd.as_raw_fd()))
        }
        #[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
        self.path.join(name)
    }

    /// What this directory was called when it was opened; for people.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The beginning of the names of files that are not finished yet.
pub const TEMPORARY: &str = ".tmp-";

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read.
    Read,
    /// To write.
    Write,
}

impl Access {
    fn flags(self) -> OFlag {
        match self {
            Self::Read => OFlag::O_RDONLY,
            Self::Write => OFlag::O_WRONLY,
        }
    }
}

/// What an open file is.
///
/// # Errors
/// What the operating system says.
pub fn look_at(fd: BorrowedFd<'_>) -> io::Result<Entry> {
    Ok(entry(&fstat(fd)?))
}

/// The error for a file of a server's that cannot be opened. A link or a directory in its place was not put there by
/// hobnob.
#[must_use]
pub fn strange(folder: &Folder, name: &str, error: io::Error) -> Error {
    use nix::errno::Errno;
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ELOOP | Errno::ENOTDIR | Errno::EISDIR) => {
            let why =
                format!("{} is a link, or not what a server makes there", folder.path.join(name).display());
            Error::caused(ErrorKind::Denied { why }, error)
        }
        _ => error.into(),
    }
}

/// The last component of a path that a peer sent, if it is plain text.
#[must_use]
pub fn base_name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

// The widths of these fields differ between systems.
#[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation)]
fn entry(stat: &FileStat) -> Entry {
    let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    #[cfg(not(target_os = "netbsd"))]
    let nanoseconds = stat.st_mtime_nsec;
    #[cfg(target_os = "netbsd")]
    let nanoseconds = stat.st_mtimensec;
    let modified = Duration::new(stat.st_mtime.max(0) as u64, nanoseconds.clamp(0, 999_999_999) as u32);
    Entry {
        kind: match kind {
            SFlag::S_IFIFO => Kind::Fifo,
            SFlag::S_IFSOCK => Kind::Socket,
            SFlag::S_IFDIR => Kind::Directory,
            SFlag::S_IFREG => Kind::File,
            _ => Kind::Other,
        },
        mode: stat.st_mode as u32 & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        links: stat.st_nlink as u64,
        identity: (stat.st_dev as u64, stat.st_ino as u64),
        modified: SystemTime::UNIX_EPOCH + modified,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use super::*;

    #[test]
    fn the_mode_of_what_has_come_in_its_place_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let (folder, at) = (Folder::open(place.path()).unwrap(), |name: &str| place.path().join(name));
        let _socket = UnixListener::bind(at("socket")).unwrap();
        std::fs::write(at("file"), "x").unwrap();
        symlink("socket", at("link")).unwrap();
        std::fs::hard_link(at("socket"), at("second")).unwrap();
        let before = folder.look("socket").unwrap().mode;
        for name in ["link", "second", "file"] {
            let refused = folder.set_mode(name, 0o700).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{name}: {refused}");
        }
        assert_eq!(folder.look("socket").unwrap().mode, before);
        std::fs::remove_file(at("second")).unwrap();
        folder.set_mode("socket", 0o700).unwrap();
        assert_eq!(folder.look("socket").unwrap().mode, 0o700);
    }

    #[test]
    fn a_new_name_replaces_nothing() {
        let place = tempfile::tempdir().unwrap();
        let (folder, at) = (Folder::open(place.path()).unwrap(), |name: &str| place.path().join(name));
        std::fs::write(at("taken"), "precious").unwrap();
        std::fs::create_dir(at("empty")).unwrap();
        for from in ["fifo", "directory"] {
            match from {
                "fifo" => drop(folder.make_fifo(from, 0o600).unwrap()),
                _ => drop(folder.make(from, 0o700).unwrap()),
            }
            for to in ["taken", "empty"] {
                let refused = folder.rename_new(from, to).unwrap_err();
                assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists, "{from} to {to}");
            }
            let was = folder.look(from).unwrap().identity;
            let new = format!("new {from}");
            folder.rename_new(from, &new).unwrap();
            assert_eq!(folder.look(&new).unwrap().identity, was);
            assert!(!at(from).exists());
        }
        assert_eq!(std::fs::read(at("taken")).unwrap(), b"precious");
    }
}
