//! The images, and nothing else: plain files beneath the root, reached over no link.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open, openat},
    sys::stat::Mode,
};

use crate::refusal::Refusal;

/// The root, held open: it stays the same directory whatever becomes of its path.
pub struct Gallery(OwnedFd);

/// What we open may turn out to be a FIFO, a device or a leased file: opening it must neither wait nor take a terminal.
const READ: OFlag = OFlag::O_RDONLY.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

impl Gallery {
    pub fn open(root: &Path) -> io::Result<Self> {
        match open(root, OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) {
            Ok(root) => Ok(Self(root)),
            Err(errno) => {
                Err(io::Error::other(format!("{}: {errno}; expected a directory of images", root.display())))
            }
        }
    }

    /// The bytes of an image, if they are no more than `most`.
    pub fn read(&self, name: &[u8], most: u64) -> Result<Vec<u8>, Refusal> {
        let shown = name.escape_ascii();
        let refused = |why: &dyn std::fmt::Display| Refusal::NoSuchImage(format!("{shown}: {why}"));
        let file = self.open_beneath(name).map_err(|errno| refused(&errno))?;
        let about = file.metadata().map_err(|error| refused(&error))?;
        if !about.is_file() {
            return Err(refused(&"no plain file"));
        }
        let too_large = |bytes: u64| Refusal::TooLarge(format!("{shown}: {bytes} bytes of at most {most}"));
        if about.len() > most {
            return Err(too_large(about.len()));
        }
        let mut bytes = Vec::with_capacity(about.len() as usize + 1);
        // It may grow while it is read.
        file.take(most + 1).read_to_end(&mut bytes).map_err(|error| refused(&error))?;
        if bytes.len() as u64 > most { Err(too_large(bytes.len() as u64)) } else { Ok(bytes) }
    }

    fn open_beneath(&self, name: &[u8]) -> nix::Result<File> {
        // No `..`, no absolute path, nothing without a name: the file system is not even asked.
        if name.split(|byte| *byte == b'/').any(|part| matches!(part, b"" | b"." | b"..")) {
            return Err(Errno::EACCES);
        }
        #[cfg(all(target_os = "linux", not(hobnob_portable)))]
        match self.open_at_once(name) {
            // A kernel before 5.6, or a sandbox that does not know the call.
            Err(Errno::ENOSYS | Errno::EPERM) => {}
            opened => return opened,
        }
        self.open_step_by_step(name)
    }

    /// The kernel follows no link of any kind, and does not leave the root.
    #[cfg(all(target_os = "linux", not(hobnob_portable)))]
    fn open_at_once(&self, name: &[u8]) -> nix::Result<File> {
        use nix::fcntl::{OpenHow, ResolveFlag, openat2};

        let within = ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        Ok(openat2(&self.0, name, OpenHow::new().flags(READ).resolve(within))?.into())
    }

    /// The same in as many calls as the name has parts. Without `..` and links there is no way out.
    fn open_step_by_step(&self, name: &[u8]) -> nix::Result<File> {
        let mut parts = name.split(|byte| *byte == b'/').map(OsStr::from_bytes).peekable();
        let mut folder = self.0.try_clone().map_err(|_| Errno::EMFILE)?;
        while let Some(part) = parts.next() {
            let flags = READ | OFlag::O_NOFOLLOW;
            if parts.peek().is_none() {
                return Ok(openat(&folder, part, flags, Mode::empty())?.into());
            }
            folder = openat(&folder, part, flags | OFlag::O_DIRECTORY, Mode::empty())?;
        }
        Err(Errno::ENOENT)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Where the kernel can do it at once, nobody else would try the other way.
    #[test]
    fn step_by_step_the_same_files_are_found_and_the_same_refused() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/in.png"), "in").unwrap();
        std::fs::write(place.path().join("out.png"), "out").unwrap();
        symlink("../out.png", root.join("link.png")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("a", root.join("other")).unwrap();
        let gallery = Gallery::open(&root).unwrap();
        let content = |opened: nix::Result<File>| opened.map(|file| io::read_to_string(file).unwrap());
        assert_eq!(content(gallery.open_step_by_step(b"a/b/in.png")), Ok("in".into()));
        for name in ["link.png", "up/out.png", "other/b/in.png", "a/b/in.png/x", "a/none", "none/x", "a\0b"] {
            assert!(gallery.open_step_by_step(name.as_bytes()).is_err(), "{name}");
        }
        #[cfg(all(target_os = "linux", not(hobnob_portable)))]
        for name in ["a/b/in.png", "link.png", "up/out.png", "other/b/in.png", "a/b/in.png/x", "a/none"] {
            let name = name.as_bytes();
            let [at_once, step_by_step] = [gallery.open_at_once(name), gallery.open_step_by_step(name)];
            assert_eq!(content(at_once).ok(), content(step_by_step).ok());
        }
    }
}
