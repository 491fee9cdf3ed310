//! Where names live: the private directory of each user, made and checked before anything in it is believed.

use std::{
    env, io,
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use crate::{
    Config, Entry, Error, ErrorKind, Folder, Kind, Name, Record, Result,
    error::is_out_of_descriptors,
    lease::{PRIVATE, SHARED},
};

/// The environment variable that names the directory, before every other choice.
pub const VARIABLE: &str = "HOBNOB_DIR";

/// Opens our own directory, making it if need be.
pub(crate) fn ours(config: &Config) -> Result<Folder> {
    let path = choices(config).into_iter().find(|choice| choice.usable()).map(|choice| choice.path);
    // The last choice is always usable: /tmp/hobnob-UID.
    let path = path.unwrap_or_else(own_tmp);
    let (parent, name) =
        path.parent().zip(path.file_name().and_then(|name| name.to_str())).ok_or_else(|| {
            Error::bad_address(format!(
                "the directory {} has no parent; expected e.g. /run/user/1000/hobnob",
                path.display()
            ))
        })?;
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let parent = Folder::open_following(parent).map_err(|error| cannot_open(parent, error))?;
    let folder = parent.make(name, PRIVATE).map_err(|error| cannot_open(&path, error))?;
    check_private(&folder.itself()?, &path)?;
    if config.shared {
        folder.set_own_mode(SHARED)?;
    }
    Ok(folder)
}

/// A server that may be alive: its folder and its record, believed only after the owner was checked.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) folder: Folder,
    pub(crate) record: Record,
}

/// Every folder of a server with this name, in the order of search. A place that is not to be believed counts
/// only if there is no other: anybody can make a directory in /tmp.
pub(crate) fn find(name: &Name, config: &Config) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut distrusted = None;
    for path in searched(config) {
        match find_in(&path, name, config) {
            Ok(server) => found.extend(server),
            Err(error) => distrusted = distrusted.or(Some(error)),
        }
    }
    match distrusted {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

fn find_in(path: &Path, name: &Name, config: &Config) -> Result<Option<Found>> {
    let Some(dir) = if_there(Folder::open(path))? else { return Ok(None) };
    // A stranger's directory that has no such name is nobody's business.
    let Some(folder) = if_there(dir.enter(name.as_str()))? else { return Ok(None) };
    check_trusted(&dir.itself()?, path, config)?;
    check_trusted(&folder.itself()?, folder.path(), config)?;
    Ok(Record::find(&folder)?.map(|record| Found { folder, record }))
}

/// Whatever keeps us from opening it, it is as if it were not there; but without a descriptor to open it with,
/// that cannot be said.
fn if_there(opened: io::Result<Folder>) -> Result<Option<Folder>> {
    match opened {
        Err(error) if is_out_of_descriptors(&error) => Err(error.into()),
        opened => Ok(opened.ok()),
    }
}

/// Where a client looks, in order.
pub(crate) fn searched(config: &Config) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = Vec::new();
    let all = choices(config);
    let fixed = all.first().is_some_and(|choice| choice.fixed);
    let system = (!fixed).then(|| PathBuf::from(SYSTEM));
    for path in all.into_iter().map(|choice| choice.path).chain(system) {
        if !places.contains(&path) {
            places.push(path);
        }
    }
    places
}

/// `NoSuchServer`, with the places looked at.
#[must_use]
pub fn no_such_server(config: &Config) -> Error {
    ErrorKind::NoSuchServer { searched: searched(config) }.into()
}

const SYSTEM: &str = "/run/hobnob";

struct Choice {
    path: PathBuf,
    /// Asked for by name: used or an error, never passed over.
    fixed: bool,
}

fn choices(config: &Config) -> Vec<Choice> {
    let named = config
        .directory
        .clone()
        .or_else(|| env::var_os(VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from));
    if let Some(path) = named {
        return vec![Choice { path, fixed: true }];
    }
    let uid = geteuid();
    let session =
        env::var_os("XDG_RUNTIME_DIR").filter(|v| !v.is_empty()).map(|dir| PathBuf::from(dir).join("hobnob"));
    let by_uid =
        if uid.is_root() { PathBuf::from(SYSTEM) } else { PathBuf::from(format!("/run/user/{uid}/hobnob")) };
    session.into_iter().chain([by_uid, own_tmp()]).map(|path| Choice { path, fixed: false }).collect()
}

impl Choice {
    /// Whether the directory above is there and ours; in /tmp the sticky bit does that work.
    fn usable(&self) -> bool {
        let parent_is_ours = || {
            match Folder::open_following(self.path.parent()?) {
                // It cannot be said, and will be an error when it is opened in earnest.
                Err(error) if is_out_of_descriptors(&error) => Some(true),
                parent => Some(parent.ok()?.itself().ok()?.uid == geteuid().as_raw()),
            }
        };
        self.fixed || self.path == own_tmp() || parent_is_ours() == Some(true)
    }
}

fn own_tmp() -> PathBuf {
    PathBuf::from(format!("/tmp/hobnob-{}", geteuid()))
}

fn cannot_open(path: &Path, error: io::Error) -> Error {
    let found = match error.raw_os_error().map(nix::errno::Errno::from_raw) {
        Some(nix::errno::Errno::ELOOP | nix::errno::Errno::ENOTDIR) => "is a link or not a directory",
        Some(nix::errno::Errno::ENOENT) => "does not exist",
        Some(nix::errno::Errno::EACCES | nix::errno::Errno::EPERM) => "may not be opened",
        _ => return Error::from(error),
    };
    Error::denied(format!(
        "{} {found}; expected a directory of uid {} with mode 0700",
        path.display(),
        geteuid()
    ))
}

/// Nobody else can have put anything there. Where we have a shared server, others may go through it.
pub(crate) fn check_private(dir: &Entry, path: &Path) -> Result<()> {
    let uid = geteuid().as_raw();
    if dir.kind == Kind::Directory && dir.uid == uid && (dir.mode == PRIVATE || dir.mode == SHARED) {
        return Ok(());
    }
    Err(Error::denied(format!(
        "{} belongs to uid {} with mode {:04o}; expected a directory of uid {uid} with mode 0700, or \
         0711 if other users shall pass",
        path.display(),
        dir.uid,
        dir.mode
    )))
}

/// Of somebody whose servers we would talk to, and nobody else can have put anything there.
fn check_trusted(dir: &Entry, path: &Path, config: &Config) -> Result<()> {
    if !config.trusts(dir.uid) {
        return Err(Error::caused(
            ErrorKind::ServerUntrusted { uid: dir.uid },
            io::Error::other(format!("{} belongs to it", path.display())),
        ));
    }
    if dir.mode & 0o022 == 0 {
        return Ok(());
    }
    Err(Error::denied(format!(
        "{} has mode {:04o}; expected one that only its owner can write to",
        path.display(),
        dir.mode
    )))
}
