//! The server's side of the rendezvous: a port, and for a name two files that lead to it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::fd::AsFd,
};

use ipc_core::{
    Arrival, Config, Error, ErrorKind, Folder, Interest, Interests, Place, Refusal, Result, Transport, Wait,
};
use nix::errno::Errno;

use crate::{
    Tcp,
    admit::Incoming,
    endpoint::endpoint,
    key::{KEY, Key},
    socket::{listening, prepare},
};

/// Where a named server listens: an address and a port.
pub(crate) const ADDRESS: &str = "address";

/// Takes clients in.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    at: SocketAddr,
    key: Option<Key>,
    /// That of a server with a name, where its key and its address lie.
    folder: Option<Folder>,
    config: Config,
}

pub(crate) fn listen(place: &Place, config: &Config) -> Result<Listener> {
    match place {
        Place::Folder(folder, _) => {
            only_native(config, "a server with a name")?;
            listen_in(folder, config)
        }
        Place::Port(host, port) => listen_at(endpoint(host, *port, config)?, config),
        _ => Err(Error::bad_address("expected a name, or a host and a port")),
    }
}

/// Keys are shown before the first message, and only hobnob knows how.
pub(crate) fn only_native(config: &Config, what: &str) -> Result<()> {
    if config.wire.is_foreign() {
        return Err(Error::bad_options(format!(
            "{what} shows a key first, which cannot be done on the wire {}; expected tcp:HOST:PORT without a key_file",
            config.wire
        )));
    }
    Ok(())
}

/// The key that the user has named for a port, if any.
pub(crate) fn key_for_port(config: &Config) -> Result<Option<Key>> {
    let Some(path) = &config.key_file else { return Ok(None) };
    only_native(config, "a port with a key_file")?;
    Key::of_user(path, config).map(Some)
}

fn listen_in(folder: &Folder, config: &Config) -> Result<Listener> {
    let (key, socket, at) = open_in(folder, config).inspect_err(|_| clear(folder))?;
    Ok(Listener { socket, at, key: Some(key), folder: Some(folder.clone()), config: config.clone() })
}

fn open_in(folder: &Folder, config: &Config) -> Result<(Key, TcpListener, SocketAddr)> {
    let key = Key::make(folder)?;
    config.seams.reach("tcp.key")?;
    let socket = listening((Ipv4Addr::LOCALHOST, 0).into())?;
    let at = socket.local_addr()?;
    folder.write_whole(ADDRESS, format!("{at}\n").as_bytes(), 0o600)?;
    config.seams.reach("tcp.listening")?;
    Ok((key, socket, at))
}

/// Under the lease, files of these names are ours.
fn clear(folder: &Folder) {
    for name in [ADDRESS, KEY] {
        // Perhaps it was not made yet.
        let _ = folder.remove(name);
    }
}

fn listen_at(at: SocketAddr, config: &Config) -> Result<Listener> {
    let key = key_for_port(config)?;
    if key.is_none() && !config.unproven {
        return Err(Error::denied(format!(
            "a client of {at} proves nothing of itself, so nobody would be admitted; expected the option key_file, or \
             allow with a rule for whom to admit"
        )));
    }
    let socket = listening(at).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => ErrorKind::NameInUse { name: at.to_string(), holder: None }.into(),
        io::ErrorKind::AddrNotAvailable => {
            Error::caused(ErrorKind::BadAddress { why: format!("{at} is no address of this machine") }, error)
        }
        _ => Error::from(error),
    })?;
    let at = socket.local_addr()?;
    Ok(Listener { socket, at, key, folder: None, config: config.clone() })
}

impl ipc_core::Listener<Tcp> for Listener {
    fn try_accept(&mut self) -> io::Result<Option<Arrival<Tcp>>> {
        let (stream, from) = match self.socket.accept() {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if is_of_one_client(&error) => return Err(Errno::ECONNABORTED.into()),
            Err(error) => return Err(error),
        };
        // It has no peer any more.
        if prepare(&stream, from).is_err() {
            return Ok(Some(Arrival::Rejected(Refusal::Gone, None)));
        }
        Ok(Some(Arrival::Incoming(Incoming::new(
            stream,
            from,
            self.at.port(),
            self.key.as_ref(),
            &self.config,
        ))))
    }

    /// It stays readable.
    fn may_have_more(&self) -> bool {
        false
    }

    /// With the port that was free.
    fn address(&self) -> Option<String> {
        self.folder.is_none().then(|| format!("{}:{}", Tcp::SCHEME, self.at))
    }

    fn retire(&mut self) {
        self.folder.iter().for_each(clear);
    }
}

/// Linux tells what is wrong with a connection's network by the accept(2) that would have given it.
fn is_of_one_client(error: &io::Error) -> bool {
    let passing = [
        Errno::ENETDOWN,
        Errno::ENETUNREACH,
        Errno::EHOSTDOWN,
        Errno::EHOSTUNREACH,
        Errno::ENOPROTOOPT,
        Errno::EOPNOTSUPP,
        Errno::ETIMEDOUT,
    ];
    error.raw_os_error().is_some_and(|code| passing.contains(&Errno::from_raw(code)))
}

impl Wait for Listener {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.socket.as_fd(), Interest::Readable);
    }
}
