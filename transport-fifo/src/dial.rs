//! The client's side of the rendezvous: make the pair, open its ends in the order that waits for nobody, knock.

use std::{
    io::{self, IoSlice},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::Instant,
};

use ipc_core::{
    Access, Config, Entry, Error, ErrorKind, Folder, Handshake, Interest, Interests, Kind, Link, Peer,
    PeerPid, Place, Proof, Result, Wait, is_clients_folder, is_shared, look_at, random_nonces, strange,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{
    Fifo,
    half::{Writer, link},
    record::Knock,
    site::Site,
    sys,
};

/// A client on its way out. It is kept until the server has said yes.
#[derive(Debug)]
pub struct Outgoing {
    /// Kept open: it shows POLLERR when the server is gone.
    rendezvous: OwnedFd,
    site: Site,
    knock: Knock,
    /// What becomes the link once the record has left.
    ends: Option<(OwnedFd, OwnedFd, Peer)>,
    /// Our own reader of the FIFO we write to: without one it cannot be opened for writing. It goes with the rest
    /// of the handshake, so that from then on a server that dies breaks the pipe.
    _own_reader: OwnedFd,
    names: Names,
    config: Config,
}

/// Unlinks the pair's names when the handshake is over, if the server has not.
#[derive(Debug)]
struct Names {
    clients: Folder,
    names: Option<[String; 2]>,
}

impl Drop for Names {
    fn drop(&mut self) {
        for name in self.names.iter().flatten() {
            // The server may have taken it.
            let _ = self.clients.remove(name);
        }
    }
}

pub(crate) fn dial(place: &Place, config: &Config) -> Result<Outgoing> {
    let site = Site::of(place)?;
    if let Place::Path(path) = place {
        must_be_fifo(&site, path)?;
    }
    let rendezvous = site
        .folder
        .open_file(&site.rendezvous, Access::Write)
        .map_err(|error| absent(&site, &site.rendezvous, error))?;
    let server = look_at(rendezvous.as_fd())?;
    let clients = site.folder.enter(&site.clients).map_err(|error| absent(&site, &site.clients, error))?;
    let folder = clients.itself()?;
    must_be_safe(&site, &server, &folder)?;
    let pid = match place {
        Place::Folder(_, Some(record)) => PeerPid::Claimed(record.pid),
        _ => PeerPid::Unknown,
    };
    let peer = Peer::new(Some(server.uid), None, pid, Proof::FileOwner);
    let [id, nonce] = random_nonces()?;
    let knock = Knock { pid: std::process::id(), id, nonce };
    let pair = knock.names();
    let names = Names { clients: clients.clone(), names: Some(pair.clone()) };
    config.seams.reach("fifo.client_make")?;
    let mode = if is_shared(&folder) { FOR_GROUP } else { PRIVATE };
    let (rx, own_reader, tx) =
        open_pair(&clients, &pair, mode).map_err(|error| absent(&site, &site.clients, error))?;
    Ok(Outgoing {
        rendezvous,
        site,
        knock,
        ends: Some((tx, rx, peer)),
        _own_reader: own_reader,
        names,
        config: config.clone(),
    })
}

/// Whoever chose a path may have meant something else, which is not to be opened.
fn must_be_fifo(site: &Site, path: &Path) -> Result<()> {
    let found = site.folder.look(&site.rendezvous).map_err(|error| absent(site, &site.rendezvous, error))?;
    if found.kind == Kind::Fifo {
        return Ok(());
    }
    Err(Error::bad_address(format!("{} is no FIFO; expected that of a server", path.display())))
}

/// Our FIFOs will lie in the folder: if anybody else than the server had made it, he could open them in its stead; and
/// what only the server reads proves, when it comes back, that it is the server.
fn must_be_safe(site: &Site, server: &Entry, clients: &Entry) -> Result<()> {
    if server.kind != Kind::Fifo || server.mode & 0o044 != 0 {
        return Err(Error::denied(format!(
            "{} is {} with mode {:04o}; expected a FIFO that only its owner can read",
            site.folder.path().join(&site.rendezvous).display(),
            if server.kind == Kind::Fifo { "a FIFO" } else { "no FIFO" },
            server.mode
        )));
    }
    if !is_clients_folder(clients, server.uid) {
        return Err(Error::denied(format!(
            "{} belongs to uid {} with mode {:04o}; expected a directory of uid {}, the server's, with mode 0700 or 3733",
            site.folder.path().join(&site.clients).display(),
            clients.uid,
            clients.mode,
            server.uid
        )));
    }
    Ok(())
}

/// For a server of our own uid, and for one that opens the pair as a member of the folder's group. Who else is in
/// that group can neither list the folder nor guess the names.
const PRIVATE: u32 = 0o600;
const FOR_GROUP: u32 = 0o660;

/// The order that waits for nobody: both for reading first, which never waits nor fails without a writer; then
/// ours for writing, which needs a reader.
fn open_pair(
    clients: &Folder,
    [c2s, s2c]: &[String; 2],
    mode: u32,
) -> io::Result<(OwnedFd, OwnedFd, OwnedFd)> {
    let own_reader = clients.make_fifo(c2s, mode)?;
    let rx = clients.make_fifo(s2c, mode)?;
    let tx = clients.open_file(c2s, Access::Write)?;
    Ok((rx, own_reader, tx))
}

/// ENXIO: nobody reads the rendezvous. ENOENT: it is not there, or was swept away while a server takes over.
fn absent(site: &Site, name: &str, error: io::Error) -> Error {
    match error.raw_os_error().map(nix::errno::Errno::from_raw) {
        Some(nix::errno::Errno::ENXIO | nix::errno::Errno::ENOENT) => nobody(site),
        _ => strange(&site.folder, name, error),
    }
}

fn nobody(site: &Site) -> Error {
    ErrorKind::NoSuchServer { searched: vec![site.shown.clone()] }.into()
}

impl Handshake<Fifo> for Outgoing {
    fn step(&mut self, _: Instant) -> Result<Option<Link<Fifo>>> {
        if self.ends.is_none() {
            return self.check_server().map(|()| None);
        }
        // All or nothing: a write of up to PIPE_BUF bytes is atomic.
        match sys::write_vectored(self.rendezvous.as_fd(), &[IoSlice::new(&self.knock.encode())]) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(nobody(&self.site)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        self.config.seams.reach("fifo.knocked")?;
        Ok(self
            .ends
            .take()
            .map(|(tx, rx, peer)| link(tx, rx, Writer::Awaited, peer, self.knock.nonce, &self.config)))
    }

    fn welcome(&mut self) {
        // The server has unlinked both before it looked into them.
        self.names.names = None;
    }
}

impl Outgoing {
    fn check_server(&self) -> Result<()> {
        let mut fds = [PollFd::new(self.rendezvous.as_fd(), PollFlags::empty())];
        match poll(&mut fds, PollTimeout::ZERO) {
            // A signal came between: it is asked again at the next step.
            Err(nix::errno::Errno::EINTR) => return Ok(()),
            asked => asked?,
        };
        let gone = fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR));
        if gone { Err(ErrorKind::PeerGone.into()) } else { Ok(()) }
    }
}

impl Wait for Outgoing {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        let interest = if self.ends.is_some() { Interest::Writable } else { Interest::Hangup };
        into.add(self.rendezvous.as_fd(), interest);
    }
}
