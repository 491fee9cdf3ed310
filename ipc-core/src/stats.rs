//! What a server and a connection count.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// Why a server turned a client away. On the wire it is the verdict's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Refusal {
    /// It speaks another version of the protocol.
    WrongVersion = 1,
    /// It came over another transport than it says.
    WrongTransport = 2,
    /// Its schema fingerprint differs from the server's.
    SchemaMismatch = 3,
    /// The server has as many clients as it admits.
    Busy = 4,
    /// The server's policy does not admit this peer.
    NotAdmitted = 5,
    /// Its client file is no longer fresh, or gone.
    StaleClientFile = 6,
    /// Its client file is missing or not what it must be.
    BadClientFile = 7,
    /// The server is stopping.
    Stopping = 8,
    /// It sent something that is not a hello.
    Malformed = 9,
    /// It said nothing in time.
    Silent = 10,
    /// It was the oldest silent one when room was needed.
    Evicted = 11,
    /// It went away in the middle of the handshake.
    Gone = 12,
    /// Its rendezvous record names files that are not what they must be.
    BadRendezvous = 13,
    /// Its user has a share of the clients already, and the rest is left for other users.
    OverShare = 14,
    /// Its user has a share of the handshakes already: come again in a moment.
    Crowded = 15,
    /// It did not show that it has the server's key.
    BadKey = 16,
}

impl Refusal {
    /// Every reason, in the order of their codes.
    pub const ALL: [Self; 16] = [
        Self::WrongVersion,
        Self::WrongTransport,
        Self::SchemaMismatch,
        Self::Busy,
        Self::NotAdmitted,
        Self::StaleClientFile,
        Self::BadClientFile,
        Self::Stopping,
        Self::Malformed,
        Self::Silent,
        Self::Evicted,
        Self::Gone,
        Self::BadRendezvous,
        Self::OverShare,
        Self::Crowded,
        Self::BadKey,
    ];

    /// The code this reason has on the wire; 0 is no refusal.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The reason with this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongVersion => "another protocol version",
            Self::WrongTransport => "another transport",
            Self::SchemaMismatch => "another schema",
            Self::Busy => "as many clients as admitted",
            Self::NotAdmitted => "not admitted by the server's policy",
            Self::StaleClientFile => "client file no longer fresh",
            Self::BadClientFile => "client file missing or not as it must be",
            Self::Stopping => "the server is stopping",
            Self::Malformed => "not a hello",
            Self::Silent => "said nothing in time",
            Self::Evicted => "made room for another while silent",
            Self::Gone => "went away during the handshake",
            Self::BadRendezvous => "rendezvous files not as they must be",
            Self::OverShare => "its user has a share of the clients already",
            Self::Crowded => "its user has a share of the handshakes already",
            Self::BadKey => "did not show that it has the server's key",
        })
    }
}

/// A server's counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Clients that knocked.
    pub arrived: u64,
    /// Clients that finished the handshake.
    pub ready: u64,
    /// Times that accepting paused because no descriptor or memory was left.
    pub pauses: u64,
    refused: [u64; Refusal::ALL.len()],
}

impl ServerStats {
    /// How many clients were turned away for this reason.
    #[must_use]
    pub fn refused(&self, reason: Refusal) -> u64 {
        self.refused[usize::from(reason.code()) - 1]
    }

    /// How many clients were turned away in all.
    #[must_use]
    pub fn refused_in_all(&self) -> u64 {
        self.refused.iter().sum()
    }
}

/// The live counters behind [`ServerStats`]; shared, so that they outlive the server's move into `serve`.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) arrived: AtomicU64,
    pub(crate) ready: AtomicU64,
    pub(crate) pauses: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Counters {
    pub(crate) fn refuse(&self, reason: Refusal) {
        self.refused[usize::from(reason.code()) - 1].fetch_add(1, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> ServerStats {
        ServerStats {
            arrived: self.arrived.load(Relaxed),
            ready: self.ready.load(Relaxed),
            pauses: self.pauses.load(Relaxed),
            refused: std::array::from_fn(|i| self.refused[i].load(Relaxed)),
        }
    }
}

/// What one direction of a connection has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Whole messages.
    pub messages: u64,
    /// Their bytes, headers not counted.
    pub bytes: u64,
}

impl Traffic {
    pub(crate) fn count(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_dense_and_return_their_reason() {
        for (i, reason) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(reason.code()), i + 1);
            assert_eq!(Refusal::from_code(reason.code()), Some(reason));
        }
        assert_eq!(Refusal::from_code(0), None);
        assert_eq!(Refusal::from_code(200), None);
    }
}
