//! What a puppet does to files.

use std::{fs, os::unix::fs::PermissionsExt};

use nix::{
    fcntl::{AT_FDCWD, Flock, FlockArg, OFlag, RenameFlags, open, renameat2},
    sys::stat::Mode,
    unistd::mkfifo,
};

use super::{Done, done, errno, octal};

/// None: it is no command of this kind.
pub(super) fn command(words: &[&str]) -> Option<Done> {
    Some(match *words {
        ["rename", from, to] => done(fs::rename(from, to)),
        ["exchange", one, other] => {
            renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).map(|()| String::new())
        }
        ["link", from, to] => done(fs::hard_link(from, to)),
        ["symlink", to, at] => done(std::os::unix::fs::symlink(to, at)),
        ["unlink", path] => done(fs::remove_file(path)),
        ["make-directory", path] => done(fs::create_dir(path)),
        ["list", path] => {
            fs::read_dir(path).map(|entries| entries.count().to_string()).map_err(|error| errno(&error))
        }
        ["write-file", path] => done(fs::write(path, "x")),
        ["read", path] => open_with(path, OFlag::O_RDONLY),
        ["write", path] => open_with(path, OFlag::O_WRONLY),
        ["set-mode", path, mode] => done(fs::set_permissions(path, fs::Permissions::from_mode(octal(mode)))),
        ["set-group", path, gid] => done(std::os::unix::fs::chown(path, None, Some(gid.parse().unwrap()))),
        ["fifo", path, mode] => fifo(path, mode),
        ["lock", path] => lock(path),
        _ => return None,
    })
}

/// Opens and closes it.
fn open_with(path: &str, access: OFlag) -> Done {
    open(path, access | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty()).map(|_| String::new())
}

fn fifo(path: &str, mode: &str) -> Done {
    mkfifo(path, Mode::from_bits_truncate(0o600))?;
    done(fs::set_permissions(path, fs::Permissions::from_mode(octal(mode))))
}

/// The lock that a lease is; given back at once.
fn lock(path: &str) -> Done {
    let directory = open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let lock = Flock::lock(directory, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)?;
    lock.unlock().map(|_| String::new()).map_err(|(_, errno)| errno)
}
