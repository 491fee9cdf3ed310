//! hobnob over pairs of FIFOs (fifo(7)).
//!
//! A name's rendezvous is the FIFO `fifo` in the server's folder. A client makes a pair of FIFOs named after its
//! pid in `clients/`, opens its ends without waiting, and writes one [record] to the rendezvous. The
//! server opens the other ends, takes the names away, and from then on the pair is a connection nobody else can
//! reach. Who is at the other end is the owner of the pair, proven by what came back through it.
//!
//! At a path (`fifo:/run/calc`) the rendezvous is a FIFO of that name, and the pairs are made in the directory
//! `/run/calc.clients` beside it, which is there while the server is. A FIFO that a dead server of our user has left (one
//! with mode 0600 or 0622 that nobody reads) is taken over; anything else at the path stays what it is, and is
//! [`NameInUse`](ErrorKind::NameInUse) or [`Denied`](ErrorKind::Denied). The directory beside it must be ours, with mode
//! 0700 or 3733, and have nothing but clients' FIFOs in it. To find out whether a FIFO is read it is opened for
//! writing (fifo(7)): a program that waits in open(2) for its first writer sees one come and go.
//!
//! docs/PROTOCOL.md has the bytes.
//!
//! ```
//! use ipc_core::ServerOptions;
//! use transport_fifo::{Connection, Server, prelude::*};
//! # let place = std::env::temp_dir().join(format!("hobnob-doc-fifo-{}", std::process::id()));
//! # let (server_options, client_options) = (ServerOptions::new().directory(&place), ipc_core::ConnectOptions::new().directory(&place));
//!
//! let mut server = Server::new_server_with(&"calc".parse()?, &server_options)?; // or new_server("calc")
//! let echo = std::thread::spawn(move || -> Result<()> {
//!     let mut client = server.accept_client()?;
//!     let mut info = Vec::new();
//!     while client.recv_info(&mut info)? {
//!         client.send_info(&info)?;
//!     }
//!     Ok(())
//! });
//! let mut server = Connection::connect_with(&"calc".parse()?, &client_options)?; // or connect_to("calc")
//! server.send_info(b"hello")?;
//! assert_eq!(server.recv_borrowed()?, Some(&b"hello"[..]));
//! server.disconnect_from()?;
//! echo.join().unwrap()?;
//! # std::fs::remove_dir(&place).unwrap();
//! # Ok::<(), Error>(())
//! ```
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod beside;
mod dial;
mod half;
mod listen;
mod pair;
mod pinned;
mod process;
pub mod record;
mod rendezvous;
mod site;
#[allow(unsafe_code, reason = "the one address of unsafe code in this crate")]
mod sys;

use ipc_core::{Capabilities, Config, Place, Result, Transport, Up};
pub use ipc_core::{ConnectOptions, Error, ErrorKind, ServerOptions, prelude};

/// Pairs of FIFOs.
#[derive(Debug)]
pub enum Fifo {}

/// A server on FIFOs.
pub type Server = ipc_core::Server<Fifo>;
/// A connection over a pair of FIFOs.
pub type Connection = ipc_core::Connection<Fifo>;

ipc_core::words!(Server, Connection);

impl Transport for Fifo {
    const SCHEME: &'static str = "fifo";
    const CAPABILITIES: Capabilities =
        Capabilities { one_process: false, paths: true, ports: false, answers_other_users: false };

    type Listener = listen::Listener;
    type Incoming = Up<Self>;
    type Outgoing = dial::Outgoing;
    type Tx = half::Tx;
    type Rx = half::Rx;

    fn listen(place: &Place, config: &Config) -> Result<Self::Listener> {
        listen::listen(place, config)
    }

    fn dial(place: &Place, config: &Config) -> Result<Self::Outgoing> {
        dial::dial(place, config)
    }
}
