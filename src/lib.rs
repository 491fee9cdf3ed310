#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod any;
mod following;
#[cfg(any(feature = "tokio", feature = "smol"))]
mod futures;
mod transports;

pub use any::{AnyConnection, AnyServer};
pub use following::AnyConnecting;
pub use ipc_core::{
    Address, ClientFile, ConnectOptions, Deadline, Error, ErrorKind, EventHandler, EventOptions, Holder,
    Interest, Interests, IpcConnecting, IpcConnection, IpcDial, IpcReceiver, IpcSender, IpcServer, Left,
    Limits, Mailbox, Name, Peer, PeerPid, Proof, Refusal, Reply, Result, Seams, Served, ServerOptions,
    ServerStats, StopHandle, Target, Traffic, VARIABLE, WaitStrategy, WhenFull, Wire, serve, serve_events,
};

/// With the feature `faulty` every transport that an address chooses is behind `Faulty`, so that a program need not be
/// changed to be tested. What does its server make of a client that dies in the middle of a message?
///
/// ```
/// # #[cfg(feature = "unix")] {
/// use hobnob::{
///     Address, AnyConnection, AnyServer, ConnectOptions, ErrorKind, Faults, IpcReceiver, IpcSender, IpcServer,
///     Result, ServerOptions,
/// };
///
/// // The test's own directory of names.
/// let names = std::env::temp_dir().join(format!("hobnob-faulty-{}", std::process::id()));
/// let at: Address = "calc".parse()?;
/// let mut server = AnyServer::new_server_with(&at, &ServerOptions::new().directory(&names))?;
///
/// let faults = Faults::seed(7).die_after_sending(1000);
/// let options = ConnectOptions::new().directory(&names).seams(faults);
/// let client = std::thread::spawn(move || -> Result<()> {
///     let mut server = AnyConnection::connect_with(&at, &options)?;
///     server.send_info(&[1; 600])?;
///     server.send_info(&[2; 600])
/// });
///
/// let mut client_of_ours = server.accept_client()?;
/// assert_eq!(client_of_ours.recv_borrowed()?, Some(&[1; 600][..]));
/// // It died in the middle of its second message, of which nothing is delivered.
/// assert_eq!(*client_of_ours.recv_borrowed().unwrap_err().kind(), ErrorKind::Truncated);
/// assert_eq!(*client.join().unwrap().unwrap_err().kind(), ErrorKind::PeerGone);
/// # drop((client_of_ours, server));
/// # std::fs::remove_dir_all(names).unwrap();
/// # }
/// # Ok::<(), hobnob::Error>(())
/// ```
#[cfg(feature = "faulty")]
pub use ipc_core::Faults;
#[cfg(feature = "faulty")]
pub use ipc_core::{Fault, Trace};

/// The transports themselves, for code that fixes one at compile time.
pub mod transport {
    #[cfg(feature = "faulty")]
    pub use transport_faulty as faulty;
    #[cfg(feature = "fifo")]
    pub use transport_fifo as fifo;
    #[cfg(feature = "inproc")]
    pub use transport_inproc as inproc;
    #[cfg(feature = "tcp")]
    pub use transport_tcp as tcp;
    #[cfg(feature = "unix")]
    pub use transport_unix as unix;
    #[cfg(feature = "dgram")]
    pub use transport_unix::dgram;
    #[cfg(feature = "seqpacket")]
    pub use transport_unix::seqpacket;
}

#[cfg(feature = "activation")]
pub use socket_activation as activation;

#[cfg(feature = "datagrams")]
pub use plain_datagrams as datagrams;

ipc_core::words!(AnyServer, AnyConnection);

/// The words as futures, on tokio.
#[cfg(feature = "tokio")]
pub mod tokio {
    crate::futures::words!(ipc_async::Tokio);
}

/// The words as futures, on smol.
#[cfg(feature = "smol")]
pub mod smol {
    crate::futures::words!(ipc_async::Smol);
}

/// The schemes of the transports that are compiled in, in order of preference.
pub fn transports() -> impl Iterator<Item = &'static str> {
    transports::LIST.iter().map(|row| row.scheme)
}
