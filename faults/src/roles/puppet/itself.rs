//! What a puppet does to itself: another user, namespaces of its own.

use std::fs;

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::{Gid, Uid, getegid, geteuid, setgroups, setresgid, setresuid},
};

use super::{Done, done};

/// None: it is no command of this kind.
pub(super) fn command(words: &[&str]) -> Option<Done> {
    Some(match *words {
        ["become", uid] => become_user(uid.parse().unwrap()),
        ["cover", directory] => cover(directory),
        _ => return None,
    })
}

/// Root becomes somebody else, for good.
fn become_user(uid: u32) -> Done {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(uid));
    setgroups(&[gid])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    Ok(String::new())
}

/// As any user may: becomes root of a user namespace, and lays an empty file system over a directory, which only
/// this process sees.
fn cover(directory: &str) -> Done {
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    done(fs::write("/proc/self/setgroups", "deny"))?;
    done(fs::write("/proc/self/uid_map", format!("0 {uid} 1")))?;
    done(fs::write("/proc/self/gid_map", format!("0 {gid} 1")))?;
    mount(Some("none"), directory, Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    Ok(String::new())
}
