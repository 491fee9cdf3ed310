//! What the author of a transport writes: a few small nonblocking traits. Everything else is in this crate, once.
//!
//! The contract, for all of them:
//!
//! 1. Nothing here waits, except `try_send` and `try_recv` when they are *allowed* to (`may_block`). "Not now" is
//!    [`io::ErrorKind::WouldBlock`] (or `None`), and whoever says it can name the descriptors to wait on.
//! 2. Whoever is told "not now" calls [`Wait::arm`] before it waits. `Ok(false)` means "look again first".
//! 3. A peer can be slow, silent, hostile or dead. None of that is an error of the listener, and none may panic.
//! 4. Every descriptor is close-on-exec. Descriptors that a peer sends are refused.
//! 5. Dropping a half closes it and nothing more. [`Tx::finish`] and [`Rx::finish`] end a direction for both
//!    processes that may share the descriptor after a fork, so only the core calls them.

use std::{
    fmt,
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    time::Instant,
};

use crate::{Config, Folder, Name, Peer, Record, Refusal, Result};

/// A way to carry bytes between two ends, chosen by a scheme.
pub trait Transport: fmt::Debug + Sized + Send + 'static {
    /// The scheme of its addresses, such as `unix`: 1 to 16 of `a-z 0-9`.
    const SCHEME: &'static str;
    /// How it differs from the others, openly.
    const CAPABILITIES: Capabilities;
    /// Whether those can come over it who never heard of hobnob ([`Wire`](crate::Wire)): its roads carry the bytes and
    /// nothing else, and nothing in the hello is needed to tell who came. Where that depends on the place, `listen` and
    /// `dial` say so.
    const FOREIGN_WIRES: bool = false;

    /// Whether [`listen`](Self::listen) takes a socket that is given ([`Config::given`]), where the place is a path.
    const TAKES_GIVEN: bool = false;

    /// Takes clients in.
    type Listener: Listener<Self>;
    /// A client on its way in.
    type Incoming: Handshake<Self>;
    /// A client on its way out.
    type Outgoing: Handshake<Self>;
    /// The half that sends.
    type Tx: Tx;
    /// The half that receives.
    type Rx: Rx;

    /// Makes the rendezvous at `place`; clients can connect from the moment this returns.
    ///
    /// # Errors
    /// What the operating system says, or that the place is not fit for this transport. Nothing is left behind.
    fn listen(place: &Place, config: &Config) -> Result<Self::Listener>;

    /// Begins to connect to the server at `place`.
    ///
    /// # Errors
    /// [`NoSuchServer`](crate::ErrorKind::NoSuchServer) if nobody listens there.
    fn dial(place: &Place, config: &Config) -> Result<Self::Outgoing>;
}

/// How a transport differs from the others. What is not listed here is the same on all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Names, servers and clients live in one process; names are not leased in the file system.
    pub one_process: bool,
    /// Addresses may be paths.
    pub paths: bool,
    /// Addresses may be a host and a port.
    pub ports: bool,
    /// Another user's client can be told that it is not admitted. Where it cannot, it hears nothing until its
    /// deadline.
    pub answers_other_users: bool,
}

/// Where a rendezvous is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Place {
    /// A server's own folder in the runtime directory, and for a client the record that lies there. A server
    /// holds the lease meanwhile.
    Folder(Folder, Option<Record>),
    /// A path outside of hobnob's directory.
    Path(PathBuf),
    /// A host and a port, as they stand in the address.
    Port(String, u16),
    /// A name inside this process.
    Process(Name),
}

/// What one wants to know of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Bytes, or the end of them.
    Readable,
    /// Room.
    Writable,
    /// The other side's death only.
    Hangup,
}

/// Something that can say "not now", and what to wait for then.
pub trait Wait: fmt::Debug + Send {
    /// Adds every descriptor whose event means "try again".
    fn interests<'a>(&'a self, into: &mut Interests<'a>);

