//! The server: a lease, a socket, and a door.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Instant,
};

use ipc_core::{
    Address, Deadline, ErrorKind, Interest, Interests, Lease, Operation, Peer, Result, StopHandle, Try,
    Waiting, drive, lease,
};
use nix::{errno::Errno, sys::socket::UnixAddr, unistd::geteuid};

use crate::{
    IN_RECORD, SCHEME,
    answers::Answers,
    door::Door,
    inbox::Inbox,
    must_be_ours,
    options::ServerOptions,
    rendezvous::{self, Rendezvous},
    sender::{ReplyTo, Sender},
    stats::Stats,
};

/// Receives datagrams, and answers them. Dropping it is [`destroy_server`](Self::destroy_server).
pub struct Server {
    /// In this order they are gone once the server is destroyed: nobody finds the socket, nobody can send to it, and
    /// the name is free.
    rendezvous: Option<Rendezvous>,
    answers: Answers,
    lease: Option<Lease>,
    /// Where the last datagram came from.
    from: Option<UnixAddr>,
    is_open: bool,
    inbox: Inbox,
    door: Door,
    receive: Deadline,
    waiting: Waiting,
    /// There may be more than a call that did not wait has looked at.
    more: bool,
}

/// So many dropped datagrams in a row, and a call that must not wait says that it would.
const MOST_DROPPED: u32 = 8;

impl Server {
    /// Serves at `at`: `dgram:NAME` or `dgram:/PATH`. Datagrams can be sent from the moment this returns. A socket that
    /// a dead server left at the path is taken over, a live one's never.
    ///
    /// # Errors
    /// `NameInUse` and by whom; `BadAddress`; `Denied`: what is at the path is not ours or no socket, or our directory is
    /// not safe; `NoSpace`, `TooManyOpen`.
    pub fn new_server(at: &Address) -> Result<Self> {
        Self::new_server_with(at, &ServerOptions::default())
    }

    /// Serves at `at` with options.
    ///
    /// # Errors
    /// As [`new_server`](Self::new_server).
    pub fn new_server_with(at: &Address, options: &ServerOptions) -> Result<Self> {
        let address: Arc<str> = at.over(SCHEME).to_string().into();
        Self::make(at, options, &address).map_err(|error| error.about("new_server", &address))
    }

    fn make(at: &Address, options: &ServerOptions, address: &Arc<str>) -> Result<Self> {
        must_be_ours(at)?;
        let config = options.config.clone();
        let (socket, name) = match &config.given {
            Some(given) => (rendezvous::take(given, at)?, None),
            None => {
                let (lease, place) = lease(at, SCHEME, &config)?;
                let (socket, rendezvous) = rendezvous::make(&place, &config)?;
                lease.announce(IN_RECORD, &config)?;
                (socket, Some((rendezvous, lease)))
            }
        };
        let (rendezvous, lease) = name.unzip();
        log::debug!("{address}: receiving datagrams");
        Ok(Self {
            rendezvous,
            answers: Answers::new(socket, options.reach(), address),
            lease,
            from: None,
            is_open: true,
            inbox: Inbox::new(config.limits.message),
            receive: options.receive,
            waiting: Waiting::new(&config),
            more: false,
            door: Door {
                allow: options.allow.clone(),
                own: geteuid().as_raw(),
                rates: options.rates(config.seams.now()),
                address: address.clone(),
                stats: Stats::default(),
                config,
            },
        })
    }

    /// Puts the next datagram into `info`, in place of what was there, and says who sent it. An empty datagram is one,
    /// too. Datagrams that are not handed out are counted ([`stats`](Self::stats)), and change nothing else.
    ///
    /// # Errors
    /// `TimedOut`, `WouldBlock` or `Stopped`: nothing was lost; `Closed`: the server was destroyed.
    pub fn recv_info(&mut self, info: &mut Vec<u8>) -> Result<Sender> {
        self.recv_info_by(info, self.receive)
    }

    /// [`recv_info`](Self::recv_info) with a deadline of its own.
    ///
    /// # Errors
    /// As there.
    pub fn recv_info_by(&mut self, info: &mut Vec<u8>, deadline: Deadline) -> Result<Sender> {
        let (sender, bytes) = self.recv_borrowed_by(deadline)?;
        info.clear();
        info.extend_from_slice(bytes);
        Ok(sender)
    }

    /// [`recv_info`](Self::recv_info) without waiting. After some datagrams in a row that are not handed out it would
    /// block, though there may be more; the descriptor is still ready then.
    ///
    /// # Errors
    /// As there.
    pub fn try_recv_info(&mut self, info: &mut Vec<u8>) -> Result<Sender> {
        self.recv_info_by(info, Deadline::Now)
    }

    /// Lends the next datagram until the next call; no copy is made.
    ///
    /// # Errors
    /// As [`recv_info`](Self::recv_info).
    pub fn recv_borrowed(&mut self) -> Result<(Sender, &[u8])> {
        self.recv_borrowed_by(self.receive)
    }

