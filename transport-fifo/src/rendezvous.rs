//! The server's FIFO and the folder for its clients' pairs: made, put in place, and taken away.

use std::{
    ffi::OsStr,
    io,
    os::fd::{AsFd, OwnedFd},
};

use ipc_core::{
    Access, Config, Error, ErrorKind, Folder, Kind, Place, Result, TEMPORARY, look_at, make_clients_folder,
};
use nix::{errno::Errno, unistd::geteuid};

use crate::{beside::Beside, pinned::Pinned, site::Site};

/// Others may write their record, and not read anybody else's.
const OTHERS_KNOCK: u32 = 0o622;
/// What a server makes has one of these; what mkfifo(1) makes usually has not.
const MODES: [u32; 2] = [0o600, OTHERS_KNOCK];

/// The FIFO that clients knock at, while it is ours.
#[derive(Debug)]
pub(crate) struct Rendezvous {
    site: Site,
    pub(crate) reader: OwnedFd,
    /// Ours, so that the last client's leaving is not an end of file.
    _writer: OwnedFd,
    /// What the FIFO was when we made it: it is only removed while it is still that.
    identity: Identity,
    pub(crate) clients: Clients,
}

/// The folder for the pairs.
#[derive(Debug)]
pub(crate) enum Clients {
    /// In our own folder; it goes with that.
    Within(Folder),
    /// Beside a path.
    Beside(Beside),
}

type Identity = (u64, u64);

impl Rendezvous {
    pub(crate) fn make(place: &Place, config: &Config) -> Result<Self> {
        let site = Site::of(place)?;
        match place {
            Place::Path(_) => Self::at_path(site, config),
            _ => Self::in_folder(site, config),
        }
    }

    fn in_folder(site: Site, config: &Config) -> Result<Self> {
        let clients = make_clients_folder(&site.folder, config)?;
        // Under the lease, a file of this name is a dead server's.
        let _ = site.folder.remove(temporary(&site));
        let (reader, writer, identity) =
            place_fifo(&site, config, |temporary| site.folder.rename(temporary, &site.rendezvous))?;
        Ok(Self { site, reader, _writer: writer, identity, clients: Clients::Within(clients) })
    }

    /// A path outside our directory. The lease on it is held already, so no other hobnob server of our directory is
    /// taking it. First the FIFO: whoever has it there, and reads it, has the folder beside it.
    fn at_path(site: Site, config: &Config) -> Result<Self> {
        let dead = dead_predecessor(&site)?;
        clear_temporary(&site)?;
        let placed = place_fifo(&site, config, |temporary| put_in_place(&site, temporary, dead));
        let (reader, writer, identity) = placed.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => in_use(&site),
            // Somebody who starts at the same time has removed what we have made under the temporary name.
            io::ErrorKind::NotFound if is_there(&site.folder) => in_use(&site),
            _ => error.into(),
        })?;
        let reached = config.seams.reach("fifo.in_place").map_err(Error::from);
        let taken = reached.and_then(|()| Beside::take(&site, config));
        let beside = taken.inspect_err(|_| remove_if_still(&site, identity))?;
        Ok(Self { site, reader, _writer: writer, identity, clients: Clients::Beside(beside) })
    }

    /// Nobody new can come; who has come already can still be picked up.
    pub(crate) fn retire(&mut self) {
        if let Clients::Beside(beside) = &mut self.clients {
            // First: once the FIFO is gone, a successor may make a folder of its own there.
            beside.withdraw();
        }
        remove_if_still(&self.site, self.identity);
    }
}

impl Clients {
    pub(crate) fn folder(&self) -> &Folder {
        match self {
            Self::Within(folder) => folder,
            Self::Beside(beside) => beside.folder(),
        }
    }

    /// Whether this was put there by a client, and not by somebody whose folder it happens to be.
    pub(crate) fn may_remove(&self, name: &OsStr, kind: Kind) -> bool {
        match self {
            Self::Within(_) => true,
            Self::Beside(beside) => beside.is_of_a_client(name, kind),
        }
    }
}

fn temporary(site: &Site) -> String {
    format!("{TEMPORARY}{}", site.rendezvous)
}

/// Makes the FIFO under a temporary name, opens both its ends, and lets `put` give it its own name.
fn place_fifo(
    site: &Site,
    config: &Config,
    put: impl FnOnce(&str) -> io::Result<()>,
) -> io::Result<(OwnedFd, OwnedFd, Identity)> {
    let temporary = temporary(site);
    site.folder.make_fifo(&temporary, if config.shared { OTHERS_KNOCK } else { 0o600 })?;
    let opened = open_both(&site.folder, &temporary).and_then(|opened| {
        config.seams.reach("fifo.opened")?;
        put(&temporary).map(|()| opened)
    });
    opened.inspect_err(|_| {
        let _ = site.folder.remove(&temporary);
    })
}

