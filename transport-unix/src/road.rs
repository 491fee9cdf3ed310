//! What differs between the transports of this family. The rest of a rendezvous (the name in the file system, the
//! client's file, who is at the other end) is the same for all of them.

use std::{fmt, io, os::unix::net::UnixStream, sync::Arc};

use ipc_core::{Config, Link, Peer, Result, Transport, Up};
use nix::sys::socket::SockType;

/// A transport whose clients connect to a socket in the file system. std's [`UnixStream`] stands for the connected
/// socket, also where that keeps records: nothing but its descriptor and its shutdown(2) is used.
pub trait Road: Transport<Incoming = Up<Self>> {
    /// The type of the sockets that meet.
    const MEETS_BY: SockType;
    /// How many descriptors it takes to take a client in.
    const DESCRIPTORS: usize;

    /// What a road needs besides the socket. It is made before a client is taken in: where it cannot be had, the
    /// client stays in the backlog.
    type Needs: fmt::Debug + Send;

    /// Makes what the next road needs.
    fn prepare() -> io::Result<Self::Needs>;

    /// The server's side.
    fn accepted(
        socket: Arc<UnixStream>,
        peer: Peer,
        needs: Self::Needs,
        config: &Config,
    ) -> io::Result<Link<Self>>;

    /// The client's side, once it is connected; asked again for as long as it gives `None`. Only the server can
    /// bring it on then, and `socket` becomes readable when it does.
    fn connected(socket: &Arc<UnixStream>, peer: Peer, config: &Config) -> Result<Option<Link<Self>>>;
}
