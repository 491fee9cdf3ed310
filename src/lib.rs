#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod any;
mod transports;

pub use any::{AnyConnection, AnyServer};
pub use ipc_core::{
    Address, ClientFile, ConnectOptions, Deadline, Error, ErrorKind, Holder, IpcConnection, IpcReceiver,
    IpcSender, IpcServer, Limits, Name, Peer, PeerPid, Proof, Refusal, Result, Seams, Served, ServerOptions,
    ServerStats, StopHandle, Traffic, VARIABLE, serve,
};

/// The transports themselves, for code that fixes one at compile time.
pub mod transport {
    #[cfg(feature = "fifo")]
    pub use transport_fifo as fifo;
    #[cfg(feature = "inproc")]
    pub use transport_inproc as inproc;
    #[cfg(feature = "unix")]
    pub use transport_unix as unix;
}

/// Takes the name at `at`; see [`IpcServer::new_server`].
///
/// # Errors
/// As there; `BadAddress` if the transport is not compiled in.
pub fn new_server<A>(at: A) -> Result<AnyServer>
where
    A: TryInto<Address>,
    Error: From<A::Error>,
{
    AnyServer::new_server(&at.try_into()?)
}

/// Connects to the server at `at`; see [`IpcConnection::connect_to`].
///
/// # Errors
/// As there; `BadAddress` if the transport is not compiled in.
pub fn connect_to<A>(at: A) -> Result<AnyConnection>
where
    A: TryInto<Address>,
    Error: From<A::Error>,
{
    AnyConnection::connect_to(&at.try_into()?)
}

/// The schemes of the transports that are compiled in, in order of preference.
pub fn transports() -> impl Iterator<Item = &'static str> {
    transports::LIST.iter().map(|row| row.scheme)
}
