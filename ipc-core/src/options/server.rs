//! What can be chosen for a server.

use std::{fmt, os::fd::OwnedFd, path::PathBuf, sync::Arc, time::Duration};

use nix::unistd::geteuid;

use super::alike::alike;
use crate::{ClientFile, Config, Deadline, Error, Given, Peer, Result, Seams, WaitStrategy, Wire};

/// Who may come in.
pub(crate) type Policy = Arc<dyn Fn(&Peer) -> bool + Send + Sync>;

/// What can be chosen for a server. Each method gives the options back, so that they can be chained.
#[derive(Clone)]
pub struct ServerOptions {
    pub(crate) config: Config,
    /// None was given: clients of our own uid only, where a default will do.
    pub(crate) allow: Option<Policy>,
    pub(crate) accept: Deadline,
}

impl Default for ServerOptions {
    /// Clients of our own uid only; [`Limits::default`](crate::Limits); accept waits for ever.
    fn default() -> Self {
        Self { config: Config::default(), allow: None, accept: Deadline::Forever }
    }
}

impl ServerOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Admits exactly the peers for which `rule` says yes, instead of those of our own uid.
    #[must_use]
    pub fn allow(mut self, rule: impl Fn(&Peer) -> bool + Send + Sync + 'static) -> Self {
        self.allow = Some(Arc::new(rule));
        self.config.unproven = true;
        self
    }

    /// How messages look on the way. With a [foreign wire](Wire) clients need not know hobnob, and nothing in what they
    /// say shows that they are meant to come: [`allow`](Self::allow) must say who may, or `new_server` is `BadOptions`.
    #[must_use]
    pub fn wire(mut self, wire: Wire) -> Self {
        self.config.wire = wire;
        self
    }

    /// The most clients at once; the next one is told `Busy`.
    #[must_use]
    pub fn max_clients(mut self, clients: usize) -> Self {
        self.config.limits.clients = clients;
        self
    }

    /// The most clients in mid-handshake; at least one.
    #[must_use]
    pub fn max_half_open(mut self, clients: usize) -> Self {
        self.config.limits.half_open = clients.max(1);
        self
    }

    /// The most memory, in bytes, for what lies unread, where users have shares of it ([`shared`](Self::shared)).
    /// Whoever sends beyond a share is cut off.
    #[must_use]
    pub fn max_unread(mut self, bytes: usize) -> Self {
        self.config.limits.unread = bytes;
        self
    }

    /// How long a client may take for the handshake.
    #[must_use]
    pub fn hello_within(mut self, span: Duration) -> Self {
        self.config.limits.hello = span;
        self
    }

    /// How long the plain `accept_client` waits.
    #[must_use]
    pub fn accept_deadline(mut self, deadline: impl Into<Deadline>) -> Self {
        self.accept = deadline.into();
        self
    }

    /// A fingerprint of the message types; a client that declares another one is refused.
    #[must_use]
    pub fn schema(mut self, fingerprint: u64) -> Self {
        self.config.schema = Some(fingerprint);
        self
    }

    /// Whether clients must show a client file. Path addresses have no place for one, and clients on a
    /// [foreign wire](Wire) know of none: there it is always off.
    #[must_use]
    pub fn client_file(mut self, rule: ClientFile) -> Self {
        self.config.client_file = rule;
        self
    }

    /// Lets other users reach the server; [`allow`](Self::allow) says which of them may come in. Their clients must
    /// find the directory of names: root's is `/run/hobnob`, any other needs `$HOBNOB_DIR` or `directory`, and they
    /// must trust the server ([`trust_server`](crate::ConnectOptions::trust_server)) unless root runs it.
    ///
    /// The directory of names and the server's folder get mode 0711, the folder for clients' files 03733 with our
    /// group (what clients make there our group can open), so that others can neither list it nor touch what is
    /// not theirs. Every user, our own too, then has a share of the clients, of the places in the handshake and of the
    /// memory for what lies unread: whatever one user takes, a part of what is left remains for the next.
    #[must_use]
    pub fn shared(mut self, shared: bool) -> Self {
        self.config.shared = shared;
        self
    }

    /// Uses this directory of names, instead of `$HOBNOB_DIR` and the usual ones.
    #[must_use]
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.directory = Some(path.into());
        self
    }

    /// For a port (`tcp:HOST:PORT`): only clients come in that have this key, and they are told that we have it, too. A
    /// client counts as the file's owner. The file is read when the server is made. It must be a plain file with one
    /// name and mode 0600, belong to us or to root, and have 32 to 256 bytes that nobody can guess, such as `head -c 32
    /// /dev/urandom` gives. Names need none: their key lies in the server's folder.
    #[must_use]
    pub fn key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.key_file = Some(path.into());
        self
    }

    /// Lets a port be on another address than a loopback one. **Everything then travels in the clear**: whoever is on
    /// the way reads it, and may change it or take a connection over after the handshake, key file or not. The key only
    /// keeps out who does not have it and merely connects.
    #[must_use]
    pub fn plaintext_beyond_loopback(mut self, allowed: bool) -> Self {
        self.config.beyond_loopback = allowed;
        self
    }

    /// Serves on this socket instead of making one: the way of socket activation, in which a service manager makes it and
    /// starts the server later. It must listen, and the server's address must be the path that it is bound to. What came
    /// before the server did is served.
    ///
    /// The name is whoever's who made the socket: the server takes no lease on it, and leaves the socket's file and those
    /// who still wait in its backlog alone when it ends. The socket is made non-blocking for all who have it, and
    /// close-on-exec. The first server that is made with these options takes it.
    #[must_use]
    pub fn listen_on(mut self, descriptor: impl Into<OwnedFd>) -> Self {
        self.config.given = Some(Given::new(descriptor.into()));
        self
    }
}

impl ServerOptions {
    /// Who may come in. The default is for those who say hello, and so mean to come.
    pub(crate) fn policy(&self) -> Result<Policy> {
        match &self.allow {
            Some(rule) => Ok(rule.clone()),
            None if self.config.wire.is_foreign() => Err(Error::bad_options(format!(
                "no policy for a server with the wire {}; expected ServerOptions::allow to say who may come in",
                self.config.wire
            ))),
            None => Ok(Arc::new(same_uid)),
        }
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("config", &self.config)
            .field("accept", &self.accept)
            .finish_non_exhaustive()
    }
}

fn same_uid(peer: &Peer) -> bool {
    peer.uid == Some(geteuid().as_raw())
}

alike!(ServerOptions);
