//! hobnob over AF_UNIX datagrams (SOCK_DGRAM, unix(7)).
//!
//! Client and server meet as they do over `unix`: by a connection, with the client's file, and with the kernel's word
//! on both sides (SO_PEERCRED). Over that connection the server gives the client its ends of two pairs of datagram
//! sockets, one for each direction, connected to each other and without a name: nobody else can send into them. The
//! connection is kept, and nothing more is said on it: its end tells each side that the other is gone, of which a
//! receiver of datagrams hears nothing.
//!
//! A connection takes three descriptors on each side, and a server four more for the next one. An event loop of your own
//! that watches the one that `AsFd` gives sees messages and goodbyes; a peer that dies without a goodbye shows when you try
//! to receive.
//!
//! What a client has not taken counts as sent by the server's user, who may have as many descriptors on the way as a
//! process may have open (RLIMIT_NOFILE; ETOOMANYREFS in unix(7)). So whoever can reach the socket and takes nothing keeps
//! everybody else out with half as many connections, for as long as those are held, whether or not the policy admits him.
//! A server with CAP_SYS_RESOURCE or CAP_SYS_ADMIN has no such limit. Where users must not be able to hold each other up,
//! use `unix` or `seqpacket`.
//!
//! This is for programs that both use hobnob. `dgram:/PATH` is not a place where others can send datagrams to.
//!
//! ```
//! use transport_unix::{prelude::*, dgram::{connect_to, new_server}};
//! # let place = std::env::temp_dir().join(format!("hobnob-doc-dgram-{}", std::process::id()));
//! # let address = format!("dgram:{}.sock", place.display());
//! # let address = address.as_str();
//!
//! let mut server = new_server(address)?; // such as "calc", or "dgram:/run/calc.sock"
//! let echo = std::thread::spawn(move || -> Result<()> {
//!     let mut client = server.accept_client()?;
//!     let mut info = Vec::new();
//!     while client.recv_info(&mut info)? {
//!         client.send_info(&info)?;
//!     }
//!     Ok(())
//! });
//! let mut server = connect_to(address)?;
//! server.send_info(b"hello")?;
//! assert_eq!(server.recv_borrowed()?, Some(&b"hello"[..]));
//! server.disconnect_from()?;
//! echo.join().unwrap()?;
//! # Ok::<(), Error>(())
//! ```

mod rx;
mod tx;

use std::{io, os::unix::net::UnixStream, sync::Arc};

use ipc_core::{Capabilities, Config, Link, Peer, Place, Result, Transport, Up};
use nix::sys::socket::SockType;

pub use rx::Rx;
pub use tx::Tx;

use crate::{
    ON_SOCKETS, dial,
    ends::{self, Ends},
    listen,
    peer::process_of,
    road::Road,
    witness::Witness,
};

/// AF_UNIX datagrams.
#[derive(Debug)]
pub enum Dgram {}

/// A server on AF_UNIX datagrams.
pub type Server = ipc_core::Server<Dgram>;
/// A connection over AF_UNIX datagrams.
pub type Connection = ipc_core::Connection<Dgram>;

ipc_core::words!(Server, Connection);

impl Transport for Dgram {
    const SCHEME: &'static str = "dgram";
    const CAPABILITIES: Capabilities = ON_SOCKETS;

    type Listener = listen::Listener<Self>;
    type Incoming = Up<Self>;
    type Outgoing = dial::Outgoing<Self>;
    type Tx = Tx;
    type Rx = Rx;

    fn listen(place: &Place, config: &Config) -> Result<Self::Listener> {
        listen::listen(place, config)
    }

    fn dial(place: &Place, config: &Config) -> Result<Self::Outgoing> {
        dial::dial(place, config)
    }
}

impl Road for Dgram {
    const MEETS_BY: SockType = SockType::Stream;
    const DESCRIPTORS: usize = 1 + ends::DESCRIPTORS;
    /// The server's ends and the client's.
    type Needs = (Ends, Ends);

    fn prepare() -> io::Result<Self::Needs> {
        ends::make()
    }

    fn accepted(
        socket: Arc<UnixStream>,
        peer: Peer,
        (ours, theirs): Self::Needs,
        config: &Config,
    ) -> io::Result<Link<Self>> {
        ends::hand_over(&socket, theirs)?;
        Ok(link(ours, socket, peer, config))
    }

    fn connected(socket: &Arc<UnixStream>, peer: Peer, config: &Config) -> Result<Option<Link<Self>>> {
        let ends = ends::take(socket)?;
        Ok(ends.map(|ends| link(ends, socket.clone(), peer, config)))
    }
}

fn link(ends: Ends, connection: Arc<UnixStream>, peer: Peer, config: &Config) -> Link<Dgram> {
    let witness = if config.watch_peer { process_of(&connection) } else { None };
    let tx = Tx::new(ends.outgoing, connection.clone());
    Link { tx, rx: Rx::new(ends.incoming, Witness::new(connection)), peer, nonce: None, witness }
}
