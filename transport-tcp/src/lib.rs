//! hobnob over TCP (tcp(7)).
//!
//! **`tcp:NAME`** is a name like any other. The server listens at 127.0.0.1 and a port that is free, and puts two files
//! into its folder: `address`, and `key`, 32 random bytes that only its user may read (mode 0600). Client and server
//! show each other that they have the key before either says more: HMAC-SHA256 over two fresh nonces, the port and who
//! is speaking. So each knows the other to be the key's owner ([`Proof::Key`](ipc_core::Proof::Key)), or root, who may
//! read every file: a client that is not the owner says so, and its uid is then unknown. Pids are what the other side
//! claims. A client that may not read the key is told `Denied`; one whose proof is wrong is counted
//! ([`Refusal::BadKey`](ipc_core::Refusal::BadKey)) and told. A server that is shared with other users does not change
//! that: nobody else may read its key.
//!
//! **`tcp:HOST:PORT`** is the plain address, for other directories of names, containers, and with
//! [`plaintext_beyond_loopback`](ServerOptions::plaintext_beyond_loopback) other machines. Both sides name the same
//! [`key_file`](ServerOptions::key_file), and the same is shown as above. Without one nothing is proven
//! ([`Proof::None`](ipc_core::Proof::None)), and both sides must say that this is meant: the server by a rule of its own
//! ([`allow`](ServerOptions::allow)), the client by [`trust_any_server`](ConnectOptions::trust_any_server). HOST is an
//! address (`127.0.0.1`, `[::1]`) or `localhost`, which is 127.0.0.1; no other name is looked up, since that could wait
//! for seconds. Port 0 takes a free one, and [`address`](ipc_core::IpcServer::address) says which.
//!
//! Clients that never heard of hobnob ([`Wire`](ipc_core::Wire)) come to ports without a key. Whoever has a foreign wire
//! is told so at a name, and at a port with a key: keys are shown in hobnob's words.
//!
//! The port is part of what is shown, so it must be the same seen from both sides: a forwarded port will not do.
//!
//! The key keeps out who does not have it. Nothing is encrypted, and nothing that is said after the handshake is tied to
//! the key: whoever is in between can read and change it. On loopback only root is in between.
//!
//! # What was sent is not lost
//!
//! TCP throws away what is still on its way when a socket is closed in which something is unread, or for which something
//! comes later (RFC 1122, 4.2.2.13). So [`disconnect_from`](ipc_core::IpcSender::disconnect_from) returns once the
//! peer's kernel has acknowledged all of it; until then it is
//! [`Undelivered`](ErrorKind::Undelivered), and can be tried again. That takes about a millisecond with a peer that
//! answers or leaves, up to 50 ms with one that is silent, and as long as the peer takes to make room if it is behind.
//! A connection that is dropped does what can be done without waiting: it takes away what is unread (up to 1 MiB) and
//! leaves the rest to the kernel. That is enough unless the peer sends more. All this is for Linux (SIOCOUTQ); elsewhere
//! `disconnect_from` returns once the kernel has taken everything.
//!
//! # What is different
//!
//! - [`watch_peer`](ServerOptions::watch_peer) has no effect: TCP does not tell which process is at the other end.
//! - A receiving half that is dropped alone is not noticed by the peer: what that sends fills the buffers, and then it
//!   waits. TCP has no word for "I receive no more".
//! - Beyond loopback, a peer that cannot be reached, or takes nothing, is given up after a minute (TCP_USER_TIMEOUT).
//!
//! ```
//! use transport_tcp::{Connection, Server, ConnectOptions, ServerOptions, prelude::*};
//! # let key = std::env::temp_dir().join(format!("hobnob-doc-{}.key", std::process::id()));
//! # use std::{io::Write, os::unix::fs::OpenOptionsExt};
//! # let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key)?;
//! # file.write_all(&std::array::from_fn::<u8, 32, _>(|at| at as u8))?;
//!
//! let options = ServerOptions::new().key_file(&key); // such as /etc/calc.key
//! let mut server = Server::new_server_with(&"tcp:127.0.0.1:0".try_into()?, &options)?;
//! let at = server.address().try_into()?; // with the port that was free
//! let echo = std::thread::spawn(move || -> Result<()> {
//!     let mut client = server.accept_client()?;
//!     let mut info = Vec::new();
//!     while client.recv_info(&mut info)? {
//!         client.send_info(&info)?;
//!     }
//!     client.disconnect_from()
//! });
//! let mut server = Connection::connect_with(&at, &ConnectOptions::new().key_file(&key))?;
//! server.send_info(b"hello")?;
//! assert_eq!(server.recv_borrowed()?, Some(&b"hello"[..]));
//! server.disconnect_from()?;
//! echo.join().unwrap()?;
//! # std::fs::remove_file(key)?;
//! # Ok::<(), Error>(())
//! ```
#![deny(unsafe_code)]

mod admit;
mod dial;
mod endpoint;
#[cfg(fuzzing)]
pub mod fuzz;
mod half;
mod inflow;
mod key;
mod listen;
mod socket;
#[allow(unsafe_code, reason = "the one address of unsafe code in this crate")]
mod sys;
mod words;

use ipc_core::{Capabilities, Config, Place, Result, Transport};
pub use ipc_core::{ConnectOptions, Error, ErrorKind, ServerOptions, prelude};

/// TCP sockets.
#[derive(Debug)]
pub enum Tcp {}

/// A server on TCP.
pub type Server = ipc_core::Server<Tcp>;
/// A connection over TCP.
pub type Connection = ipc_core::Connection<Tcp>;

ipc_core::words!(Server, Connection);

impl Transport for Tcp {
    const SCHEME: &'static str = "tcp";
    const CAPABILITIES: Capabilities =
        Capabilities { one_process: false, paths: false, ports: true, answers_other_users: true };
    const FOREIGN_WIRES: bool = true;

    type Listener = listen::Listener;
    type Incoming = admit::Incoming;
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
