//! The seven words, as traits. They mean the same on every transport.

use std::{os::fd::AsFd, sync::Arc, time::Instant};

use crate::{
    Address, ConnectOptions, Deadline, Interests, Peer, Result, ServerStats, StopHandle, WaitStrategy, Wire,
};

/// Has a name, and takes clients in.
pub trait IpcServer: Send {
    /// What a client becomes.
    type Client: IpcConnection;

    /// Takes the name at `at`; clients can connect from the moment this returns. Never waits.
    ///
    /// # Errors
    /// [`NameInUse`](crate::ErrorKind::NameInUse) and who has it, `BadAddress`, `Denied` (a directory that is not
    /// ours, not 0700, or a link), `NoSpace`, `TooManyOpen`.
    fn new_server(at: &Address) -> Result<Self>
    where
        Self: Sized;

    /// The next client that has finished its handshake. Clients that are silent, hostile or dead never delay it
    /// past its deadline and never make it fail: they change [`stats`](Self::stats).
    ///
    /// # Errors
    /// `TimedOut`, `WouldBlock`, `Stopped`, `Closed`, or a failure of the listener itself.
    fn accept_client_by(&mut self, deadline: Deadline) -> Result<Self::Client>;

    /// [`accept_client_by`](Self::accept_client_by) the deadline set in the options; by default it waits for ever.
    ///
    /// # Errors
    /// As there.
    fn accept_client(&mut self) -> Result<Self::Client>;

    /// [`accept_client_by`](Self::accept_client_by) without waiting.
    ///
    /// # Errors
    /// As there.
    fn try_accept_client(&mut self) -> Result<Self::Client> {
        self.accept_client_by(Deadline::Now)
    }

    /// Gives the name back and refuses the clients that are still in their handshake; connections live on.
    /// Never waits. Doing it twice is fine, and dropping the server does the same.
    ///
    /// # Errors
    /// None today.
    fn destroy_server(&mut self) -> Result<()>;

    /// What ends a blocked `accept_client` from elsewhere.
    ///
    /// # Errors
    /// No descriptor is left.
    fn stop_handle(&mut self) -> Result<StopHandle>;

    /// Lets this handle end `accept_client`, instead of the server's own.
    fn stop_with(&mut self, handle: &StopHandle);

    /// How long [`accept_client`](Self::accept_client) waits.
    fn accept_deadline(&self) -> Deadline;

    /// For event loops and runtimes: every descriptor whose event means that a
    /// [`try_accept_client`](Self::try_accept_client) that would have blocked may go on.
    fn accept_interests<'a>(&'a self, into: &mut Interests<'a>);

    /// When to try again even if none of them says so.
    fn accept_wake_at(&self) -> Option<Instant>;

    /// The address that clients can use, with its transport.
    fn address(&self) -> &str;

    /// What was counted so far.
    fn stats(&self) -> ServerStats;
}

/// Sends messages.
///
/// Its descriptor ([`AsFd`]) becomes ready when a send that would have blocked may go on. Treat it as
/// edge-triggered: `try_` until `WouldBlock`, then wait.
pub trait IpcSender: AsFd + Send {
    /// Has the whole message accepted, in order. Accepted is: taken by the kernel, or, if the deadline passed in
    /// the middle of it, kept here until the next call takes it further. Two peers that both only send wait for
    /// ever, as on any stream: use halves or deadlines.
    ///
    /// # Errors
    /// `TooLarge` before a byte leaves, and on a foreign [wire](Wire) `EmptyMessage`, `DelimiterInside` or `WrongSize`;
    /// `TimedOut`, `WouldBlock` or `Stopped`: not one byte was taken; `PeerGone`; `Closed` after `disconnect_from`.
    fn send_info_by(&mut self, info: &[u8], deadline: Deadline) -> Result<()>;

    /// [`send_info_by`](Self::send_info_by) the deadline set; by default it waits for ever.
    ///
    /// # Errors
    /// As there.
    fn send_info(&mut self, info: &[u8]) -> Result<()> {
        self.send_info_by(info, self.send_deadline())
    }

    /// [`send_info_by`](Self::send_info_by) without waiting.
    ///
    /// # Errors
    /// As there.
    fn try_send_info(&mut self, info: &[u8]) -> Result<()> {
        self.send_info_by(info, Deadline::Now)
    }

    /// Has the whole message accepted and keeps it here, to leave together with others in one system call: with
    /// the next [`send_info`](Self::send_info) or [`flush_info`](Self::flush_info), at the goodbye, before an
    /// unsplit connection reads or waits for messages, or when 64 KiB have gathered. Until then the peer has
    /// nothing of it, and if this process dies it is lost.
    ///
    /// # Errors
    /// As [`send_info_by`](Self::send_info_by).
    fn feed_info_by(&mut self, info: &[u8], deadline: Deadline) -> Result<()>;

    /// [`feed_info_by`](Self::feed_info_by) the deadline set.
    ///
    /// # Errors
    /// As there.
    fn feed_info(&mut self, info: &[u8]) -> Result<()> {
        self.feed_info_by(info, self.send_deadline())
    }

