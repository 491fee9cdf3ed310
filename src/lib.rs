#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod any;
mod transports;

pub use any::{AnyConnection, AnyServer};
pub use ipc_core::{
    Address, ClientFile, ConnectOptions, Deadline, Error, ErrorKind, Holder, IpcConnection, IpcReceiver,
    IpcSender, IpcServer, Limits, Name, Peer, PeerPid, Proof, Refusal, Result, Seams, Served, ServerOptions,
    ServerStats, StopHandle, Traffic, VARIABLE, WaitStrategy, serve,
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

ipc_core::words!(AnyServer, AnyConnection);

/// The schemes of the transports that are compiled in, in order of preference.
pub fn transports() -> impl Iterator<Item = &'static str> {
    transports::LIST.iter().map(|row| row.scheme)
}
