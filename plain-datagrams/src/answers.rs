//! Answers from other threads than the one that receives.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use ipc_core::Result;

use crate::{
    answer::{Reach, answer},
    sender::Sender,
};

/// Answers the senders of datagrams: [`Server::answers`](crate::Server::answers) gives it, for a thread that works out an
/// answer while the server receives the next datagram. Clones share the server's socket.
///
/// It outlives the server, so that what was received can still be answered when nobody can find the server any more. Until
/// it is dropped the socket is there: a sender that had connected to it can still send, and is not heard.
#[derive(Clone, Debug)]
pub struct Answers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    socket: OwnedFd,
    reach: Reach,
    address: Arc<str>,
}

impl Answers {
    pub(crate) fn new(socket: OwnedFd, reach: Reach, address: &Arc<str>) -> Self {
        Self(Arc::new(Shared { socket, reach, address: address.clone() }))
    }

    /// As [`Server::send_info`](crate::Server::send_info).
    ///
    /// # Errors
    /// As there, but for `Closed`.
    pub fn send_info(&self, to: &Sender, info: &[u8]) -> Result<()> {
        let Shared { socket, reach, address } = &*self.0;
        answer(socket.as_fd(), *reach, to, info).map_err(|error| error.about("send_info", address))
    }

    /// The same over another socket.
    pub(crate) fn over(&self, socket: OwnedFd) -> Self {
        Self::new(socket, self.0.reach, &self.0.address)
    }

    pub(crate) fn socket(&self) -> &OwnedFd {
        &self.0.socket
    }
}
