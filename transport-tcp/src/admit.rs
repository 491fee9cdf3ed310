//! The server's side of the key handshake: hear the knock, answer it, hear the proof.

use std::{
    net::{SocketAddr, TcpStream},
    os::fd::AsFd,
    time::Instant,
};

use ipc_core::{
    Config, ErrorKind, Handshake, Interest, Interests, Link, Nonce, Peer, PeerPid, Proof, Refusal, Result,
    Wait, random_nonces,
};

use crate::{
    Tcp,
    half::link,
    inflow::{Inflow, say},
    key::{Exchange, Key, Role},
    words::{self, Claim, KNOCK, PROOF},
};

/// A client on its way in.
#[derive(Debug)]
pub struct Incoming {
    /// Until it becomes the link.
    stream: Option<TcpStream>,
    from: SocketAddr,
    port: u16,
    stage: Stage,
    config: Config,
}

#[derive(Debug)]
enum Stage {
    /// It need not prove anything.
    Keyless,
    Knock(Key, Inflow<KNOCK>),
    Proof(Key, Exchange, Inflow<PROOF>),
}

impl Incoming {
    pub(crate) fn new(
        stream: TcpStream,
        from: SocketAddr,
        port: u16,
        key: Option<&Key>,
        config: &Config,
    ) -> Self {
        let stage = key.map_or(Stage::Keyless, |key| Stage::Knock(key.clone(), Inflow::new()));
        Self { stream: Some(stream), from, port, stage, config: config.clone() }
    }
}

impl Handshake<Tcp> for Incoming {
    fn step(&mut self, _: Instant) -> Result<Option<Link<Tcp>>> {
        let Some(stream) = &self.stream else { return Ok(None) };
        let peer = loop {
            match &mut self.stage {
                Stage::Keyless => break nobody_knows_whom(),
                Stage::Knock(key, inflow) => match words::read_knock(inflow.came()).map_err(|_| refused())? {
                    Some(client) => {
                        let exchange = answer(stream, key, self.port, client)?;
                        self.stage = Stage::Proof(key.clone(), exchange, Inflow::new());
                    }
                    None if inflow.read(stream, KNOCK)? => {}
                    None => return Ok(None),
                },
                Stage::Proof(key, exchange, inflow) => match inflow.whole() {
                    Some(proof) => {
                        let claim =
                            Claim::checked(&proof, key, Role::Client, exchange).ok_or_else(refused)?;
                        break known(claim, key);
                    }
                    None if inflow.read(stream, PROOF)? => {}
                    None => return Ok(None),
                },
            }
        };
        Ok(self.stream.take().map(|stream| link(stream, peer.at(Some(self.from)), &self.config)))
    }

    fn give_up(self) -> Option<Link<Tcp>> {
        let peer = nobody_knows_whom().at(Some(self.from));
        self.stream.map(|stream| link(stream, peer, &self.config))
    }
}

fn answer(stream: &TcpStream, key: &Key, port: u16, client: Nonce) -> Result<Exchange> {
    let [server] = random_nonces()?;
    let exchange = Exchange { port, client, server };
    say(stream, &words::answer(key, &exchange, Claim::ours(key)))?;
    Ok(exchange)
}

/// It has the key. Root can read everybody's, and says so: then it is not the owner.
fn known(claim: Claim, key: &Key) -> Peer {
    let uid = claim.is_owner.then_some(key.owner);
    Peer::new(uid, None, PeerPid::Claimed(claim.pid), Proof::Key)
}

/// The peer at a port without a key.
pub(crate) fn nobody_knows_whom() -> Peer {
    Peer::new(None, None, PeerPid::Unknown, Proof::None)
}

fn refused() -> ipc_core::Error {
    ErrorKind::Refused { reason: Refusal::BadKey }.into()
}

impl Wait for Incoming {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        if let Some(stream) = &self.stream {
            into.add(stream.as_fd(), Interest::Readable);
        }
    }
}
