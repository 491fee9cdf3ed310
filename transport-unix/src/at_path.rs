//! A rendezvous at a path that the user has chosen, where others may serve who hold no lease of ours: what is there is
//! taken over only if it is a dead socket of our own user.

use std::{
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use ipc_core::{Config, Error, ErrorKind, Folder, Result, TEMPORARY, base_name};
use nix::{
    errno::Errno,
    sys::socket::{SockType, UnixAddr, connect},
};

use crate::{
    listen::{OTHERS_CONNECT, Open, Rendezvous, unfit},
    socket::{listening, nonblocking},
};

/// A path outside our directory. The lease on it is held already, so no other hobnob server is taking it; but one
/// that knows nothing of leases may be serving it: that is asked by connecting.
pub(crate) fn listen_at(kind: SockType, path: &Path, config: &Config) -> Result<Open> {
    let dead = match std::fs::symlink_metadata(path) {
        Ok(found) => {
            must_be_dead(kind, path, &found, path)?;
            Some(identity(&found))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let temporary = temporary_beside(path);
    clear_temporary(kind, &temporary, path)?;
    let socket = listening(kind, &temporary).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => in_use(path),
        _ => unfit(path, error),
    })?;
    let made = std::fs::symlink_metadata(&temporary).and_then(|file| {
        if config.shared {
            let_others_connect(&temporary)?;
        }
        config.seams.reach("unix.listening")?;
        put_in_place(&temporary, path, dead)?;
        Ok(identity(&file))
    });
    let made = made.inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    });
    let ours = made.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => in_use(path),
        // Somebody who starts at the same time has looked before we listened, and removed what we have made.
        io::ErrorKind::NotFound if path.parent().is_some_and(Path::exists) => in_use(path),
        _ => error.into(),
    })?;
    Ok((socket, Rendezvous::Path(path.to_owned(), ours), None))
}

/// Others may write to the parent directory perhaps: `set_mode` follows no link there.
fn let_others_connect(socket: &Path) -> io::Result<()> {
    let parent = Folder::open(&socket.parent().unwrap_or(Path::new("/")).canonicalize()?)?;
    // The lease was taken under a name in plain text, so the temporary one is that, too.
    parent.set_mode(base_name(socket).unwrap_or_default(), OTHERS_CONNECT)
}

/// A socket of ours with the temporary name was left by a server that was killed; unless somebody listens at it, who is
/// just starting with a lease in another directory.
fn clear_temporary(kind: SockType, temporary: &Path, served: &Path) -> Result<()> {
    // What cannot be looked at cannot be made there either, and that will say why.
    let Ok(left) = std::fs::symlink_metadata(temporary) else { return Ok(()) };
    must_be_dead(kind, temporary, &left, served)?;
    match std::fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Somebody who lives there is serving `served`, or about to.
fn must_be_dead(kind: SockType, path: &Path, found: &std::fs::Metadata, served: &Path) -> Result<()> {
    let uid = nix::unistd::geteuid();
    if !is_our_socket(found) {
        return Err(Error::denied(format!(
            "{} is there, belongs to uid {} and is {}; expected nothing, or a dead server's socket of uid {uid}",
            path.display(),
            found.uid(),
            if found.file_type().is_socket() { "a socket" } else { "no socket" }
        )));
    }
    let probe = nonblocking(kind)?;
    let there = UnixAddr::new(path)?;
    match connect(probe.as_raw_fd(), &there) {
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => Ok(()),
        // It answered, or has a full backlog, or is a socket of another type: somebody is there.
        _ => Err(in_use(served)),
    }
}

fn identity(file: &std::fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

fn in_use(path: &Path) -> Error {
    ErrorKind::NameInUse { name: path.display().to_string(), holder: None }.into()
}

fn is_our_socket(file: &std::fs::Metadata) -> bool {
    file.file_type().is_socket() && file.uid() == nix::unistd::geteuid().as_raw()
}

fn temporary_beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(TEMPORARY);
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

/// Renames over the dead socket that was found, or over nothing. Servers of another runtime directory, or of
/// another library, hold no lease of ours: what has come in the meantime is left alone.
fn put_in_place(temporary: &Path, path: &Path, dead: Option<(u64, u64)>) -> io::Result<()> {
    let taken = || io::Error::from(io::ErrorKind::AddrInUse);
    if dead.is_some() {
        let found = std::fs::symlink_metadata(path).map(|file| identity(&file)).ok();
        return if found == dead || found.is_none() {
            std::fs::rename(temporary, path)
        } else {
            Err(taken())
        };
    }
    #[cfg(all(target_os = "linux", not(hobnob_portable)))]
    {
        use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
        renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RenameFlags::RENAME_NOREPLACE).map_err(|errno| {
            match errno {
                Errno::EEXIST => taken(),
                errno => errno.into(),
            }
        })
    }
    // A second name for the socket, which does not replace anything either.
    #[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
    std::fs::hard_link(temporary, path)
        .map_err(|error| if error.kind() == io::ErrorKind::AlreadyExists { taken() } else { error })
        .and_then(|()| std::fs::remove_file(temporary))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Between the look and the rename somebody else may come, who holds no lease of ours.
    #[test]
    fn what_came_to_a_path_in_the_meantime_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (temporary, path) = (dir.path().join("temporary"), dir.path().join("calc.sock"));
        let _ours = UnixListener::bind(&temporary).unwrap();
        std::fs::write(&path, "somebody's").unwrap();
        let refused = put_in_place(&temporary, &path, None).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&path).unwrap(), b"somebody's");
        std::fs::remove_file(&path).unwrap();
        put_in_place(&temporary, &path, None).unwrap();
        assert!(path.exists() && !temporary.exists());
    }
}