    /// [`recv_borrowed`](Self::recv_borrowed) with a deadline of its own.
    ///
    /// # Errors
    /// As there.
    pub fn recv_borrowed_by(&mut self, deadline: Deadline) -> Result<(Sender, &[u8])> {
        self.must_be_open().map_err(|error| error.about("recv_info", &self.door.address))?;
        let Self { answers, from, inbox, door, waiting, more, .. } = self;
        let socket = answers.socket();
        *more = false;
        let may_wait = !matches!(deadline, Deadline::Now | Deadline::Polled);
        let mut receive = Receive { socket, from, inbox, door, may_wait, dropped: 0, more };
        let received = drive(&mut receive, deadline, waiting);
        let (peer, size) = received.map_err(|error| error.about("recv_info", &self.door.address))?;
        Ok((Sender { peer, reply_to: ReplyTo::from_kernel(self.from) }, self.inbox.bytes(size)))
    }

    /// Answers the sender of a datagram. It never waits: a client that does not read loses the answer, and holds up
    /// nobody.
    ///
    /// Where the sender is another user's and its socket has a path, three more system calls make sure that what is
    /// there is still that user's socket, and no link to somebody else's: nobody can have this server speak to others in
    /// its own name. (root's and our own user's processes could do that themselves.)
    /// A name of another user's that is no path (an abstract socket) is not answered, unless
    /// [`answer_abstract_names`](crate::ServerOptions::answer_abstract_names) says so: nothing tells whose it is.
    ///
    /// # Errors
    /// None of these harms anybody else. `BadAddress`: the sender has no address, or a relative one; `PeerGone`: nobody
    /// has that address any more; `WouldBlock`: its queue is full, or our send buffer is, by answers that have not been
    /// read; `Denied`: we may not write to its socket, it listens to somebody else only, or it is not the sender's;
    /// `TooLarge`; `Closed`: the server was destroyed.
    pub fn send_info(&self, to: &Sender, info: &[u8]) -> Result<()> {
        self.must_be_open().map_err(|error| error.about("send_info", &self.door.address))?;
        self.answers.send_info(to, info)
    }

    /// What answers from other threads, while this one receives.
    #[must_use]
    pub fn answers(&self) -> Answers {
        self.answers.clone()
    }

    /// Gives the name back. What lies in the queue is lost, and its senders are not told. Idempotent.
    ///
    /// # Errors
    /// `TooManyOpen`: a socket that nobody sends to takes the place of the old one, for the sake of those who wait on the
    /// descriptor. To drop the server needs none.
    pub fn destroy_server(&mut self) -> Result<()> {
        if self.is_open {
            let quiet = rendezvous::datagram_socket()?;
            self.rendezvous = None;
            self.answers = self.answers.over(quiet);
            self.lease = None;
            self.is_open = false;
        }
        Ok(())
    }

    fn must_be_open(&self) -> Result<()> {
        if self.is_open { Ok(()) } else { Err(ErrorKind::Closed.into()) }
    }

    /// What ends a waiting `recv_info` from another thread or a signal handler. With it, a wait takes three system
    /// calls instead of one.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn stop_handle(&mut self) -> Result<StopHandle> {
        self.waiting.stop_handle()
    }

    /// Lets this handle end it, instead of the server's own.
    pub fn stop_with(&mut self, handle: &StopHandle) {
        self.waiting.stop_with(handle);
    }

    /// The address that clients can use.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.door.address
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.door.stats
    }

    /// How long [`recv_info`](Self::recv_info) waits.
    #[must_use]
    pub fn recv_deadline(&self) -> Deadline {
        self.receive
    }

    /// For event loops and runtimes: every descriptor whose event means that a call that would have blocked may go on.
    pub fn recv_interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.answers.socket().as_fd(), Interest::Readable);
        self.waiting.interests(into);
    }

    /// When to try again even if none of them says so.
    #[must_use]
    pub fn recv_wake_at(&self) -> Option<Instant> {
        self.more.then(|| self.door.config.seams.now())
    }
}

/// Readable when a datagram is there: receive with `try_` until it would block. Destroyed, it stays silent.
impl AsFd for Server {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.answers.socket().as_fd()
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.door.address)
            .field("stats", &self.door.stats)
            .finish_non_exhaustive()
    }
}

struct Receive<'a> {
    socket: &'a OwnedFd,
    from: &'a mut Option<UnixAddr>,
    inbox: &'a mut Inbox,
    door: &'a mut Door,
    may_wait: bool,
    dropped: u32,
    more: &'a mut bool,
}

impl Operation for Receive<'_> {
    type Output = (Peer, usize);

    #[inline]
    fn attempt(&mut self, may_block: bool) -> Result<Try<(Peer, usize)>> {
        let taken = match self.inbox.take(self.socket.as_fd(), may_block, self.from) {
            Ok(Some(taken)) => taken,
            Ok(None) => return Ok(Try::NotNow),
            Err(Errno::EINTR) => return Ok(Try::Again),
            Err(errno) => return Err(errno.into()),
        };
        let size = taken.size;
        if let Some(peer) = self.door.admit(taken) {
            return Ok(Try::Done((peer, size)));
        }
        // A flood of what is dropped must not hold a call that is not to wait. For one that may, the clock is looked at.
        self.dropped += 1;
        *self.more = !self.may_wait && self.dropped >= MOST_DROPPED;
        Ok(if *self.more { Try::NotNow } else { Try::Again })
    }

    /// The socket stays readable while there is something.
    fn arm(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.socket.as_fd(), Interest::Readable);
    }
}