    /// Has the whole message accepted and keeps it here, however much is [queued](Self::queued) already. It leaves as
    /// one that was fed does. Never waits: whoever calls this bounds the queue.
    ///
    /// # Errors
    /// `TooLarge` and what else the [wire](Wire) cannot carry, `PeerGone`, `Closed`.
    fn queue_info(&mut self, info: &[u8]) -> Result<()>;

    /// How many bytes were accepted and are still here: messages and their headers.
    fn queued(&self) -> usize;

    /// The largest message that the other side receives, in bytes.
    fn largest(&self) -> u32;

    /// How messages look on the way.
    fn wire(&self) -> Wire;

    /// Has `infos` accepted, each whole and in order, in as few system calls as they fit in, and says how many
    /// were; like sendmmsg(2), fewer than all only if it had to give up after some.
    ///
    /// # Errors
    /// As [`send_info_by`](Self::send_info_by), if not one was accepted.
    fn send_many_by(&mut self, infos: &[&[u8]], deadline: Deadline) -> Result<usize>;

    /// [`send_many_by`](Self::send_many_by) the deadline set.
    ///
    /// # Errors
    /// As there.
    fn send_many(&mut self, infos: &[&[u8]]) -> Result<usize> {
        self.send_many_by(infos, self.send_deadline())
    }

    /// Hands what was accepted and is still here to the kernel.
    ///
    /// # Errors
    /// `TimedOut`, `WouldBlock` or `Stopped`: some is still here; `PeerGone`.
    fn flush_info_by(&mut self, deadline: Deadline) -> Result<()>;

    /// [`flush_info_by`](Self::flush_info_by) the deadline set.
    ///
    /// # Errors
    /// As there.
    fn flush_info(&mut self) -> Result<()> {
        self.flush_info_by(self.send_deadline())
    }

    /// Hands everything accepted and a goodbye to the kernel. The peer receives all of it and then the goodbye, which on a
    /// foreign [wire](Wire) is the end of the stream (shutdown(2)). Receiving goes on. Doing it twice is fine; dropping does the same without waiting.
    ///
    /// # Errors
    /// [`Undelivered`](crate::ErrorKind::Undelivered): the deadline passed, and it can be tried again; or the peer
    /// is gone, which is told once.
    fn disconnect_from_by(&mut self, deadline: Deadline) -> Result<()>;

    /// [`disconnect_from_by`](Self::disconnect_from_by) within 5 s.
    ///
    /// # Errors
    /// As there.
    fn disconnect_from(&mut self) -> Result<()>;

    /// [`disconnect_from`](Self::disconnect_from) without waiting, to be tried until it is done.
    ///
    /// # Errors
    /// `WouldBlock`: it is not done; else as there.
    fn try_disconnect_from(&mut self) -> Result<()>;

    /// For event loops and runtimes: every descriptor whose event means that a `try_` that would have blocked may
    /// go on.
    fn send_interests<'a>(&'a self, into: &mut Interests<'a>);

    /// When to try again even if none of them says so.
    fn send_wake_at(&self) -> Option<Instant>;

    /// How long [`send_info`](Self::send_info) waits.
    fn send_deadline(&self) -> Deadline;

    /// Sets how long every later [`send_info`](Self::send_info) waits.
    fn set_send_deadline(&mut self, deadline: Deadline);

    /// Chooses how this half waits for room.
    fn set_send_wait(&mut self, strategy: WaitStrategy);

    /// Lets this handle end waits for room.
    fn stop_sending_with(&mut self, handle: &StopHandle);
}

/// Receives messages.
///
/// Its descriptor ([`AsFd`]) becomes ready when there is something to receive. Treat it as edge-triggered: `try_`
/// until `WouldBlock`, then wait; it does not fire for what is already [buffered](Self::has_buffered).
pub trait IpcReceiver: AsFd + Send {
    /// Lends the next message, whole and as it was sent, until the next call; no copy is made. `None` is the
    /// peer's goodbye, after its last message; on a foreign [wire](Wire) that is the end of the stream between two
    /// messages.
    ///
    /// # Errors
    /// `PeerGone`: it died without a goodbye; `Truncated`: it died inside a message; `Protocol`; `TimedOut`,
    /// `WouldBlock` or `Stopped`: nothing was lost.
    fn recv_borrowed_by(&mut self, deadline: Deadline) -> Result<Option<&[u8]>>;

    /// [`recv_borrowed_by`](Self::recv_borrowed_by) the deadline set; by default it waits for ever.
    ///
    /// # Errors
    /// As there.
    fn recv_borrowed(&mut self) -> Result<Option<&[u8]>> {
        self.recv_borrowed_by(self.recv_deadline())
    }

    /// Puts the next message into `into`, in place of what was there. False is the peer's goodbye. A large message
    /// comes in memory of its own, which takes the place of that of `into`: its capacity may change.
    ///
    /// # Errors
    /// As [`recv_borrowed_by`](Self::recv_borrowed_by); `into` is then as it was.
    fn recv_info_by(&mut self, into: &mut Vec<u8>, deadline: Deadline) -> Result<bool>;

