//! The seven words of hobnob as traits, and everything that every transport shares.
//!
//! Read it in this order: [`IpcServer`] and [`IpcConnection`] are the words; [`Transport`] and its companions
//! are what a transport must do; [`Server`] and [`Connection`] implement the words once for every transport. The
//! rest says where names live (`runtime_dir`, `lease`, `record`), how messages look on the way (`frame`, `hello`)
//! and who waits (`drive`, and the loops in `events`: nobody else does).
//!
//! This crate names no transport.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod address;
mod bucket;
mod complaints;
mod connecting;
mod connection;
mod deadline;
mod door;
mod drive;
mod error;
mod events;
mod faults;
mod folder;
pub mod frame;
#[cfg(fuzzing)]
pub mod fuzz;
mod given;
mod half_open;
pub mod hello;
mod intake;
mod lease;
mod limits;
mod lookup;
mod name;
mod options;
mod outbox;
mod outlet;
mod peer;
mod place;
mod pool;
mod readiness;
mod receiver;
mod record;
mod reserve;
mod runtime_dir;
mod seams;
mod sender;
mod serve;
mod server;
mod shares;
mod stats;
mod stop;
mod strategy;
mod sweep;
mod trace;
mod transport;
mod vocabulary;
mod watch;
mod wire;
mod words;

pub use address::{Address, Target};
pub use connecting::{Connecting, connect};
pub use connection::Connection;
pub use deadline::Deadline;
pub use drive::{Operation, Try, Waiting, drive};
pub use error::{Error, ErrorKind, Holder, Result};
pub use events::{EventHandler, EventOptions, Left, Mailbox, Reply, WhenFull, serve_events};
pub use faults::{Fault, Faults};
pub use folder::{Access, Entry, Folder, Kind, TEMPORARY, base_name, look_at, strange};
pub use given::Given;
pub use lease::{CLIENTS, Lease, is_clients_folder, is_shared, make_clients_folder, open_to_clients};
pub use limits::Limits;
pub use lookup::{look_up, nobody_serves};
pub use name::Name;
pub use options::{ClientFile, Config, ConnectOptions, ServerOptions};
pub use peer::{Peer, PeerPid, Proof};
pub use place::{lease, places_of};
pub use receiver::Receiver;
pub use record::Record;
pub use runtime_dir::{VARIABLE, no_such_server};
pub use seams::{Clock, Failpoints, Seams};
pub use sender::Sender;
pub use serve::{Served, serve};
pub use server::Server;
pub use stats::{Refusal, ServerStats, Traffic};
pub use stop::StopHandle;
pub use strategy::WaitStrategy;
pub use sweep::Sweeper;
pub use trace::{Happening, Part, Side, Spot, Trace};
pub use transport::{
    Arrival, Capabilities, Got, Handshake, Interest, Interests, Link, Listener, Nonce, Place, Rx, Transport,
    Tx, Up, Wait,
};
pub use vocabulary::{IpcConnecting, IpcConnection, IpcDial, IpcReceiver, IpcSender, IpcServer};
pub use wire::Wire;

/// The words as traits, and what they return.
pub mod prelude {
    pub use crate::{Deadline, Error, ErrorKind, IpcConnection, IpcReceiver, IpcSender, IpcServer, Result};
}

/// Fresh 128-bit numbers that nobody can guess, for names and nonces.
///
/// # Errors
/// The operating system has no randomness to give.
pub fn random_nonces<const N: usize>() -> Result<[Nonce; N]> {
    let mut nonces = [Nonce::default(); N];
    connecting::fill_random(nonces.as_flattened_mut())?;
    Ok(nonces)
}