    /// Called before anyone is told "not now". A transport with shared memory announces here that it is about
    /// to sleep, and looks once more: `Ok(false)` means that there may be something after all.
    ///
    /// # Errors
    /// The doorbell is broken.
    fn arm(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    /// When to try again even if no descriptor says so.
    fn wake_at(&self) -> Option<Instant> {
        None
    }
}

/// A road that is up: the two halves, who is at the other end, and what the hello must carry to prove it.
#[derive(Debug)]
pub struct Link<T: Transport> {
    /// The half that sends.
    pub tx: T::Tx,
    /// The half that receives.
    pub rx: T::Rx,
    /// The other end, from the kernel's word.
    pub peer: Peer,
    /// If set, the client's hello must carry exactly this nonce: it ties the hello to the rendezvous.
    pub nonce: Option<Nonce>,
    /// Readable once the peer's process is gone (a pidfd), if [`Config::watch_peer`] asks for one and there is one
    /// to be had.
    pub witness: Option<OwnedFd>,
}

/// 128 random bits that nobody else can know.
pub type Nonce = [u8; 16];

/// A connection being made, on either side.
pub trait Handshake<T: Transport>: Wait {
    /// Goes one step on. Gives the link once, when the road is up; before that, and after it, `None`.
    /// On the client's side it is kept and stepped on until the server has said yes, so that it can hold what
    /// belongs to the rendezvous, and notice a server that dies meanwhile.
    ///
    /// # Errors
    /// The road cannot come up, or the other side is known to be gone. On the server's side
    /// [`Refused`](crate::ErrorKind::Refused) is counted as that, and the client is told.
    fn step(&mut self, now: Instant) -> Result<Option<Link<T>>>;

    /// On the server's side: who is coming, once that is known; before the link is handed out, if it can be.
    fn peer(&self) -> Option<&Peer> {
        None
    }

    /// On the server's side: what there is of the road before it is up, to say no over. The peer is not known yet.
    fn give_up(self) -> Option<Link<T>>
    where
        Self: Sized,
    {
        None
    }

    /// On the client's side: the server has said yes. What it takes away from the rendezvous before it does so
    /// is gone.
    fn welcome(&mut self) {}
}

/// What came to a listener.
#[derive(Debug)]
pub enum Arrival<T: Transport> {
    /// A client on its way in.
    Incoming(T::Incoming),
    /// A client that may not come in; it is told why if there is a link to tell it over.
    Rejected(Refusal, Option<Link<T>>),
}

/// Takes clients in.
pub trait Listener<T: Transport>: Wait {
    /// How many descriptors it takes to take a client in; so many are kept in reserve.
    const DESCRIPTORS: usize = 1;

    /// The next client, if one is there. Clients that are hostile or dead are [`Arrival::Rejected`].
    ///
    /// # Errors
    /// The listener itself failed. `WouldBlock` is not an error: it is `None`.
    fn try_accept(&mut self) -> io::Result<Option<Arrival<T>>>;

    /// After an arrival: whether there may be another that no descriptor will tell of. A descriptor that stays
    /// ready for as long as somebody waits tells by itself, and the listener need not be asked once too often.
    fn may_have_more(&self) -> bool {
        true
    }

    /// What clients must ask for, if it is not what was asked for here: the port that was free.
    fn address(&self) -> Option<String> {
        None
    }

