//! Where a server is knocked at: in its own folder, or at a path with a folder for the clients' pairs beside it.

use std::{
    io,
    path::{Path, PathBuf},
};

use ipc_core::{CLIENTS, Error, ErrorKind, Folder, Place, Result};

/// The rendezvous and the folder for the pairs, both in one folder.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) folder: Folder,
    /// The FIFO that clients knock at.
    pub(crate) rendezvous: String,
    /// The folder of their pairs.
    pub(crate) clients: String,
    /// What people are told that this is.
    pub(crate) shown: PathBuf,
}

/// The rendezvous in a server's own folder.
const RENDEZVOUS: &str = "fifo";

impl Site {
    pub(crate) fn of(place: &Place) -> Result<Self> {
        match place {
            Place::Folder(folder, _) => Ok(Self::in_folder(folder)),
            Place::Path(path) => Self::at(path),
            _ => Err(Error::bad_address("expected a name or a path")),
        }
    }

    fn in_folder(folder: &Folder) -> Self {
        Self {
            folder: folder.clone(),
            rendezvous: RENDEZVOUS.to_owned(),
            clients: CLIENTS.to_owned(),
            shown: folder.path().to_owned(),
        }
    }

    fn at(path: &Path) -> Result<Self> {
        let parts = path.parent().zip(path.file_name().and_then(|name| name.to_str()));
        let (parent, name) = parts.ok_or_else(|| {
            Error::bad_address(format!("the path {} does not end in a name of plain text", path.display()))
        })?;
        Ok(Self {
            folder: Folder::open_following(parent).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => ErrorKind::NoSuchServer { searched: vec![path.to_owned()] }.into(),
                _ => Error::from(error),
            })?,
            rendezvous: name.to_owned(),
            clients: format!("{name}.{CLIENTS}"),
            shown: path.to_owned(),
        })
    }
}
