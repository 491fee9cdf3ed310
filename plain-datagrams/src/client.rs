//! A client: sends to one server, and takes answers from nobody else.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use ipc_core::{
    Address, Config, Deadline, Error, ErrorKind, Interest, Interests, Operation, Result, StopHandle, Try,
    Waiting, drive,
};
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, send},
};

use crate::{
    SCHEME, answer, credentials,
    inbox::{Inbox, Taken},
    must_be_ours,
    options::ClientOptions,
    own_address::OwnAddress,
    rendezvous::datagram_socket,
    there::connect_there,
};

/// Sends datagrams to one server and receives its answers, and nobody else's: the kernel turns others away (EPERM).
/// Dropping it removes its address.
///
/// Nobody tells a client that its datagram was dropped, or that the server has died while it waits for an answer: a
/// receive ends at its deadline then.
pub struct Client {
    socket: OwnedFd,
    _own: OwnAddress,
    /// Once the kernel has said so it has also undone the connection: anybody could send to this socket.
    is_gone: bool,
    inbox: Inbox,
    config: Config,
    address: Arc<str>,
    sending: Deadline,
    receiving: Deadline,
    waits: [Waiting; 2],
}

const TO_SEND: usize = 0;
const TO_RECEIVE: usize = 1;

impl Client {
    /// Makes a client of the server at `at`: `dgram:NAME` or `dgram:/PATH`, which may be a program's that knows nothing
    /// of hobnob. It never waits.
    ///
    /// # Errors
    /// `NoSuchServer` and where was looked; `WrongTransport`: who has the name serves otherwise; `ServerUntrusted`;
    /// `BadAddress`; `Denied`, `TooManyOpen`.
    pub fn connect_to(at: &Address) -> Result<Self> {
        Self::connect_with(at, &ClientOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As there.
    pub fn connect_with(at: &Address, options: &ClientOptions) -> Result<Self> {
        let address: Arc<str> = at.over(SCHEME).to_string().into();
        Self::make(at, options, &address).map_err(|error| error.about("connect_to", &address))
    }

    fn make(at: &Address, options: &ClientOptions, address: &Arc<str>) -> Result<Self> {
        must_be_ours(at)?;
        let config = options.config.clone();
        let socket = datagram_socket()?;
        let server = connect_there(&socket, at, &config)?;
        let own = OwnAddress::take(&socket, options.own.as_deref(), server)?;
        credentials::ask(&socket)?;
        Ok(Self {
            socket,
            _own: own,
            is_gone: false,
            inbox: Inbox::new(config.limits.message),
            address: address.clone(),
            sending: options.send,
            receiving: options.receive,
            waits: [Waiting::new(&config), Waiting::new(&config)],
            config,
        })
    }

    /// Sends a datagram; it may be empty. Waits for room in the server's queue.
    ///
    /// # Errors
    /// `TooLarge` for the kernel; `PeerGone`: the server has ended, and answers that were not received are lost; `Denied`;
    /// `TimedOut`, `WouldBlock` or `Stopped`: it was not sent.
    pub fn send_info(&mut self, info: &[u8]) -> Result<()> {
        self.send_info_by(info, self.sending)
    }

    /// [`send_info`](Self::send_info) with a deadline of its own.
    ///
    /// # Errors
    /// As there.
    pub fn send_info_by(&mut self, info: &[u8], deadline: Deadline) -> Result<()> {
        let Self { socket, is_gone, waits, .. } = self;
        let mut send = Send { socket, info, is_gone };
        drive(&mut send, deadline, &mut waits[TO_SEND])
            .map_err(|error| error.about("send_info", &self.address))
    }

    /// [`send_info`](Self::send_info) without waiting.
    ///
    /// # Errors
    /// As there.
    pub fn try_send_info(&mut self, info: &[u8]) -> Result<()> {
        self.send_info_by(info, Deadline::Now)
    }

    /// Puts the server's next datagram into `info`, in place of what was there.
    ///
    /// # Errors
    /// `TimedOut`, `WouldBlock` or `Stopped`: nothing was lost; `TooLarge`: it did not fit, and is lost;
    /// `ServerUntrusted`: a process sent it that speaks for somebody else; `Protocol`: descriptors came along, none of
    /// which was let in; `PeerGone`: a send has found that the server has ended.
    pub fn recv_info(&mut self, info: &mut Vec<u8>) -> Result<()> {
        self.recv_info_by(info, self.receiving)
    }

    /// [`recv_info`](Self::recv_info) with a deadline of its own.
    ///
    /// # Errors
    /// As there.
    pub fn recv_info_by(&mut self, info: &mut Vec<u8>, deadline: Deadline) -> Result<()> {
        let bytes = self.recv_borrowed_by(deadline)?;
        info.clear();
        info.extend_from_slice(bytes);
        Ok(())
    }

    /// [`recv_info`](Self::recv_info) without waiting.
    ///
    /// # Errors
    /// As there.
    pub fn try_recv_info(&mut self, info: &mut Vec<u8>) -> Result<()> {
        self.recv_info_by(info, Deadline::Now)
    }

    /// Lends the server's next datagram until the next call; no copy is made.
    ///
    /// # Errors
    /// As [`recv_info`](Self::recv_info).
    pub fn recv_borrowed(&mut self) -> Result<&[u8]> {
        self.recv_borrowed_by(self.receiving)
    }

    /// [`recv_borrowed`](Self::recv_borrowed) with a deadline of its own.
    ///
    /// # Errors
    /// As there.
    pub fn recv_borrowed_by(&mut self, deadline: Deadline) -> Result<&[u8]> {
        let Self { socket, is_gone, inbox, config, waits, .. } = self;
        let mut receive = Receive { socket, inbox, config, is_gone: *is_gone };
        let received = drive(&mut receive, deadline, &mut waits[TO_RECEIVE]);
        let size = received.map_err(|error| error.about("recv_info", &self.address))?;
        Ok(self.inbox.bytes(size))
    }

    /// Lets this handle end every wait of this client.
    pub fn stop_with(&mut self, handle: &StopHandle) {
        self.waits.iter_mut().for_each(|waiting| waiting.stop_with(handle));
    }

    /// The server's address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How long [`send_info`](Self::send_info) waits.
    #[must_use]
    pub fn send_deadline(&self) -> Deadline {
        self.sending
    }

    /// How long [`recv_info`](Self::recv_info) waits.
    #[must_use]
    pub fn recv_deadline(&self) -> Deadline {
        self.receiving
    }

    /// For event loops and runtimes: every descriptor whose event means that a send that would have blocked may go on.
    pub fn send_interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.socket.as_fd(), Interest::Writable);
        self.waits[TO_SEND].interests(into);
    }

