//! The server's side of the rendezvous: find records, pick the pair up, take its names away.

use std::{
    ffi::OsStr,
    io,
    os::fd::{AsFd, OwnedFd},
};

use ipc_core::{
    Access, Arrival, Config, Entry, Error, Folder, Interest, Interests, Kind, Link, Peer, PeerPid, Place,
    Proof, Refusal, Result, Sweeper, TEMPORARY, Up, Wait, look_at, make_clients_folder,
};
use nix::{errno::Errno, unistd::read};

use crate::{
    Fifo,
    half::{Writer, link},
    pinned::Pinned,
    record::{Finder, Found, Knock},
};

/// The rendezvous in a server's folder.
pub(crate) const RENDEZVOUS: &str = "fifo";

/// Others may write their record, and not read anybody else's.
const OTHERS_KNOCK: u32 = 0o622;

/// Takes clients in.
#[derive(Debug)]
pub struct Listener {
    folder: Folder,
    clients: Folder,
    reader: OwnedFd,
    /// Ours, so that the last client's leaving is not an end of file.
    _writer: OwnedFd,
    identity: (u64, u64),
    finder: Finder,
    /// Knocked when no descriptor was left to open the pair with.
    waiting: Option<Knock>,
    sweeper: Sweeper,
    config: Config,
}

pub(crate) fn listen(place: &Place, config: &Config) -> Result<Listener> {
    let Place::Folder(folder, _) = place else { return Err(Error::bad_address("expected a name")) };
    let clients = make_clients_folder(folder, config)?;
    let temporary = format!("{TEMPORARY}{RENDEZVOUS}");
    // Under the lease, a file of this name is a dead server's.
    let _ = folder.remove(&temporary);
    folder.make_fifo(&temporary, if config.shared { OTHERS_KNOCK } else { 0o600 })?;
    let opened = open_both(folder, &temporary).and_then(|opened| {
        config.seams.reach("fifo.opened")?;
        folder.rename(&temporary, RENDEZVOUS).map(|()| opened)
    });
    let (reader, writer, identity) = opened.inspect_err(|_| {
        let _ = folder.remove(&temporary);
    })?;
    Ok(Listener {
        folder: folder.clone(),
        clients,
        reader,
        _writer: writer,
        identity,
        finder: Finder::default(),
        waiting: None,
        sweeper: Sweeper::new(config.seams.clone()),
        config: config.clone(),
    })
}

fn open_both(folder: &Folder, name: &str) -> io::Result<(OwnedFd, OwnedFd, (u64, u64))> {
    let reader = folder.open_file(name, Access::Read)?;
    let writer = folder.open_file(name, Access::Write)?;
    let identity = look_at(reader.as_fd())?.identity;
    Ok((reader, writer, identity))
}

/// How much of the rendezvous is read at once, and how often in one try: a flood of garbage must not hold the
/// server.
const READ: usize = 4096;
const READS: usize = 16;

impl ipc_core::Listener<Fifo> for Listener {
    /// Each FIFO of the pair is held while it is looked at, and then opened.
    const DESCRIPTORS: usize = 4;

    fn try_accept(&mut self) -> io::Result<Option<Arrival<Fifo>>> {
        self.sweeper.sweep(&self.clients, |name, kind| kind != Kind::Fifo || is_dead(&self.clients, name));
        if let Some(knock) = self.waiting.take() {
            return self.pick_up(&knock).map(Some);
        }
        for _ in 0..READS {
            match self.finder.next_found() {
                Some(Found::Knock(knock)) => return self.pick_up(&knock).map(Some),
                Some(Found::Garbage(_)) => return Ok(Some(Arrival::Rejected(Refusal::Malformed, None))),
                None => {}
            }
            let mut room = [0; READ];
            match read(&self.reader, &mut room) {
                Ok(count) => self.finder.feed(&room[..count]),
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(None)
    }

    fn may_have_more(&self) -> bool {
        self.finder.has_whole()
    }

    fn retire(&mut self) {
        if self.folder.look(RENDEZVOUS).is_ok_and(|file| file.identity == self.identity) {
            let _ = self.folder.remove(RENDEZVOUS);
        }
    }
}

impl Listener {
    fn pick_up(&mut self, knock: &Knock) -> io::Result<Arrival<Fifo>> {
        Ok(match self.open_pair(knock) {
            Ok(link) => Arrival::Incoming(Up::new(link)),
            Err(NotPicked::Client(reason)) => Arrival::Rejected(reason, None),
            Err(NotPicked::Server(error)) => {
                self.waiting = Some(*knock);
                return Err(error);
            }
        })
    }

    fn open_pair(&self, knock: &Knock) -> std::result::Result<Link<Fifo>, NotPicked> {
        let names = knock.names();
        let pin = |name: &String| Pinned::new(&self.clients, name);
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
            self.clients.remove(&names[0])?;
            self.clients.remove(&names[1])?;
        }
        let tx = tx?;
        // With no name left, nobody can name this pair to us a second time: no hard link was kept.
        if look_at(rx.as_fd())?.links + look_at(tx.as_fd())?.links > 0 {
            return Err(NotPicked::Client(Refusal::BadRendezvous));
        }
        let peer = Peer::new(Some(one.uid), None, PeerPid::Claimed(knock.pid), Proof::FileOwner);
        Ok(link(tx, rx, Writer::Came, peer, knock.nonce, &self.config))
    }
}

/// Why a pair was not picked up: the client's fault, or the server's lack of descriptors.
enum NotPicked {
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
fn is_dead(clients: &Folder, name: &OsStr) -> bool {
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

impl Wait for Listener {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.reader.as_fd(), Interest::Readable);
    }

    /// What was read along with the last knock shows on no descriptor.
    fn arm(&mut self) -> io::Result<bool> {
        Ok(!self.finder.has_whole())
    }
}
