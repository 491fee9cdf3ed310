//! What can be chosen for a client.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use super::alike::alike;
use crate::{ClientFile, Config, Deadline, Seams, WaitStrategy, Wire};

/// What can be chosen for a client. Each method gives the options back, so that they can be chained.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    pub(crate) config: Config,
    pub(crate) deadline: Deadline,
    pub(crate) wait_for_server: bool,
}

impl Default for ConnectOptions {
    /// 5 s for connect and hello together; no waiting for a server to come.
    fn default() -> Self {
        Self {
            config: Config::default(),
            deadline: Deadline::Within(Duration::from_secs(5)),
            wait_for_server: false,
        }
    }
}

impl ConnectOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One budget for finding, connecting and the hello.
    #[must_use]
    pub fn deadline(mut self, deadline: impl Into<Deadline>) -> Self {
        self.deadline = deadline.into();
        self
    }

    /// The deadline with its start fixed at `now`, so that several steps can share one budget.
    #[must_use]
    pub fn deadline_from(&self, now: Instant) -> Deadline {
        self.deadline.started(now)
    }

    /// Whether it waits for a server to come.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.wait_for_server
    }

    /// Waits within the deadline for a server to come, instead of failing at once without one.
    #[must_use]
    pub fn wait_for_server(mut self, wait: bool) -> Self {
        self.wait_for_server = wait;
        self
    }

    /// How messages look on the way; it must be the server's way. With a [foreign wire](Wire) the server need not know
    /// hobnob, and the connection is ready as soon as the server's kernel has taken it: a server that turns us away shows
    /// as the end of the stream.
    #[must_use]
    pub fn wire(mut self, wire: Wire) -> Self {
        self.config.wire = wire;
        self
    }

    /// A fingerprint of the message types; a server that declares another one refuses.
    #[must_use]
    pub fn schema(mut self, fingerprint: u64) -> Self {
        self.config.schema = Some(fingerprint);
        self
    }

    /// Believes servers run by this user, besides our own and root's.
    #[must_use]
    pub fn trust_server(mut self, uid: u32) -> Self {
        self.config.trusted.push(uid);
        self
    }

    /// Whether to show a client file; a server that requires one refuses without.
    #[must_use]
    pub fn client_file(mut self, rule: ClientFile) -> Self {
        self.config.client_file = rule;
        self
    }

    /// Looks in this directory of names only, instead of `$HOBNOB_DIR` and the usual ones.
    #[must_use]
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.directory = Some(path.into());
        self
    }

    /// For a port (`tcp:HOST:PORT`): connects only to a server that has this key, and shows that we have it. The file is
    /// read when we connect. It must be a plain file with one name and mode 0600, belong to us, to root or to a user
    /// that we [trust](Self::trust_server), and have 32 to 256 bytes that nobody can guess. The server counts as its
    /// owner. Names need none: their key lies in the server's folder.
    #[must_use]
    pub fn key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.key_file = Some(path.into());
        self
    }

    /// Believes a server that proves nothing of itself: one at a port without a [key file](Self::key_file). Any user of
    /// the machine may have taken that port. Without this option there is no connection to such a port.
    #[must_use]
    pub fn trust_any_server(mut self, trust: bool) -> Self {
        self.config.unproven = trust;
        self
    }

    /// Connects to a port on another address than a loopback one, too. **Everything then travels in the clear**: whoever
    /// is on the way reads it, and may change it or take a connection over after the handshake, key file or not.
    #[must_use]
    pub fn plaintext_beyond_loopback(mut self, allowed: bool) -> Self {
        self.config.beyond_loopback = allowed;
        self
    }
}

alike!(ConnectOptions);