fn open_both(folder: &Folder, name: &str) -> io::Result<(OwnedFd, OwnedFd, Identity)> {
    let reader = folder.open_file(name, Access::Read)?;
    let writer = folder.open_file(name, Access::Write)?;
    let identity = look_at(reader.as_fd())?.identity;
    Ok((reader, writer, identity))
}

/// What is at the path, if it is a FIFO of ours that nobody reads. A server of another library, or of another
/// runtime directory, holds no lease of ours: it is asked by opening (ENXIO, fifo(7)).
fn dead_predecessor(site: &Site) -> Result<Option<Identity>> {
    let pinned = match Pinned::new(&site.folder, &site.rendezvous) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // What cannot be held is still to be looked at.
        pinned => pinned?,
    };
    let (found, uid) = (pinned.look()?, geteuid().as_raw());
    if found.kind != Kind::Fifo || found.uid != uid || !MODES.contains(&found.mode) {
        return Err(Error::denied(format!(
            "{} is there, is {} of uid {} with mode {:04o}; expected nothing, or a dead server's FIFO of uid {uid} \
             with mode 0600 or 0622",
            site.shown.display(),
            if found.kind == Kind::Fifo { "a FIFO" } else { "no FIFO" },
            found.uid,
            found.mode,
        )));
    }
    match pinned.open(Access::Write) {
        Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => Ok(Some(found.identity)),
        // Somebody is just starting or ending there. Without O_PATH that shows here.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::Other) => {
            Err(in_use(site))
        }
        Err(error) => Err(error.into()),
        Ok(_) => Err(in_use(site)),
    }
}

/// A FIFO of ours with the temporary name was left by a server that was killed; unless somebody reads it, who is just
/// starting with a lease in another directory.
fn clear_temporary(site: &Site) -> Result<()> {
    let name = temporary(site);
    // What cannot be held cannot be made there either, and that will say why.
    let Ok(pinned) = Pinned::new(&site.folder, &name) else { return Ok(()) };
    let left = pinned.look()?;
    if left.kind != Kind::Fifo || left.uid != geteuid().as_raw() {
        return Err(Error::denied(format!(
            "{} is there, and is not a FIFO of ours; expected nothing under this temporary name",
            site.folder.path().join(name).display()
        )));
    }
    match pinned.open(Access::Write) {
        Ok(_) => Err(in_use(site)),
        Err(_) => match site.folder.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        },
    }
}

/// Whether the directory has not been removed.
fn is_there(folder: &Folder) -> bool {
    folder.itself().is_ok_and(|found| found.links > 0)
}

/// Renames over the dead FIFO that was found, or over nothing: what has come in the meantime is left alone.
fn put_in_place(site: &Site, temporary: &str, dead: Option<Identity>) -> io::Result<()> {
    let found = site.folder.look(&site.rendezvous).map(|file| file.identity).ok();
    if found.is_some() && found == dead {
        site.folder.rename(temporary, &site.rendezvous)
    } else {
        site.folder.rename_new(temporary, &site.rendezvous)
    }
}

fn remove_if_still(site: &Site, identity: Identity) {
    if site.folder.look(&site.rendezvous).is_ok_and(|file| file.identity == identity) {
        let _ = site.folder.remove(&site.rendezvous);
    }
}

fn in_use(site: &Site) -> Error {
    ErrorKind::NameInUse { name: site.shown.display().to_string(), holder: None }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between the look and the rename somebody else may come, who holds no lease of ours.
    #[test]
    fn what_came_to_a_path_in_the_meantime_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("calc");
        let site = Site::of(&Place::Path(path.clone())).unwrap();
        let put = |dead| {
            drop(site.folder.make_fifo("temporary", 0o600).unwrap());
            put_in_place(&site, "temporary", dead).inspect_err(|_| site.folder.remove("temporary").unwrap())
        };
        std::fs::write(&path, "somebody's").unwrap();
        for dead in [None, Some((1, 1))] {
            assert_eq!(put(dead).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read(&path).unwrap(), b"somebody's");
        }
        std::fs::remove_file(&path).unwrap();
        put(Some((1, 1))).unwrap();
        let dead = site.folder.look("calc").unwrap().identity;
        put(Some(dead)).unwrap();
        assert_ne!(site.folder.look("calc").unwrap().identity, dead);
    }
}
