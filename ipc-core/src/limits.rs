//! The bounds that a server and a connection keep.

use std::time::Duration;

/// The bounds that a server and a connection keep. The defaults suit most programs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest message this side receives, in bytes, inclusive. Announced in the hello, so that the
    /// other side refuses to send more. Default 16 MiB.
    pub message: u32,
    /// The largest message sent on a foreign [wire](crate::Wire), in bytes, where the other side does not say what it
    /// receives. Default none: as many as in `message`.
    pub sent: Option<u32>,
    /// The most clients a server has at once; the next one is told `Busy`. Default 1,024.
    pub clients: usize,
    /// The most clients in mid-handshake; the next one takes the place of the oldest silent one. Default 64.
    pub half_open: usize,
    /// The most memory, in bytes, for what clients have sent in part and for large messages that lie unread, where
    /// users have shares of it ([`ServerOptions::shared`](crate::ServerOptions::shared)). Default 1 GiB.
    pub unread: usize,
    /// How long a client may take for the handshake before the server drops it. Default 5 s.
    pub hello: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 16 << 20,
            sent: None,
            clients: 1024,
            half_open: 64,
            unread: 1 << 30,
            hello: Duration::from_secs(5),
        }
    }
}