    /// The same for a receive.
    pub fn recv_interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.socket.as_fd(), Interest::Readable);
        self.waits[TO_RECEIVE].interests(into);
    }
}

/// Readable when an answer is there.
impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

struct Send<'a> {
    socket: &'a OwnedFd,
    info: &'a [u8],
    is_gone: &'a mut bool,
}

impl Operation for Send<'_> {
    type Output = ();

    fn attempt(&mut self, may_block: bool) -> Result<Try<()>> {
        must_be_there(*self.is_gone)?;
        let flags = if may_block { MsgFlags::MSG_NOSIGNAL } else { answer::AT_ONCE };
        let errno = match send(self.socket.as_raw_fd(), self.info, flags) {
            Ok(_) => return Ok(Try::Done(())),
            Err(Errno::EAGAIN) => return Ok(Try::NotNow),
            Err(Errno::EINTR) => return Ok(Try::Again),
            Err(errno) => errno,
        };
        let kind = match errno {
            Errno::ECONNREFUSED | Errno::ECONNRESET | Errno::ENOTCONN => {
                *self.is_gone = true;
                ErrorKind::PeerGone
            }
            Errno::EMSGSIZE => answer::too_large(self.socket.as_fd(), self.info),
            Errno::EPERM => {
                ErrorKind::Denied { why: "the server takes datagrams of somebody else only".into() }
            }
            errno => return Err(errno.into()),
        };
        Err(Error::caused(kind, io::Error::from(errno)))
    }

    fn arm(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.socket.as_fd(), Interest::Writable);
    }
}

struct Receive<'a> {
    socket: &'a OwnedFd,
    inbox: &'a mut Inbox,
    config: &'a Config,
    is_gone: bool,
}

impl Operation for Receive<'_> {
    type Output = usize;

    #[inline]
    fn attempt(&mut self, may_block: bool) -> Result<Try<usize>> {
        must_be_there(self.is_gone)?;
        match self.inbox.take(self.socket.as_fd(), may_block, &mut None::<()>) {
            Ok(Some(taken)) => self.check(&taken).map(|()| Try::Done(taken.size)),
            Ok(None) => Ok(Try::NotNow),
            Err(Errno::EINTR) => Ok(Try::Again),
            Err(errno) => Err(errno.into()),
        }
    }

    fn arm(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.socket.as_fd(), Interest::Readable);
    }
}

impl Receive<'_> {
    /// Only the server's socket can have sent it; but that may be in other hands by now.
    fn check(&self, taken: &Taken) -> Result<()> {
        if taken.had_descriptors {
            return Err(ErrorKind::Protocol { what: "descriptors came along with an answer" }.into());
        }
        let uid = taken.peer.as_ref().and_then(|peer| peer.uid);
        if let Some(uid) = uid.filter(|uid| !self.config.trusts(*uid)) {
            return Err(ErrorKind::ServerUntrusted { uid }.into());
        }
        if taken.is_cut {
            let (size, limit) = (taken.size as u64, u64::from(self.config.limits.message));
            return Err(ErrorKind::TooLarge { size, limit }.into());
        }
        Ok(())
    }
}

fn must_be_there(is_gone: bool) -> Result<()> {
    if is_gone { Err(ErrorKind::PeerGone.into()) } else { Ok(()) }
}
