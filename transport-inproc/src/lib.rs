//! hobnob inside one process: the reference for authors of transports, and what programs test with.
//!
//! It keeps every promise of the contract but one, openly ([`Capabilities::one_process`]): its names, servers and
//! clients live in one process. The whole transport is three files: `road` is one direction of bytes with a
//! doorbell, `rendezvous` is where clients knock, and this one ties them together.
//!
//! ```
//! use transport_inproc::{new_server, connect_to, prelude::*};
//!
//! let mut server = new_server("calc")?;
//! let echo = std::thread::spawn(move || -> Result<()> {
//!     let mut client = server.accept_client()?;
//!     let mut info = Vec::new();
//!     while client.recv_info(&mut info)? {
//!         client.send_info(&info)?;
//!     }
//!     Ok(())
//! });
//! let mut server = connect_to("calc")?;
//! server.send_info(b"hello")?;
//! assert_eq!(server.recv_borrowed()?, Some(&b"hello"[..]));
//! server.disconnect_from()?;
//! echo.join().unwrap()?;
//! # Ok::<(), Error>(())
//! ```
#![forbid(unsafe_code)]

mod rendezvous;
mod road;

use ipc_core::{Capabilities, Config, Limits, Link, Peer, Place, Result, Transport, Up};
pub use ipc_core::{ConnectOptions, Error, ErrorKind, ServerOptions, prelude};

/// Memory of this process.
#[derive(Debug)]
pub enum Inproc {}

/// A server in this process.
pub type Server = ipc_core::Server<Inproc>;
/// A connection inside this process.
pub type Connection = ipc_core::Connection<Inproc>;

ipc_core::words!(Server, Connection);

/// Two ends of one connection, without a server or a name: for tests of code that takes a connection.
///
/// # Errors
/// No descriptor is left.
pub fn pair() -> Result<(Connection, Connection)> {
    let (one, other) = links()?;
    let limit = Limits::default().message;
    Ok((Connection::over(one, "inproc:pair", limit), Connection::over(other, "inproc:pair", limit)))
}

fn links() -> Result<(Link<Inproc>, Link<Inproc>)> {
    let ((tx, far_rx), (far_tx, rx)) = (road::road()?, road::road()?);
    let link = |tx, rx| Link { tx, rx, peer: Peer::ourselves(), nonce: None, witness: None };
    Ok((link(tx, rx), link(far_tx, far_rx)))
}

impl Transport for Inproc {
    const SCHEME: &'static str = "inproc";
    const CAPABILITIES: Capabilities =
        Capabilities { one_process: true, paths: false, ports: false, answers_other_users: true };
    const FOREIGN_WIRES: bool = true;

    type Listener = rendezvous::Listener;
    type Incoming = Up<Self>;
    type Outgoing = rendezvous::Outgoing;
    type Tx = road::Tx;
    type Rx = road::Rx;

    fn listen(place: &Place, _: &Config) -> Result<Self::Listener> {
        rendezvous::listen(place)
    }

    fn dial(place: &Place, _: &Config) -> Result<Self::Outgoing> {
        rendezvous::dial(place)
    }
}
