//! What can be chosen beside the plain words.

use std::{
    fmt,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::unistd::geteuid;

use crate::{Deadline, Error, Given, Limits, Peer, Result, Seams, WaitStrategy, Wire};

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
    /// Clients of our own uid only; [`Limits::default`]; accept waits for ever.
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

    /// The largest message received, in bytes.
    #[must_use]
    pub fn max_message(mut self, bytes: u32) -> Self {
        self.config.limits.message = bytes;
        self
    }

    /// The largest message sent on a foreign [wire](Wire), in bytes: there nobody says what the other side receives.
    /// Without this option it is as large as one received may be.
    #[must_use]
    pub fn max_sent(mut self, bytes: u32) -> Self {
        self.config.limits.sent = Some(bytes);
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

    /// How the connections that come of this wait; each can be told otherwise later.
    #[must_use]
    pub fn wait(mut self, strategy: WaitStrategy) -> Self {
        self.config.wait = strategy;
        self
    }

    /// Lets other users reach the server; [`allow`](Self::allow) says which of them may come in. Their clients must
    /// find the directory of names: root's is `/run/hobnob`, any other needs `$HOBNOB_DIR` or `directory`, and they
    /// must trust the server ([`ConnectOptions::trust_server`]) unless root runs it.
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

    /// Takes the end of the peer's process for the end of the connection (pidfd_open(2)). Without it the witness is
    /// the end of the stream, which does not come while a child that the peer forked still holds its descriptors.
    ///
    /// It costs a descriptor for each connection, and waits go through poll(2). On AF_UNIX the kernel names the process
    /// (SO_PEERPIDFD, Linux 6.5); over FIFOs it is the pid that the peer claims, if a process of the peer's uid has
    /// it. Where no process can be watched, the end of the stream remains the only witness. Whoever waits on the
    /// descriptor (`AsFd`) in a loop of his own does not see it; the `try_` words do.
    #[must_use]
    pub fn watch_peer(mut self, watch: bool) -> Self {
        self.config.watch_peer = watch;
        self
    }

    /// Gives a peer up ([`Stalled`](crate::ErrorKind::Stalled)) that for so long sends nothing of the rest of a message
    /// that we are receiving, or takes nothing of what we are sending, while a call of ours waits for it. Without this
    /// option such a call waits until its own deadline. Silence between messages is no stall. A connection with this
    /// option waits with poll(2).
    #[must_use]
    pub fn stalled_after(mut self, span: Duration) -> Self {
        self.config.stall = Some(span);
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

    /// Replaces the clock, the failpoints and the faults; for tests.
    #[must_use]
    pub fn seams(mut self, seams: impl Into<Seams>) -> Self {
        self.config.seams = seams.into();
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

    /// The largest message received, in bytes.
    #[must_use]
    pub fn max_message(mut self, bytes: u32) -> Self {
        self.config.limits.message = bytes;
        self
    }

    /// The largest message sent on a foreign [wire](Wire), in bytes: there nobody says what the other side receives.
    /// Without this option it is as large as one received may be.
    #[must_use]
    pub fn max_sent(mut self, bytes: u32) -> Self {
        self.config.limits.sent = Some(bytes);
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

    /// How the connection waits; it can be told otherwise later.
    #[must_use]
    pub fn wait(mut self, strategy: WaitStrategy) -> Self {
        self.config.wait = strategy;
        self
    }

    /// Takes the end of the peer's process for the end of the connection (pidfd_open(2)). Without it the witness is
    /// the end of the stream, which does not come while a child that the peer forked still holds its descriptors.
    ///
    /// It costs a descriptor for each connection, and waits go through poll(2). On AF_UNIX the kernel names the process
    /// (SO_PEERPIDFD, Linux 6.5); over FIFOs it is the pid that the peer claims, if a process of the peer's uid has
    /// it. Where no process can be watched, the end of the stream remains the only witness. Whoever waits on the
    /// descriptor (`AsFd`) in a loop of his own does not see it; the `try_` words do.
    #[must_use]
    pub fn watch_peer(mut self, watch: bool) -> Self {
        self.config.watch_peer = watch;
        self
    }

    /// Gives a peer up ([`Stalled`](crate::ErrorKind::Stalled)) that for so long sends nothing of the rest of a message
    /// that we are receiving, or takes nothing of what we are sending, while a call of ours waits for it. Without this
    /// option such a call waits until its own deadline. Silence between messages is no stall. A connection with this
    /// option waits with poll(2).
    #[must_use]
    pub fn stalled_after(mut self, span: Duration) -> Self {
        self.config.stall = Some(span);
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

    /// Replaces the clock, the failpoints and the faults; for tests.
    #[must_use]
    pub fn seams(mut self, seams: impl Into<Seams>) -> Self {
        self.config.seams = seams.into();
        self
    }
}
