//! The client's side of the rendezvous: connect, and find out whether the server has the key.

use std::{
    io::{self, Read},
    net::{SocketAddr, TcpStream},
    os::fd::AsFd,
    path::PathBuf,
    time::Instant,
};

use ipc_core::{
    Access, Config, Error, ErrorKind, Folder, Handshake, Interest, Interests, Kind, Link, Nonce, Peer,
    PeerPid, Place, Proof, Result, Transport, Wait,
    frame::HEADER,
    hello::{LARGEST, Terms, VERSION, Verdict},
    look_at, random_nonces, strange,
};

use crate::{
    Tcp,
    admit::nobody_knows_whom,
    endpoint::{endpoint, is_loopback},
    half::link,
    inflow::{Inflow, say},
    key::{Exchange, Key, Role},
    listen::{ADDRESS, key_for_port, only_native},
    socket::{connecting, prepare},
    words::{self, Answer, Claim},
};

/// A client on its way out.
#[derive(Debug)]
pub struct Outgoing {
    to: SocketAddr,
    key: Option<Key>,
    stage: Stage,
    config: Config,
}

#[derive(Debug)]
enum Stage {
    Connecting(TcpStream),
    /// The answer to our knock is awaited.
    Knocked(TcpStream, Nonce, Box<Inflow<{ HEADER + LARGEST as usize }>>),
    Over,
}

pub(crate) fn dial(place: &Place, config: &Config) -> Result<Outgoing> {
    let (to, key) = match place {
        Place::Folder(folder, _) => {
            only_native(config, "a server with a name")?;
            // In this order: if a successor comes in between, nobody is at the old address any more. The old key at the
            // new address would make an impostor of it.
            let address = address_in(folder);
            config.seams.reach("tcp.half_found")?;
            // Who may not read the key hears of that first.
            let key = Key::of_server(folder, config)?;
            (address?, Some(key))
        }
        Place::Port(host, port) => (endpoint(host, *port, config)?, key_or_trust(config)?),
        _ => return Err(Error::bad_address("expected a name, or a host and a port")),
    };
    if to.port() == 0 {
        return Err(Error::bad_address("no server has port 0; expected 1 to 65535"));
    }
    let stream = connecting(to).map_err(|error| unreachable(to, error))?;
    Ok(Outgoing { to, key, stage: Stage::Connecting(stream), config: config.clone() })
}

fn key_or_trust(config: &Config) -> Result<Option<Key>> {
    let key = key_for_port(config)?;
    if key.is_none() && !config.unproven {
        return Err(Error::denied(
            "a server at a port proves nothing of itself; expected the option key_file, or trust_any_server",
        ));
    }
    Ok(key)
}

/// The longest text of an address, with room to see that it is longer.
const LONGEST: usize = 64;

fn address_in(folder: &Folder) -> Result<SocketAddr> {
    let file = folder.open_file(ADDRESS, Access::Read).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => nobody(folder.path().join(ADDRESS)),
        _ => strange(folder, ADDRESS, error),
    })?;
    let denied = |what: &str| {
        let path = folder.path().join(ADDRESS);
        Error::denied(format!(
            "{} {what}; expected a file with an address such as 127.0.0.1:40000",
            path.display()
        ))
    };
    if look_at(file.as_fd())?.kind != Kind::File {
        return Err(denied("is no plain file"));
    }
    let mut text = [0; LONGEST];
    // One read gives all of a file as small as that.
    let count = std::fs::File::from(file).read(&mut text)?;
    let address =
        str::from_utf8(&text[..count]).ok().and_then(|text| text.trim_end().parse::<SocketAddr>().ok());
    address.filter(|address| is_loopback(address.ip())).ok_or_else(|| denied("names no loopback address"))
}

fn unreachable(to: SocketAddr, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => nobody(to.to_string().into()),
        _ => error.into(),
    }
}

fn nobody(place: PathBuf) -> Error {
    ErrorKind::NoSuchServer { searched: vec![place] }.into()
}

