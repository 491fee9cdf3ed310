//! hobnob over AF_UNIX sockets that keep records (SOCK_SEQPACKET, unix(7)).
//!
//! Everything is as over `unix`, but that the kernel keeps what is sent by one call together. A message and its header
//! are one record of up to 80 KiB; what is larger leaves in several and is put together again, so that the limits on
//! messages are those of every transport. An empty message is a message: its record has a header.
//!
//! ```
//! use transport_unix::{prelude::*, seqpacket::{connect_to, new_server}};
//! # let place = std::env::temp_dir().join(format!("hobnob-doc-seqpacket-{}", std::process::id()));
//! # let address = format!("seqpacket:{}.sock", place.display());
//! # let address = address.as_str();
//!
//! let mut server = new_server(address)?; // such as "calc", or "seqpacket:/run/calc.sock"
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

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::Shutdown,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::Arc,
};

use ipc_core::{
    Capabilities, Config, Got, Interest, Interests, Link, Peer, Place, Result, Transport, Up, Wait,
};
use nix::sys::socket::SockType;

use crate::{
    ON_SOCKETS, dial, listen,
    peer::process_of,
    record::{Cutter, Rest},
    road::Road,
};

/// AF_UNIX sockets that keep records.
#[derive(Debug)]
pub enum Seqpacket {}

/// A server on AF_UNIX sockets that keep records.
pub type Server = ipc_core::Server<Seqpacket>;
/// A connection over AF_UNIX sockets that keep records.
pub type Connection = ipc_core::Connection<Seqpacket>;

ipc_core::words!(Server, Connection);

impl Transport for Seqpacket {
    const SCHEME: &'static str = "seqpacket";
    const CAPABILITIES: Capabilities = ON_SOCKETS;

    type Listener = listen::Listener<Self>;
    type Incoming = Up<Self>;
    type Outgoing = dial::Outgoing<Self>;
    type Tx = Tx;
    type Rx = Rx;

    fn listen(place: &Place, config: &Config) -> Result<Self::Listener> {
        listen::listen(place, config)
    }

    fn dial(place: &Place, config: &Config) -> Result<Self::Outgoing> {
        dial::dial(place, config)
    }
}

impl Road for Seqpacket {
    const MEETS_BY: SockType = SockType::SeqPacket;
    const DESCRIPTORS: usize = 1;
    type Needs = ();

    fn prepare() -> io::Result<()> {
        Ok(())
    }

    fn accepted(socket: Arc<UnixStream>, peer: Peer, (): (), config: &Config) -> io::Result<Link<Self>> {
        Ok(link(socket, peer, config))
    }

    fn connected(socket: &Arc<UnixStream>, peer: Peer, config: &Config) -> Result<Option<Link<Self>>> {
        Ok(Some(link(socket.clone(), peer, config)))
    }
}

fn link(socket: Arc<UnixStream>, peer: Peer, config: &Config) -> Link<Seqpacket> {
    let witness = if config.watch_peer { process_of(&socket) } else { None };
    let tx = Tx { socket: socket.clone(), cutter: Cutter::default() };
    Link { tx, rx: Rx { socket, rest: Rest::default() }, peer, nonce: None, witness }
}

/// The half that sends.
#[derive(Debug)]
pub struct Tx {
    socket: Arc<UnixStream>,
    cutter: Cutter,
}

/// The half that receives.
#[derive(Debug)]
pub struct Rx {
    socket: Arc<UnixStream>,
    rest: Rest,
}

impl ipc_core::Tx for Tx {
    fn try_send(&mut self, bufs: &[IoSlice<'_>], may_block: bool) -> io::Result<usize> {
        self.cutter.send(&self.socket, bufs, may_block)
    }

    fn finish(&mut self) {
        // A socket whose peer is gone has nothing left to shut.
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

impl ipc_core::Rx for Rx {
    fn holds_more(&self) -> bool {
        !self.rest.is_empty()
    }

    fn try_recv(&mut self, rooms: &mut [IoSliceMut<'_>], may_block: bool) -> io::Result<Got> {
        let mut received = self.rest.receive(&self.socket, rooms, may_block);
        if received.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset) {
            // The peer closed with our records unread. Other than on a stream, that is told once and before what it had
            // sent, which is still there.
            received = self.rest.receive(&self.socket, rooms, may_block);
        }
        match received? {
            // No peer of ours sends an empty record, which would read just the same.
            0 => Ok(Got::End),
            count => Ok(Got::Bytes(count)),
        }
    }

    fn finish(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Read);
    }
}

impl Wait for Tx {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.socket.as_fd(), Interest::Writable);
    }
}

impl Wait for Rx {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.socket.as_fd(), Interest::Readable);
    }
}

impl AsFd for Tx {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsFd for Rx {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
