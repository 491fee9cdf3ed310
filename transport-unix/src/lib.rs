//! hobnob over AF_UNIX sockets (unix(7)): streams here, records in [`seqpacket`], datagrams in [`dgram`].
//!
//! A name's rendezvous is the socket `sock` in the server's folder, bound under another name and renamed once it
//! listens, so that it is never there without answering. The client binds its own socket to a file in `clients/`
//! before it connects; the server checks that file against the kernel's word and unlinks it ([`ClientFile`]).
//! Who is at the other end is the kernel's word on both sides (SO_PEERCRED).
//!
//! ```
//! use transport_unix::{new_server, connect_to, prelude::*};
//! # let place = std::env::temp_dir().join(format!("hobnob-doc-{}", std::process::id()));
//! # let address = format!("unix:{}.sock", place.display());
//! # let address = address.as_str();
//!
//! let mut server = new_server(address)?; // such as "calc", or "unix:/run/calc.sock"
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
#![deny(unsafe_code)]

mod at_path;
mod call;
mod client_file;
pub mod dgram;
mod dial;
mod ends;
#[cfg(fuzzing)]
pub mod fuzz;
mod half;
mod listen;
mod peer;
mod record;
mod road;
pub mod seqpacket;
mod socket;
#[allow(unsafe_code, reason = "the one address of unsafe code in this crate")]
mod sys;
mod witness;

use std::{io, os::unix::net::UnixStream, sync::Arc};

use ipc_core::{Capabilities, Config, Link, Peer, Place, Result, Transport, Up};
use nix::sys::socket::SockType;

pub use ipc_core::{ClientFile, ConnectOptions, Error, ErrorKind, ServerOptions, prelude};
use road::Road;

/// AF_UNIX stream sockets.
#[derive(Debug)]
pub enum Unix {}

/// A server on AF_UNIX.
pub type Server = ipc_core::Server<Unix>;
/// A connection over AF_UNIX.
pub type Connection = ipc_core::Connection<Unix>;

ipc_core::words!(Server, Connection);

/// What all of this family can do.
const ON_SOCKETS: Capabilities =
    Capabilities { one_process: false, paths: true, ports: false, answers_other_users: true };

impl Transport for Unix {
    const SCHEME: &'static str = "unix";
    const CAPABILITIES: Capabilities = ON_SOCKETS;
    const FOREIGN_WIRES: bool = true;
    const TAKES_GIVEN: bool = true;

    type Listener = listen::Listener<Self>;
    type Incoming = Up<Self>;
    type Outgoing = dial::Outgoing<Self>;
    type Tx = half::Tx;
    type Rx = half::Rx;

    fn listen(place: &Place, config: &Config) -> Result<Self::Listener> {
        listen::listen(place, config)
    }

    fn dial(place: &Place, config: &Config) -> Result<Self::Outgoing> {
        dial::dial(place, config)
    }
}

impl Road for Unix {
    const MEETS_BY: SockType = SockType::Stream;
    const DESCRIPTORS: usize = 1;
    type Needs = ();

    fn prepare() -> io::Result<()> {
        Ok(())
    }

    fn accepted(socket: Arc<UnixStream>, peer: Peer, (): (), config: &Config) -> io::Result<Link<Self>> {
        Ok(half::link(socket, peer, config))
    }

    fn connected(socket: &Arc<UnixStream>, peer: Peer, config: &Config) -> Result<Option<Link<Self>>> {
        Ok(Some(half::link(socket.clone(), peer, config)))
    }
}