impl Handshake<Tcp> for Outgoing {
    fn step(&mut self, _: Instant) -> Result<Option<Link<Tcp>>> {
        if let Stage::Connecting(stream) = &self.stage {
            if !is_connected(stream, self.to)? {
                return Ok(None);
            }
            self.connected()?;
        }
        let Some(peer) = self.peer_once_known()? else { return Ok(None) };
        Ok(self.stream().map(|stream| link(stream, peer.at(Some(self.to)), &self.config)))
    }
}

/// Whether it is, by now.
fn is_connected(stream: &TcpStream, to: SocketAddr) -> Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(unreachable(to, error));
    }
    match stream.peer_addr() {
        // A connect to a free port of our own machine can come from that same port: it has found itself.
        Ok(peer) if stream.local_addr()? == peer => Err(nobody(to.to_string().into())),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl Outgoing {
    /// Knocks, if there is a key.
    fn connected(&mut self) -> Result<()> {
        let Some(stream) = self.stream() else { return Ok(()) };
        self.config.seams.reach("tcp.connected")?;
        prepare(&stream, self.to)?;
        let nonce = match &self.key {
            None => Nonce::default(),
            Some(_) => {
                let [nonce] = random_nonces()?;
                say(&stream, &words::knock(&nonce))?;
                nonce
            }
        };
        self.stage = Stage::Knocked(stream, nonce, Box::new(Inflow::new()));
        Ok(())
    }

    fn stream(&mut self) -> Option<TcpStream> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Connecting(stream) | Stage::Knocked(stream, ..) => Some(stream),
            Stage::Over => None,
        }
    }

    /// The server, once it has answered; and its client's proof is on the way.
    fn peer_once_known(&mut self) -> Result<Option<Peer>> {
        let Stage::Knocked(stream, nonce, inflow) = &mut self.stage else { return Ok(None) };
        let Some(key) = &self.key else { return Ok(Some(nobody_knows_whom())) };
        loop {
            let said = words::read_answer(inflow.came()).map_err(|what| ErrorKind::Protocol { what })?;
            match said {
                Answer::Unfinished(wanted) if inflow.read(stream, wanted)? => {}
                Answer::Unfinished(_) => return Ok(None),
                Answer::No(verdict) => return Err(refused(&verdict, &self.config)),
                Answer::Said(server, signed) => {
                    let exchange = Exchange { port: self.to.port(), client: *nonce, server };
                    let claim = Claim::checked(&signed, key, Role::Server, &exchange);
                    // Whoever has read the key, and is not who owns it, has no business to serve here.
                    let claim = claim.filter(|claim| claim.is_owner).ok_or_else(|| stranger(self.to))?;
                    say(stream, &words::proof(key, &exchange, Claim::ours(key)))?;
                    let pid = PeerPid::Claimed(claim.pid);
                    return Ok(Some(Peer::new(Some(key.owner), None, pid, Proof::Key)));
                }
            }
        }
    }
}

fn stranger(at: SocketAddr) -> Error {
    Error::denied(format!(
        "who listens at {at} does not have the server's key; expected the server itself, which may be gone"
    ))
}

/// A server can say no before anything is proven, and nothing else.
fn refused(verdict: &Verdict, config: &Config) -> Error {
    let ours = Terms {
        version: VERSION,
        scheme: Tcp::SCHEME.to_owned(),
        limit: config.limits.message,
        schema: config.schema,
    };
    verdict.error(&ours).unwrap_or(ErrorKind::Protocol { what: "a yes before the key was shown" }).into()
}

impl Wait for Outgoing {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        match &self.stage {
            Stage::Connecting(stream) => into.add(stream.as_fd(), Interest::Writable),
            Stage::Knocked(stream, ..) => into.add(stream.as_fd(), Interest::Readable),
            Stage::Over => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::Ipv4Addr;

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};

    use super::*;

    /// Nobody listens at a free port; and then the connect itself is at the other end.
    #[test]
    fn a_connection_that_has_found_itself_is_nobody() {
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
        bind(fd, &SockaddrStorage::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))).unwrap();
        let stream = TcpStream::from(socket);
        let at = stream.local_addr().unwrap();
        connect(fd, &SockaddrStorage::from(at)).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), at, "it has found itself");
        let told = is_connected(&stream, at).unwrap_err();
        assert_eq!(*told.kind(), ErrorKind::NoSuchServer { searched: vec![at.to_string().into()] });
    }
}
