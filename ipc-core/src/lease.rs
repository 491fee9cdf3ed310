//! Who owns a name: the process that holds flock(2) on the server's own folder. Nothing else decides, neither a
//! probe nor a file's age: the kernel frees the lock at the instant its holder dies.
//!
//! A child forked without exec shares the lock and the listener with its parent: while it lives, the name is in use.

use std::{io, os::fd::OwnedFd};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use crate::{
    Config, Entry, Error, ErrorKind, Folder, Kind, Record, Result, Seams, runtime_dir::check_private,
};

/// A name that is ours. Dropping it gives the name back.
#[derive(Debug)]
pub struct Lease {
    parent: Folder,
    folder: Folder,
    key: String,
    lock: Option<Flock<OwnedFd>>,
    taken_by: u32,
}

/// The folder in a server's folder where clients put their files.
pub const CLIENTS: &str = "clients";

/// The mode of a folder that is ours alone, and of one that others may go through.
pub(crate) const PRIVATE: u32 = 0o700;
pub(crate) const SHARED: u32 = 0o711;

/// Where others may make files, but not list, remove or rename them: what they make belongs to our group, so that
/// a server that is not root can open it, and they are told by the set-group-ID bit to let it.
const SHARED_CLIENTS: u32 = 0o3733;

/// Makes the folder for the clients' files in a server's folder.
///
/// # Errors
/// What the operating system says.
pub fn make_clients_folder(folder: &Folder, config: &Config) -> io::Result<Folder> {
    let clients = folder.make(CLIENTS, PRIVATE)?;
    open_to_clients(&clients, config)?;
    Ok(clients)
}

/// Lets those into a folder of ours who may be clients: ourselves, or everybody if the server is shared.
///
/// # Errors
/// What the operating system says.
pub fn open_to_clients(clients: &Folder, config: &Config) -> io::Result<()> {
    if config.shared { clients.share(SHARED_CLIENTS) } else { clients.set_own_mode(PRIVATE) }
}

/// Whether this is a folder for clients' files of a server that runs as `uid`, which nobody else can have made.
#[must_use]
pub fn is_clients_folder(found: &Entry, uid: u32) -> bool {
    found.kind == Kind::Directory
        && found.uid == uid
        && (found.mode == PRIVATE || found.mode == SHARED_CLIENTS)
}

/// Whether the clients of this folder may be other users than its server.
#[must_use]
pub fn is_shared(clients: &Entry) -> bool {
    clients.mode & 0o2000 != 0
}

/// How often a folder may vanish between being made and being locked before we give up. Each time, another
/// server has stopped in between.
const TRIES: usize = 100;

impl Lease {
    /// Takes the lease on the folder `key` in `parent`; `name` is what the user calls it.
    pub(crate) fn take(parent: &Folder, key: &str, name: &str, config: &Config) -> Result<Self> {
        for _ in 0..TRIES {
            if let Some(lease) = Self::try_take(parent, key, name, &config.seams)? {
                lease.clear(false);
                lease.folder.set_own_mode(if config.shared { SHARED } else { PRIVATE })?;
                config.seams.reach("lease.cleared")?;
                return Ok(lease);
            }
        }
        Err(Error::caused(
            ErrorKind::NameInUse { name: name.to_owned(), holder: None },
            io::Error::other("other servers took and gave it back all the time"),
        ))
    }