    /// Takes the rendezvous away, if it is still ours: nobody new can come. What has already come can still be
    /// taken with [`try_accept`](Self::try_accept).
    fn retire(&mut self);
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// So many bytes, at least one.
    Bytes(usize),
    /// No more will come.
    End,
}

/// The half that sends.
pub trait Tx: Wait + AsFd {
    /// Sends a part of `bufs` in order, as much as there is room for, and says how many bytes that was.
    /// With `may_block` it may sleep inside its system call instead of saying `WouldBlock`; it need not.
    /// Never raises SIGPIPE.
    ///
    /// # Errors
    /// `WouldBlock`; `BrokenPipe` or `ConnectionReset` if the peer is gone.
    fn try_send(&mut self, bufs: &[IoSlice<'_>], may_block: bool) -> io::Result<usize>;

    /// Whether what has left here no longer depends on this end, so that to close it would lose nothing. Whoever is
    /// told "not yet" waits by [`Wait`], as for room. Asked once the goodbye has left.
    ///
    /// # Errors
    /// The peer is gone: nothing more can be done for it.
    fn has_arrived(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    /// Ends this direction: the peer reads to the end of what was sent, and then the end.
    fn finish(&mut self) {}
}

/// The half that receives.
pub trait Rx: Wait + AsFd {
    /// Whether a read that fills less than its room has emptied the road, so that the next one would be in vain
    /// before a descriptor tells of more.
    const SHORT_IS_ALL: bool = false;

    /// Whether bytes that have been received already wait here for rooms. No descriptor tells of them.
    fn holds_more(&self) -> bool {
        false
    }

    /// Receives what is there into `rooms`, one after the other; the first is never empty. `may_block` as in
    /// [`Tx::try_send`].
    ///
    /// # Errors
    /// `WouldBlock`; `InvalidData`: the peer has done what no peer over this transport does. A peer that is gone is
    /// [`Got::End`], after the last byte that it sent; or `ConnectionReset`, if it is known that it went without all that
    /// we had sent.
    fn try_recv(&mut self, rooms: &mut [IoSliceMut<'_>], may_block: bool) -> io::Result<Got>;

    /// Ends this direction: the peer's sends fail from now on.
    fn finish(&mut self) {}
}

/// A handshake with nothing to wait for: its link is there at once.
#[derive(Debug)]
pub struct Up<T: Transport>(Option<Link<T>>);

impl<T: Transport> Up<T> {
    /// Hands out `link` at the first step.
    #[must_use]
    pub fn new(link: Link<T>) -> Self {
        Self(Some(link))
    }
}

impl<T: Transport> Wait for Up<T> {
    fn interests<'a>(&'a self, _: &mut Interests<'a>) {}
}

impl<T: Transport> Handshake<T> for Up<T> {
    fn step(&mut self, _: Instant) -> Result<Option<Link<T>>> {
        Ok(self.0.take())
    }

    fn peer(&self) -> Option<&Peer> {
        self.0.as_ref().map(|link| &link.peer)
    }
}

/// Descriptors to wait on. The first few are kept without an allocation, for the sake of the message path.
#[derive(Debug, Default)]
pub struct Interests<'a> {
    few: [Option<Entry<'a>>; FEW],
    more: Vec<Entry<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry<'a> {
    fd: BorrowedFd<'a>,
    interest: Interest,
    passing: bool,
}

/// How many descriptors are kept without an allocation.
pub(crate) const FEW: usize = 6;

impl<'a> Interests<'a> {
    /// Adds a descriptor. It stays open for as long as whoever names it lives.
    #[inline]
    pub fn add(&mut self, fd: BorrowedFd<'a>, interest: Interest) {
        self.push(Entry { fd, interest, passing: false });
    }

    /// Adds descriptors that the next try may close: whoever has an event loop watch them ends that before it tries.
    pub fn add_passing(&mut self, those: &Interests<'a>) {
        those.entries().for_each(|entry| self.push(Entry { passing: true, ..*entry }));
    }

    /// The one descriptor added, if it is only one, and no try closes it.
    #[must_use]
    #[inline]
    pub fn only(&self) -> Option<(BorrowedFd<'a>, Interest)> {
        match &self.few {
            [Some(only), None, ..] if !only.passing => Some((only.fd, only.interest)),
            _ => None,
        }
    }

    /// Every descriptor added.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (BorrowedFd<'a>, Interest)> {
        self.entries().map(|entry| (entry.fd, entry.interest))
    }

    /// Those that the next try leaves open; with `passing`, those that it may close.
    pub fn that_pass(&self, passing: bool) -> impl Iterator<Item = (BorrowedFd<'a>, Interest)> + Clone {
        self.entries().filter(move |entry| entry.passing == passing).map(|entry| (entry.fd, entry.interest))
    }

    fn entries(&self) -> impl Iterator<Item = &Entry<'a>> + Clone {
        // The first that is empty ends the few.
        self.few.iter().map_while(Option::as_ref).chain(&self.more)
    }

    fn push(&mut self, entry: Entry<'a>) {
        match self.few.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(entry),
            None => self.more.push(entry),
        }
    }
}
