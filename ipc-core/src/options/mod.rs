//! What can be chosen beside the plain words.

mod alike;
mod connect;
mod server;

use std::{path::PathBuf, time::Duration};

use nix::unistd::geteuid;

use crate::{Given, Limits, Seams, WaitStrategy, Wire};

pub use connect::ConnectOptions;
pub(crate) use server::Policy;
pub use server::ServerOptions;

/// What the core and every transport are told; part of both kinds of options.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {
    /// The bounds kept.
    pub limits: Limits,
    /// How messages look on the way.
    pub wire: Wire,
    /// Whether clients must show a client file.
    pub client_file: ClientFile,
    /// Whether other users can reach the server.
    pub shared: bool,
    /// The directory of names, instead of the usual ones.
    pub directory: Option<PathBuf>,
    /// Users whose servers are trusted besides our own and root's.
    pub trusted: Vec<u32>,
    /// The fingerprint of the message types.
    pub schema: Option<u64>,
    /// How connections wait.
    pub wait: WaitStrategy,
    /// Whether the end of the peer's process ends the connection, whoever else has its descriptors.
    pub watch_peer: bool,
    /// How long a peer may stop in the middle of a message, or take nothing of one.
    pub stall: Option<Duration>,
    /// The file with the key that both sides of a port must have.
    pub key_file: Option<PathBuf>,
    /// A peer that proves nothing is dealt with on purpose: a server has a rule of its own for whom to admit, a client
    /// was told to believe any server.
    pub unproven: bool,
    /// Ports may be elsewhere than on the loopback interface.
    pub beyond_loopback: bool,
    /// The socket to serve on, instead of making one.
    pub given: Option<Given>,
    /// The clock, the failpoints and the faults.
    pub seams: Seams,
}

/// Whether a client must show a client file where the transport has one (AF_UNIX): its socket bound to a file
/// that the server checks and unlinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientFile {
    /// It must, and the file must be right.
    #[default]
    Required,
    /// It may; if it does, the file must be right.
    Optional,
    /// Files are neither made nor looked at.
    Off,
}

impl Config {
    /// Whether a server run by `uid` is to be believed: our own, root's, or one named in the options.
    #[must_use]
    pub fn trusts(&self, uid: u32) -> bool {
        uid == 0 || self.trusted.contains(&uid) || uid == geteuid().as_raw()
    }
}
