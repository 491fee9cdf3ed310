//! The server's side of a pair: looked at, opened, its names taken away.

use std::{ffi::OsStr, io, os::fd::AsFd};

use ipc_core::{Access, Config, Entry, Folder, Kind, Link, Peer, PeerPid, Proof, Refusal, look_at};
use nix::errno::Errno;

use crate::{
    Fifo,
    half::{Writer, link},
    pinned::Pinned,
    record::Knock,
};

/// Opens the pair that a knock names, as it was found good.
pub(crate) fn pick_up(
    clients: &Folder,
    knock: &Knock,
    config: &Config,
) -> std::result::Result<Link<Fifo>, NotPicked> {
    let names = knock.names();
    let pin = |name: &String| Pinned::new(clients, name);
    let (c2s, s2c) = (pin(&names[0])?, pin(&names[1])?);
    let (one, other) = (c2s.look()?, s2c.look()?);
    if !(is_private_fifo(&one) && is_private_fifo(&other) && one.uid == other.uid) {
        return Err(NotPicked::Client(Refusal::BadRendezvous));
    }
    // The end to read from first: opening the other then proves that the client lives, for it fails without
    // the client's reader (ENXIO). Both before the names go, so that a lack of descriptors can be made up for.
    let rx = c2s.open(Access::Read)?;
    let tx = s2c.open(Access::Write);
    if !matches!(&tx, Err(error) if is_scarce(error)) {
        clients.remove(&names[0])?;
        clients.remove(&names[1])?;
    }
    let tx = tx?;
    // With no name left, nobody can name this pair to us a second time: no hard link was kept.
    if look_at(rx.as_fd())?.links + look_at(tx.as_fd())?.links > 0 {
        return Err(NotPicked::Client(Refusal::BadRendezvous));
    }
    let peer = Peer::new(Some(one.uid), None, PeerPid::Claimed(knock.pid), Proof::FileOwner);
    Ok(link(tx, rx, Writer::Came, peer, knock.nonce, config))
}

/// Why a pair was not picked up: the client's fault, or the server's lack of descriptors.
pub(crate) enum NotPicked {
    Client(Refusal),
    Server(io::Error),
}

impl From<io::Error> for NotPicked {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            _ if is_scarce(&error) => Self::Server(error),
            Some(Errno::ENXIO | Errno::ENOENT) => Self::Client(Refusal::Gone),
            _ => Self::Client(Refusal::BadRendezvous),
        }
    }
}

/// No descriptor or memory is left here; the client is not to blame.
fn is_scarce(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM))
}

/// Whether the client of this FIFO is gone: nobody reads the FIFO that it writes to, of which it keeps a reader of
/// its own. The other one of the pair must not be asked: to a live client that would be a server that came and went.
pub(crate) fn is_dead(clients: &Folder, name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return true };
    let asked = format!("{}.c2s", name.trim_end_matches(".c2s").trim_end_matches(".s2c"));
    // One that we may not open could not be picked up either.
    clients.open_file(&asked, Access::Write).is_err_and(|error| !is_scarce(&error))
}

/// Whether nobody but its owner, and we, can open this FIFO. A group may, if it is ours: then its owner made the FIFO
/// for us. Anybody else who could would be taken for the owner.
fn is_private_fifo(file: &Entry) -> bool {
    let open_to_others = if file.gid == nix::unistd::getegid().as_raw() { 0o006 } else { 0o066 };
    file.kind == Kind::Fifo && file.links == 1 && file.mode & open_to_others == 0
}
