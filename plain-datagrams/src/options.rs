//! What can be chosen beside the plain words.

use std::{
    fmt,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use ipc_core::{Config, Deadline, Given, Peer, Seams, WaitStrategy};

use nix::unistd::geteuid;

use crate::{answer::Reach, rates::Rates};

/// Whose datagrams are handed out.
pub(crate) type Policy = Arc<dyn Fn(&Peer) -> bool + Send + Sync>;

/// What can be chosen for a server. Each method gives the options back, so that they can be chained.
#[derive(Clone)]
pub struct ServerOptions {
    pub(crate) config: Config,
    /// If none is set: our own uid.
    pub(crate) allow: Option<Policy>,
    pub(crate) receive: Deadline,
    rate: Option<(u32, u32)>,
    abstract_names: bool,
}

/// More than a sender with the default send buffer can send in one piece (212,960 bytes on Linux).
const LARGEST: u32 = 256 << 10;

/// What a client waits: nobody tells it that its datagram was dropped, or that the server has died.
const PATIENCE: Duration = Duration::from_secs(5);

impl Default for ServerOptions {
    /// Senders of our own uid only, at any rate; datagrams of up to 256 KiB; a receive waits for ever.
    fn default() -> Self {
        Self { config: config(), allow: None, receive: Deadline::Forever, rate: None, abstract_names: false }
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.limits.message = LARGEST;
    config
}

impl ServerOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands out the datagrams of exactly the peers for which `rule` says yes, instead of those of our own uid. All
    /// others are dropped and counted. It is asked for each datagram.
    #[must_use]
    pub fn allow(mut self, rule: impl Fn(&Peer) -> bool + Send + Sync + 'static) -> Self {
        self.allow = Some(Arc::new(rule));
        self
    }

    /// Hands out at most so many datagrams a second of each user, and at most `burst` in a row after a pause (both at
    /// least 1). What is over it is dropped and counted. 1,024 users are told apart; any more at the same time share one
    /// rate. This bounds what a user makes the program do, and not what he does to the kernel's queue, which is one for
    /// all senders.
    #[must_use]
    pub fn rate(mut self, per_second: u32, burst: u32) -> Self {
        self.rate = Some((per_second, burst));
        self
    }

    /// Answers other users also where they have a name that is no path (an abstract socket, unix(7)), as most programs have
    /// that let the kernel choose one. Nothing tells whose such a name is by then: the sender may have left it to somebody
    /// else, or have it in a network namespace where it is free, while here another one has it. So an admitted user can
    /// have this server say to others what it answers to that user. For servers whose answers do no harm there; without
    /// this option such a sender is `Denied`, unless it is root or our own user.
    #[must_use]
    pub fn answer_abstract_names(mut self, answer: bool) -> Self {
        self.abstract_names = answer;
        self
    }

    /// The largest datagram handed out, in bytes. A larger one is dropped and counted; the log names both sizes. So
    /// much memory is set aside for the server.
    #[must_use]
    pub fn max_message(mut self, bytes: u32) -> Self {
        self.config.limits.message = bytes;
        self
    }

    /// How long the plain `recv_info` waits.
    #[must_use]
    pub fn receive_deadline(mut self, deadline: impl Into<Deadline>) -> Self {
        self.receive = deadline.into();
        self
    }

    /// Lets other users reach the socket (mode 0622); [`allow`](Self::allow) says whose datagrams are handed out. What
    /// [`ipc_core::ServerOptions::shared`] says of the directories holds here, too. Without it, a socket at a path has
    /// the mode that the umask leaves.
    #[must_use]
    pub fn shared(mut self, shared: bool) -> Self {
        self.config.shared = shared;
        self
    }

    /// How it waits for datagrams.
    #[must_use]
    pub fn wait(mut self, strategy: WaitStrategy) -> Self {
        self.config.wait = strategy;
        self
    }

    /// Uses this directory of names, instead of `$HOBNOB_DIR` and the usual ones.
    #[must_use]
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.directory = Some(path.into());
        self
    }

    /// Serves on this socket instead of making one: the way of socket activation. It must be an AF_UNIX datagram socket,
    /// and the server's address the path that it is bound to. The name is whoever's who made the socket: the server takes
    /// no lease on it and does not remove its file. The first server that is made with these options takes it.
    ///
    /// What came before the server asked for credentials has none, and is dropped and counted, unless who made the
    /// socket has asked for them (SO_PASSCRED; `PassCredentials=yes` in systemd.socket(5)).
    #[must_use]
    pub fn receive_on(mut self, descriptor: impl Into<OwnedFd>) -> Self {
        self.config.given = Some(Given::new(descriptor.into()));
        self
    }

    /// Replaces the clock and the failpoints; for tests.
    #[must_use]
    pub fn seams(mut self, seams: impl Into<Seams>) -> Self {
        self.config.seams = seams.into();
        self
    }

    pub(crate) fn reach(&self) -> Reach {
        Reach { own: geteuid().as_raw(), abstract_names: self.abstract_names }
    }

    pub(crate) fn rates(&self, now: Instant) -> Option<Rates> {
        self.rate.map(|(per_second, burst)| Rates::new(per_second, burst, now))
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("config", &self.config)
            .field("receive", &self.receive)
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

/// What can be chosen for a client. Each method gives the options back, so that they can be chained.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    pub(crate) config: Config,
    pub(crate) send: Deadline,
    pub(crate) receive: Deadline,
    pub(crate) own: Option<PathBuf>,
}

impl Default for ClientOptions {
    /// 5 s for each send and each receive; answers of up to 256 KiB; an address that the kernel chooses.
    fn default() -> Self {
        Self { config: config(), send: PATIENCE.into(), receive: PATIENCE.into(), own: None }
    }
}

impl ClientOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long the plain `send_info` waits for room in the server's queue, and the plain `recv_info` for an answer.
    #[must_use]
    pub fn deadline(mut self, deadline: impl Into<Deadline>) -> Self {
        self.send = deadline.into();
        self.receive = self.send;
        self
    }

    /// The largest answer received, in bytes. A larger one is lost, and the error names both sizes.
    #[must_use]
    pub fn max_message(mut self, bytes: u32) -> Self {
        self.config.limits.message = bytes;
        self
    }

    /// Is answered at a socket at this path, which must be free, and is removed when the client is dropped. By default
    /// the kernel chooses a name that is not in the file system (an abstract socket, unix(7)); a server in another
    /// network namespace cannot answer that. Another user's server does not answer it either, unless we are root; for that
    /// one the default is a path in the directory for temporary files.
    #[must_use]
    pub fn answer_at(mut self, path: impl Into<PathBuf>) -> Self {
        self.own = Some(path.into());
        self
    }

    /// Believes servers run by this user, besides our own and root's.
    #[must_use]
    pub fn trust_server(mut self, uid: u32) -> Self {
        self.config.trusted.push(uid);
        self
    }

    /// How it waits for answers.
    #[must_use]
    pub fn wait(mut self, strategy: WaitStrategy) -> Self {
        self.config.wait = strategy;
        self
    }

    /// Looks in this directory of names only, instead of `$HOBNOB_DIR` and the usual ones.
    #[must_use]
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.directory = Some(path.into());
        self
    }
}
