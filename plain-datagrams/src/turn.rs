//! Whose turn it is to take a dead server's place: servers with a lease in another directory of names would remove each
//! other's live socket.

use std::os::fd::{AsFd, OwnedFd};

use ipc_core::{Error, Folder, Kind, Result, TEMPORARY, look_at};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg, OFlag, openat},
    sys::stat::Mode,
    unistd::geteuid,
};

use crate::rendezvous::in_use;

/// A locked file (flock(2)) beside the socket. The lock of whoever is killed is gone with it.
pub(crate) struct Turn {
    folder: Folder,
    name: String,
    _lock: Flock<OwnedFd>,
}

/// The file's name.
pub(crate) fn turn(name: &str) -> String {
    format!("{TEMPORARY}turn-{name}")
}

/// How often the file may be gone before it is locked: each time somebody else has had the turn.
const TRIES: usize = 100;

impl Turn {
    /// # Errors
    /// `NameInUse`: somebody else has it.
    pub(crate) fn take(folder: &Folder, name: &str) -> Result<Self> {
        for _ in 0..TRIES {
            if let Some(turn) = Self::try_take(folder, name)? {
                return Ok(turn);
            }
        }
        Err(in_use(folder, name))
    }

    /// None: whoever had it has removed the file that we were about to lock.
    fn try_take(folder: &Folder, name: &str) -> Result<Option<Self>> {
        let turn = turn(name);
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = openat(folder, turn.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let found = look_at(file.as_fd())?;
        if found.kind != Kind::File || found.uid != geteuid().as_raw() {
            return Err(Error::denied(format!(
                "{} is there and is not ours; expected nothing",
                folder.path().join(turn).display()
            )));
        }
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Err((_, Errno::EWOULDBLOCK)) => return Err(in_use(folder, name)),
            locked => locked.map_err(|(_, errno)| errno)?,
        };
        let is_still_there = folder.look(&turn).is_ok_and(|there| there.identity == found.identity);
        Ok(is_still_there.then(|| Self { folder: folder.clone(), name: turn, _lock: lock }))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Nobody else removes it while it is locked.
        let _ = self.folder.remove(&self.name);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ipc_core::ErrorKind;

    use super::*;

    #[test]
    fn one_has_the_turn_and_what_a_dead_one_left_is_no_hindrance() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        std::fs::write(dir.path().join(turn("sock")), "").unwrap();
        let first = Turn::take(&folder, "sock").unwrap();
        let told = Turn::take(&folder, "sock").map(drop).unwrap_err();
        assert!(matches!(told.kind(), ErrorKind::NameInUse { .. }), "{told}");
        drop(first);
        assert!(folder.names(9).unwrap().is_empty());
        drop(Turn::take(&folder, "sock").unwrap());
    }

    #[test]
    fn what_is_no_file_of_ours_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        nix::unistd::mkfifo(&dir.path().join(turn("sock")), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let told = Turn::take(&folder, "sock").map(drop).unwrap_err();
        assert!(matches!(told.kind(), ErrorKind::Denied { .. }), "{told}");
        assert_eq!(folder.names(9).unwrap().len(), 1);
    }
}
