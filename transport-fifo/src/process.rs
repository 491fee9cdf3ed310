//! The peer's process, to be watched.

use std::os::{fd::OwnedFd, unix::fs::MetadataExt};

use ipc_core::Peer;

use crate::sys;

/// The process that the peer says it is, if a process of the peer's user has that number. A peer that names another
/// one ends its own connection with that one's end, and no more.
pub(crate) fn claimed_by(peer: &Peer) -> Option<OwnedFd> {
    let pid = peer.pid.number()?;
    let process = sys::pidfd_open(pid)
        .inspect_err(|error| log::debug!("the process {pid} cannot be watched: {error}"))
        .ok()?;
    // Looked at once it is held: the number cannot pass to another process in between without the end showing.
    let owner = std::fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    (Some(owner) == peer.uid).then_some(process)
}
