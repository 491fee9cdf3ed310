//! Both ends of a road by hand: for what the words hide.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    path::PathBuf,
    time::Instant,
};

use ipc_core::{Arrival, Config, Got, Handshake as _, Link, Listener as _, Place, Rx as _, Transport};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, sendmsg, socket,
    },
};
use tempfile::TempDir;

/// A listener that nobody else knows.
pub struct Meeting<T: Transport> {
    _dir: TempDir,
    path: PathBuf,
    listener: T::Listener,
}

impl<T: Transport> Meeting<T> {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let listener = T::listen(&Place::Path(path.clone()), &Config::default()).unwrap();
        Self { _dir: dir, path, listener }
    }

    pub fn accept(&mut self) -> Link<T> {
        let Some(Arrival::Incoming(mut incoming)) = self.listener.try_accept().unwrap() else {
            panic!("nobody came in")
        };
        incoming.step(Instant::now()).unwrap().unwrap()
    }

    /// The client's link and the server's.
    pub fn pair(&mut self) -> (Link<T>, Link<T>) {
        let mut outgoing = T::dial(&Place::Path(self.path.clone()), &Config::default()).unwrap();
        let at_once = outgoing.step(Instant::now()).unwrap();
        let served = self.accept();
        (at_once.unwrap_or_else(|| outgoing.step(Instant::now()).unwrap().unwrap()), served)
    }

    /// A socket that has connected and says what it likes, and the server's link to it.
    pub fn stranger(&mut self, kind: SockType) -> (OwnedFd, Link<T>) {
        let stranger = stranger(kind, &self.path);
        let served = self.accept();
        (stranger, served)
    }
}

pub fn stranger(kind: SockType, at: &std::path::Path) -> OwnedFd {
    let socket = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
    connect(socket.as_raw_fd(), &UnixAddr::new(at).unwrap()).unwrap();
    socket
}

/// Sends `bytes` and descriptors with them.
pub fn send_with(socket: &OwnedFd, bytes: &[u8], descriptors: &[RawFd]) {
    let rights = [ControlMessage::ScmRights(descriptors)];
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], &rights, MsgFlags::empty(), None).unwrap();
}

/// The writing end of a pipe, as a number to send; whether anybody still has it shows at the other end.
pub struct Marked {
    reader: io::PipeReader,
    writer: io::PipeWriter,
}

impl Marked {
    pub fn new() -> Self {
        let (reader, writer) = io::pipe().unwrap();
        Self { reader, writer }
    }

    pub fn number(&self) -> RawFd {
        self.writer.as_raw_fd()
    }

    /// Waits until nobody has the writing end any more.
    pub fn must_be_closed_everywhere(self) {
        let Self { mut reader, writer } = self;
        drop(writer);
        assert_eq!(io::Read::read(&mut reader, &mut [0]).unwrap(), 0);
    }
}

/// What one receive gives, with rooms of these sizes.
pub fn receive<T: Transport>(link: &mut Link<T>, sizes: &[usize]) -> io::Result<Option<Vec<u8>>> {
    let mut memory: Vec<Vec<u8>> = sizes.iter().map(|size| vec![0; *size]).collect();
    let mut rooms: Vec<_> = memory.iter_mut().map(|room| IoSliceMut::new(room)).collect();
    let got = link.rx.try_recv(&mut rooms, false)?;
    Ok(match got {
        Got::Bytes(count) => Some(memory.concat()[..count].to_vec()),
        Got::End => None,
    })
}

pub fn is_ready(socket: &impl AsFd, events: PollFlags) -> bool {
    let mut fds = [PollFd::new(socket.as_fd(), events)];
    poll(&mut fds, PollTimeout::ZERO).unwrap() > 0
}