    /// `None` if the folder was removed before it was locked.
    fn try_take(parent: &Folder, key: &str, name: &str, seams: &Seams) -> Result<Option<Self>> {
        // What could not be opened and locked is not made: without these two descriptors it would be left behind.
        drop([parent.enter(".")?, parent.enter(".")?]);
        let folder = match parent.make(key, PRIVATE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            made => made.map_err(|error| not_a_folder(parent, key, error))?,
        };
        check_private(&folder.itself()?, folder.path())?;
        // A description of its own, so that clones of the folder do not keep the lock.
        let description = match parent.describe(key) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            described => described?,
        };
        let lock = match Flock::lock(description, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, Errno::EWOULDBLOCK)) => {
                let holder = Record::read(&folder).map(Into::into);
                return Err(ErrorKind::NameInUse { name: name.to_owned(), holder }.into());
            }
            Err((_, errno)) => return Err(errno.into()),
        };
        let locked = crate::folder::look_at(std::os::fd::AsFd::as_fd(&*lock))?.identity;
        let current = parent.look(key).map(|entry| entry.identity).ok();
        let stands = current == Some(locked) && folder.itself()?.identity == locked;
        let (parent, key, taken_by) = (parent.clone(), key.to_owned(), std::process::id());
        let lease = Self { parent, folder, key, lock: Some(lock), taken_by };
        if stands {
            seams.reach("lease.locked")?;
            return Ok(Some(lease));
        }
        lease.let_go();
        Ok(None)
    }

    /// The server's own folder, cleared of what a dead one left.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Writes the record that clients look for: last of all, for who finds it expects to find everything else.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn announce(&self, transport: &str, config: &Config) -> io::Result<()> {
        Record::of_this_process(transport, config.seams.wall()).write(&self.folder, config.shared)
    }

    /// Removes what a server leaves in its folder: ours by the lock, one level deep, never through a link.
    fn clear(&self, with_clients: bool) {
        if let Ok(clients) = self.folder.enter(CLIENTS) {
            remove_files(&clients);
        }
        remove_files(&self.folder);
        if with_clients {
            let _ = self.folder.remove_folder(CLIENTS);
        }
    }

    /// Unlocks without touching the folder.
    fn let_go(mut self) {
        self.taken_by = 0;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(lock) = self.lock.take() else { return };
        if self.taken_by == std::process::id() {
            self.clear(true);
            let _ = self.parent.remove_folder(&self.key);
        } else if self.taken_by != 0 {
            // A forked child: `Flock` unlocks when dropped, and that would free the parent's lock too. The
            // descriptor is left to the child's end.
            std::mem::forget(lock);
            return;
        }
        let _ = lock.unlock();
    }
}

fn remove_files(folder: &Folder) {
    for name in folder.names(usize::MAX).unwrap_or_default() {
        match folder.look(&name) {
            Ok(entry) if entry.kind != Kind::Directory => drop(folder.remove(&name)),
            // In a shared folder others can make directories too; an empty one can go.
            Ok(_) if name != CLIENTS => drop(folder.remove_folder(&name)),
            _ => {}
        }
    }
}

fn not_a_folder(parent: &Folder, key: &str, error: io::Error) -> Error {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ELOOP | Errno::ENOTDIR) => Error::denied(format!(
            "{} is a link or not a directory; expected a directory of ours",
            parent.path().join(key).display()
        )),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> (tempfile::TempDir, Folder) {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        (place, folder)
    }

    fn take(parent: &Folder) -> Result<Lease> {
        Lease::take(parent, "calc", "calc", &Config::default())
    }

    #[test]
    fn the_second_is_refused_until_the_first_lets_go_and_nothing_is_left() {
        let (place, parent) = runtime();
        let first = take(&parent).unwrap();
        assert!(matches!(take(&parent).unwrap_err().kind(), ErrorKind::NameInUse { holder: None, .. }));
        drop(first);
        drop(take(&parent).unwrap());
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn leftovers_of_a_dead_server_are_cleared_and_directories_in_the_way_are_not_entered() {
        let (place, parent) = runtime();
        let dead = place.path().join("calc");
        std::fs::create_dir_all(dead.join("clients")).unwrap();
        std::fs::create_dir(dead.join("somebody's")).unwrap();
        std::fs::set_permissions(&dead, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        for file in ["record", ".tmp-sock", "clients/1-aa", "somebody's/letter"] {
            std::fs::write(dead.join(file), "x").unwrap();
        }
        drop(take(&parent).unwrap());
        let left: Vec<_> = std::fs::read_dir(&dead).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["somebody's"]);
        assert!(dead.join("somebody's/letter").exists());
    }

    #[test]
    fn a_folder_that_is_a_link_or_open_to_others_is_denied() {
        let (place, parent) = runtime();
        std::os::unix::fs::symlink("/tmp", place.path().join("calc")).unwrap();
        assert!(matches!(take(&parent).unwrap_err().kind(), ErrorKind::Denied { .. }));
        std::fs::remove_file(place.path().join("calc")).unwrap();
        std::fs::create_dir(place.path().join("calc")).unwrap();
        std::fs::set_permissions(
            place.path().join("calc"),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        let said = take(&parent).unwrap_err().to_string();
        assert!(said.contains("mode 0755") && said.contains("expected"), "{said}");
    }

    #[test]
    fn a_thousand_races_have_one_winner_each() {
        let (_place, parent) = runtime();
        for _ in 0..125 {
            let start = std::sync::Barrier::new(8);
            let results: Vec<_> = std::thread::scope(|scope| {
                let racers: Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            start.wait();
                            take(&parent)
                        })
                    })
                    .collect();
                racers.into_iter().map(|racer| racer.join().unwrap()).collect()
            });
            // All results are held until here, so a winner keeps the name while the others try.
            assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        }
    }
}