    /// [`recv_info_by`](Self::recv_info_by) the deadline set; by default it waits for ever.
    ///
    /// # Errors
    /// As there.
    fn recv_info(&mut self, into: &mut Vec<u8>) -> Result<bool> {
        self.recv_info_by(into, self.recv_deadline())
    }

    /// [`recv_info_by`](Self::recv_info_by) without waiting.
    ///
    /// # Errors
    /// As there.
    fn try_recv_info(&mut self, into: &mut Vec<u8>) -> Result<bool> {
        self.recv_info_by(into, Deadline::Now)
    }

    /// Takes some of what the peer still sends and throws it away, whole messages or not, even after a `Protocol`
    /// error. False: it sends no more. For whoever has answered and said goodbye to a peer that may be sending still:
    /// if it lets go before the peer does, the peer's sends fail, and the answer may be lost with them.
    ///
    /// # Errors
    /// `TimedOut`, `WouldBlock` or `Stopped`: nothing has come; or a failure of the connection itself.
    fn discard_info_by(&mut self, deadline: Deadline) -> Result<bool>;

    /// Whether bytes have come that were not handed out yet. The descriptor does not fire for them.
    fn has_buffered(&self) -> bool;

    /// Whether all that had come by the last read was taken, so that a try is in vain before a descriptor tells of
    /// more. False where that is not known.
    fn is_drained(&self) -> bool;

    /// Gives memory back that holds nothing unread, as a call does that finds nothing to receive. For those who wait
    /// elsewhere, once it [is drained](Self::is_drained).
    fn rest(&mut self);

    /// For event loops and runtimes: every descriptor whose event means that a
    /// [`try_recv_info`](Self::try_recv_info) that would have blocked may go on.
    fn recv_interests<'a>(&'a self, into: &mut Interests<'a>);

    /// When to try again even if none of them says so.
    fn recv_wake_at(&self) -> Option<Instant>;

    /// How long [`recv_info`](Self::recv_info) waits.
    fn recv_deadline(&self) -> Deadline;

    /// Sets how long every later [`recv_info`](Self::recv_info) waits.
    fn set_recv_deadline(&mut self, deadline: Deadline);

    /// Chooses how this half waits for messages.
    fn set_recv_wait(&mut self, strategy: WaitStrategy);

    /// Lets this handle end waits for messages.
    fn stop_receiving_with(&mut self, handle: &StopHandle);
}

/// A connection that is being made, for those who wait elsewhere. Dropping it gives up.
pub trait IpcConnecting: Send {
    /// What it becomes.
    type Connection;

    /// Goes on as far as it can without waiting.
    ///
    /// # Errors
    /// `WouldBlock`: not yet; else as [`IpcConnection::connect_to`], and it is over.
    fn try_connect(&mut self) -> Result<Self::Connection>;

    /// Every descriptor whose event means that the next try may go further. They are others after each try.
    fn connect_interests<'a>(&'a self, into: &mut Interests<'a>);

    /// When to try again even if none of them says so.
    fn connect_wake_at(&self) -> Option<Instant>;

    /// What is connected to.
    fn address(&self) -> Arc<str>;
}

/// A connection that can be made without waiting for it.
pub trait IpcDial: IpcConnection + Sized {
    /// What it is until then.
    type Connecting: IpcConnecting<Connection = Self>;

    /// Begins to connect to the server at `at`. The options' deadline is the caller's to keep.
    ///
    /// # Errors
    /// `BadAddress`, and what can be known without a try.
    fn dial(at: &Address, options: &ConnectOptions) -> Result<Self::Connecting>;
}

/// Both directions. Unsplit, its descriptor is the receiving half's.
pub trait IpcConnection: IpcSender + IpcReceiver {
    /// Connects to the server at `at`, hello and all, within 5 s; fails at once where there is no server.
    /// A thread that is itself that server waits here for ever for its own accept: use a thread each.
    ///
    /// # Errors
    /// `NoSuchServer` and where was looked, `Refused` and why, `WrongTransport`, `WrongVersion`, `SchemaMismatch`,
    /// `StaleClientFile`, `ServerUntrusted`, `Busy`, `TimedOut`, `PeerGone`.
    fn connect_to(at: &Address) -> Result<Self>
    where
        Self: Sized;

    /// Who is at the other end.
    fn peer(&self) -> &Peer;

    /// Lets this handle end every wait of this connection.
    fn stop_with(&mut self, handle: &StopHandle) {
        self.stop_sending_with(handle);
        self.stop_receiving_with(handle);
    }

    /// Chooses how both halves wait.
    fn set_wait(&mut self, strategy: WaitStrategy) {
        self.set_send_wait(strategy);
        self.set_recv_wait(strategy);
    }

    /// Two halves for two threads. Dropping one closes its direction only.
    fn split(self: Box<Self>) -> (Box<dyn IpcSender>, Box<dyn IpcReceiver>);
}
