//! Who posts.

use std::net::SocketAddr;

use hobnob::Peer;

/// Who posts, as far as the kernel knows: a user's process at a path, an address at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Author {
    pub uid: Option<u32>,
    pub pid: Option<u32>,
    pub address: Option<SocketAddr>,
}

impl Author {
    pub fn of(peer: &Peer) -> Self {
        Self { uid: peer.uid, pid: peer.pid.number(), address: peer.address }
    }

    /// Whose number of messages is limited. One has a process or a port anew as often as one likes, and each of the 16
    /// million addresses that are this machine.
    pub fn account(&self) -> String {
        match (self.uid, self.address) {
            (Some(uid), _) => format!("uid {uid}"),
            (None, Some(address)) if address.ip().is_loopback() => "this machine".to_owned(),
            (None, Some(address)) => format!("host {}", address.ip()),
            (None, None) => "unknown".to_owned(),
        }
    }
}
