//! The address at which a client is answered.

use std::{
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use ipc_core::{Folder, Result, base_name};
use nix::{sys::socket::bind, unistd::geteuid};

use crate::rendezvous::address_of;

/// A name in the file system, removed when dropped; or one that the kernel chose, which needs no removing.
#[derive(Debug)]
pub(crate) struct OwnAddress(Option<Bound>);

/// What was made there: it is only removed while it is still that.
#[derive(Debug)]
struct Bound {
    path: PathBuf,
    identity: Option<(u64, u64)>,
    made_by: u32,
}

/// To answer one must be allowed to write (unix(7)).
const OTHERS_ANSWER: u32 = 0o622;

impl OwnAddress {
    /// Binds a socket that is connected already: in between, others could have sent to it.
    pub(crate) fn take(socket: &OwnedFd, chosen: Option<&Path>, server: u32) -> Result<Self> {
        match chosen {
            Some(path) => Self::at(socket, path, server),
            None if is_named(socket, server)? => Ok(Self(None)),
            None => {
                let [id] = ipc_core::random_nonces()?;
                let name = format!("hobnob-{}-{:032x}", std::process::id(), u128::from_be_bytes(id));
                Self::at(socket, &std::env::temp_dir().join(name), server)
            }
        }
    }

    fn at(socket: &OwnedFd, path: &Path, server: u32) -> Result<Self> {
        bind(socket.as_raw_fd(), &address_of(path)?)?;
        let (identity, made_by) = (identity_of(path), std::process::id());
        let own = Self(Some(Bound { path: path.to_owned(), identity, made_by }));
        // Also where it is root's: a server to which the socket was given may run as another user.
        if server != geteuid().as_raw() {
            let parent =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let folder = Folder::open(&parent.canonicalize()?)?;
            folder.set_mode(base_name(path).unwrap_or_default(), OTHERS_ANSWER)?;
        }
        Ok(own)
    }
}

/// Has the kernel choose an abstract name (autobind, unix(7)), if this user's server answers us there. Another user's does
/// not: nothing tells whose such a name is.
#[cfg(all(target_os = "linux", not(hobnob_portable)))]
fn is_named(socket: &OwnedFd, server: u32) -> Result<bool> {
    let speaks_for_us = [0, server].contains(&nix::unistd::getuid().as_raw());
    if speaks_for_us {
        bind(socket.as_raw_fd(), &nix::sys::socket::UnixAddr::new_unnamed())?;
    }
    Ok(speaks_for_us)
}

#[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
#[allow(clippy::unnecessary_wraps, reason = "where there are such names, there may be none left")]
fn is_named(_: &OwnedFd, _: u32) -> Result<bool> {
    Ok(false)
}

impl Drop for OwnAddress {
    fn drop(&mut self) {
        let Some(Bound { path, identity, made_by }) = &self.0 else { return };
        // Somebody may have removed it already, and another client may be answered there by now.
        if *made_by == std::process::id() && identity.is_some() && identity_of(path) == *identity {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn identity_of(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}
