//! The folder beside a path where clients put their pairs.
//!
//! Its name was not chosen by us, so it is only used if nobody else can have made it and nothing else is in it. It
//! belongs to whoever has the live FIFO at the path: it is taken after that is in its place, and has another name
//! before that goes.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::Path,
};

use ipc_core::{
    Config, Entry, Error, Folder, Kind, Result, TEMPORARY, is_clients_folder, is_shared, open_to_clients,
};
use nix::{errno::Errno, unistd::geteuid};

use crate::{pair::is_dead, record::is_pair_name, site::Site};

/// The folder, while it is ours. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Beside {
    parent: Folder,
    name: String,
    folder: Folder,
    /// Other users may have put things there.
    shared: bool,
    withdrawn: bool,
    made_by: u32,
}

impl Beside {
    /// Makes it, or takes over what a dead server has left.
    pub(crate) fn take(site: &Site, config: &Config) -> Result<Self> {
        if site.folder.look(away(&site.clients)).is_ok() {
            // Left by a server that was killed in its last moments. One that is not ours is in nobody's way.
            drop(Self::open(&site.folder, &away(&site.clients)));
        }
        let mut beside = Self::open(&site.folder, &site.clients)?;
        beside.clear(|name, kind| kind != Kind::Fifo || is_dead(&beside.folder, name));
        beside.shared = config.shared;
        open_to_clients(&beside.folder, config)?;
        Ok(beside)
    }

    fn open(parent: &Folder, name: &str) -> Result<Self> {
        // What could not be opened and looked into is not made: it would be left behind.
        drop([parent.enter(".")?, parent.enter(".")?]);
        let made = parent.make(name, 0o700);
        let folder = made.map_err(|error| no_directory(&parent.path().join(name), error))?;
        let found = folder.itself()?;
        must_be_ours(&folder, &found)?;
        let shared = is_shared(&found);
        if !shared {
            must_hold_pairs_only(&folder)?;
        }
        let (parent, name, made_by) = (parent.clone(), name.to_owned(), std::process::id());
        Ok(Self { parent, name, folder, shared, withdrawn: false, made_by })
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Whether a client can have put this there, and it may be removed.
    pub(crate) fn is_of_a_client(&self, name: &OsStr, kind: Kind) -> bool {
        self.shared || is_of_a_pair(name, kind)
    }

    /// Gives it another name, so that a successor can have this one.
    pub(crate) fn withdraw(&mut self) {
        self.withdrawn =
            self.is_still_called(&self.name) && self.parent.rename(&self.name, &away(&self.name)).is_ok();
    }

    fn is_still_called(&self, name: &str) -> bool {
        let identity = self.folder.itself().map(|found| found.identity).ok();
        identity.is_some() && self.parent.look(name).map(|found| found.identity).ok() == identity
    }

    fn clear(&self, may_go: impl Fn(&OsStr, Kind) -> bool) {
        for name in self.folder.names(usize::MAX).unwrap_or_default() {
            let Ok(file) = self.folder.look(&name) else { continue };
            if !self.is_of_a_client(&name, file.kind) || !may_go(&name, file.kind) {
                continue;
            }
            // What cannot be removed is a directory of somebody else's with something in it.
            let _ = if file.kind == Kind::Directory {
                self.folder.remove_folder(&name)
            } else {
                self.folder.remove(&name)
            };
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // In a forked child it is still the parent's.
        if self.made_by != std::process::id() {
            return;
        }
        self.clear(|_, _| true);
        let name = if self.withdrawn { away(&self.name) } else { self.name.clone() };
        if self.is_still_called(&name) && self.parent.remove_folder(&name).is_err() && self.withdrawn {
            // The next server of this path looks for it under its own name.
            let _ = self.parent.rename_new(&name, &self.name);
        }
    }
}

fn must_be_ours(folder: &Folder, found: &Entry) -> Result<()> {
    let uid = geteuid().as_raw();
    if is_clients_folder(found, uid) {
        return Ok(());
    }
    Err(Error::denied(format!(
        "{} belongs to uid {} with mode {:04o}; expected nothing, or a directory of uid {uid} with mode 0700, or 3733 of \
         a shared server",
        folder.path().display(),
        found.uid,
        found.mode
    )))
}

/// A directory of ours may be called like this for another reason.
fn must_hold_pairs_only(folder: &Folder) -> Result<()> {
    let is_other = |name: &OsString| !folder.look(name).is_ok_and(|file| is_of_a_pair(name, file.kind));
    match folder.names(usize::MAX)?.into_iter().find(is_other) {
        None => Ok(()),
        Some(other) => Err(Error::denied(format!(
            "{} has {other:?} in it; expected nothing but the FIFOs of clients",
            folder.path().display()
        ))),
    }
}

fn no_directory(path: &Path, error: io::Error) -> Error {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ELOOP | Errno::ENOTDIR) => Error::denied(format!(
            "{} is a link or not a directory; expected nothing, or a directory of ours",
            path.display()
        )),
        _ => error.into(),
    }
}

fn away(name: &str) -> String {
    format!("{TEMPORARY}{name}")
}

fn is_of_a_pair(name: &OsStr, kind: Kind) -> bool {
    kind == Kind::Fifo && name.to_str().is_some_and(is_pair_name)
}
