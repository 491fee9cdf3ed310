//! Who is at the other end, and how that is known.

use std::{fmt, net::SocketAddr};

/// Who is at the other end. Made once, by the transport, when the connection is made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The user who opened the other end.
    pub uid: Option<u32>,
    /// That process's effective group, where the transport can tell.
    pub gid: Option<u32>,
    /// The process that opened the other end.
    pub pid: PeerPid,
    /// How `uid` is known.
    pub proof: Proof,
    /// The other end's host and port, on a transport that has such. Whoever has the connection now is there; it says
    /// nothing of who that is.
    pub address: Option<SocketAddr>,
}

/// The other end's process, and whose word that is. A pid is for display: it may be reused once its
/// process is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerPid {
    /// The kernel said so.
    Verified(u32),
    /// The other end said so; nobody checked.
    Claimed(u32),
    /// Not known: no transport support, or a process outside our PID namespace.
    Unknown,
}

/// How the peer's uid is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// The kernel recorded it when the connection was made (SO_PEERCRED, unix(7)), or the datagram sent
    /// (SCM_CREDENTIALS, ibid.).
    Kernel,
    /// The owner of the files the connection runs over, and the peer has shown that it reads and writes them.
    FileOwner,
    /// Both ends have shown that they can read a key file, and this is its owner.
    Key,
    /// Both ends are in this process.
    SameProcess,
    /// Nothing is known.
    None,
}

impl Peer {
    /// A peer as the transport learnt it.
    #[must_use]
    pub fn new(uid: Option<u32>, gid: Option<u32>, pid: PeerPid, proof: Proof) -> Self {
        Self { uid, gid, pid, proof, address: None }
    }

    /// The same peer, at this host and port.
    #[must_use]
    pub fn at(mut self, address: Option<SocketAddr>) -> Self {
        self.address = address;
        self
    }

    /// This very process.
    #[must_use]
    pub fn ourselves() -> Self {
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        Self::new(Some(uid), Some(gid), PeerPid::Verified(std::process::id()), Proof::SameProcess)
    }
}

impl PeerPid {
    /// The number, whoever said it.
    #[must_use]
    pub fn number(self) -> Option<u32> {
        match self {
            Self::Verified(pid) | Self::Claimed(pid) => Some(pid),
            Self::Unknown => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.uid {
            Some(uid) => write!(f, "uid {uid} ({})", self.proof)?,
            None => write!(f, "uid unknown")?,
        }
        match self.pid {
            PeerPid::Verified(pid) => write!(f, ", pid {pid} (verified)")?,
            PeerPid::Claimed(pid) => write!(f, ", pid {pid} (claimed)")?,
            PeerPid::Unknown => {}
        }
        self.address.map_or(Ok(()), |address| write!(f, ", at {address}"))
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel",
            Self::FileOwner => "file owner",
            Self::Key => "key",
            Self::SameProcess => "same process",
            Self::None => "no proof",
        })
    }
}
