//! Plain datagrams for programs that know nothing of hobnob: any program on this machine can send one, and the server
//! is told by the kernel who did (unix(7): AF_UNIX, SOCK_DGRAM, SO_PASSCRED).
//!
//! This is no connection, and so not one of hobnob's transports: there is no hello, no order between senders, and nobody
//! is told that somebody else has died. What it shares with them are the words, the names and paths (`dgram:calc`,
//! `dgram:/run/calc.sock`), the deadlines and the `StopHandle`.
//!
//! ```
//! # fn main() -> plain_datagrams::Result<()> {
//! # let place = std::env::temp_dir().join(format!("hobnob-doc-datagrams-{}", std::process::id()));
//! # let address = format!("dgram:{}.sock", place.display());
//! # let address = address.as_str();
//! let mut server = plain_datagrams::new_server(address)?; // such as "dgram:calc", or "dgram:/run/calc.sock"
//! let echo = std::thread::spawn(move || {
//!     let mut info = Vec::new();
//!     let sender = server.recv_info(&mut info)?;
//!     println!("{} from {}", info.len(), sender.peer());
//!     server.send_info(&sender, &info)
//! });
//! let mut client = plain_datagrams::connect_to(address)?;
//! client.send_info(b"hello")?;
//! assert_eq!(client.recv_borrowed()?, b"hello");
//! echo.join().unwrap()?;
//! # Ok(())
//! # }
//! ```
//!
//! # What the kernel's queue does
//!
//! A datagram waits in the queue of the socket that it was sent to. That queue is one for all senders, and it is short:
//! `net.unix.max_dgram_qlen` (10 unless the administrator has changed it) and one more. While it is full, a sender
//! waits, or is told EAGAIN. So **one sender can keep it full, and no option of a server keeps that sender from doing
//! it**: policy and rates decide about what has been taken out of the queue. What they do is make each unwanted
//! datagram cost the server one system call and nothing else, so that the queue moves on as fast as it can. Where users
//! must not be able to hold each other up, use one of hobnob's connections.
//!
//! An answer that its client has not read yet counts against the *server's* send buffer (SO_SNDBUF), not the client's.
//! A client that does not read holds at most its queue's 11 answers; but one that has connected its socket to the server's
//! has no such bound on Linux, and holds as many as the buffer does. That one, or many of the others, use the buffer up,
//! and then no client can be answered ([`WouldBlock`](ErrorKind::WouldBlock)) until some read or end. Admit those whom
//! you trust not to do that, and keep answers small: of 275 bytes the buffer holds a few hundred.
#![forbid(unsafe_code)]

mod answer;
mod answers;
mod client;
mod credentials;
mod door;
mod inbox;
mod options;
mod own_address;
mod rates;
mod rendezvous;
mod sender;
mod server;
mod stats;
mod there;
mod turn;

pub use answers::Answers;
pub use client::Client;
pub use ipc_core::{Address, Deadline, Error, ErrorKind, Peer, PeerPid, Proof, Result, StopHandle};
pub use options::{ClientOptions, ServerOptions};
pub use rates::Rates;
pub use sender::{ReplyTo, Sender};
pub use server::Server;
pub use stats::{Dropped, Stats};

/// The scheme of the addresses.
pub const SCHEME: &str = "dgram";

/// What the record in a server's folder calls this. Not the scheme: a client that expects a connection must not find
/// one here.
pub(crate) const IN_RECORD: &str = "datagrams";

/// The socket in a server's folder.
pub(crate) const SOCKET: &str = "sock";

/// Serves at `at`; see [`Server::new_server`].
///
/// # Errors
/// As there; `BadAddress` also if the address does not parse.
pub fn new_server<A>(at: A) -> Result<Server>
where
    A: TryInto<Address>,
    Error: From<A::Error>,
{
    Server::new_server(&at.try_into()?)
}

/// Makes a client of the server at `at`; see [`Client::connect_to`].
///
/// # Errors
/// As there; `BadAddress` also if the address does not parse.
pub fn connect_to<A>(at: A) -> Result<Client>
where
    A: TryInto<Address>,
    Error: From<A::Error>,
{
    Client::connect_to(&at.try_into()?)
}

/// Fails unless the address is open to this scheme.
pub(crate) fn must_be_ours(at: &Address) -> Result<()> {
    match at.scheme() {
        Some(other) if other != SCHEME => {
            Err(Error::bad_address(format!("the scheme is {other:?}; expected {SCHEME:?} or none")))
        }
        _ => Ok(()),
    }
}
