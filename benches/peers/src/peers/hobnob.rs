//! hobnob itself, through its blocking API: a row for each transport and way of waiting, and some for the words
//! that save system calls or copies. Every wait is without a deadline, which is the default.

use crate::core::*;
use crate::peers::raw::waves_by_hand;
use anyhow::{Context, Result, bail};
use hobnob::transport::{dgram, fifo, seqpacket, tcp, unix};
use hobnob::{
    Address, AnyConnection, AnyServer, ConnectOptions, IpcConnection, IpcReceiver, IpcSender, IpcServer,
    ServerOptions, WaitStrategy,
};

/// A transport, as the types that a program writes down.
pub trait Road {
    const ADDRESS: &'static str;
    type Connection: IpcConnection;
    type Server: IpcServer<Client = Self::Connection>;
    fn serve(at: &Address, options: &ServerOptions) -> hobnob::Result<Self::Server>;
    fn connect(at: &Address, options: &ConnectOptions) -> hobnob::Result<Self::Connection>;
}

macro_rules! road {
    ($name:ident, $address:literal, $server:ty, $connection:ty) => {
        pub struct $name;

        impl Road for $name {
            const ADDRESS: &'static str = $address;
            type Connection = $connection;
            type Server = $server;
            fn serve(at: &Address, options: &ServerOptions) -> hobnob::Result<$server> {
                <$server>::new_server_with(at, options)
            }
            fn connect(at: &Address, options: &ConnectOptions) -> hobnob::Result<$connection> {
                <$connection>::connect_with(at, options)
            }
        }
    };
}

road!(Unix, "unix:peers", unix::Server, unix::Connection);
road!(Seqpacket, "seqpacket:peers", seqpacket::Server, seqpacket::Connection);
road!(Dgram, "dgram:peers", dgram::Server, dgram::Connection);
road!(Fifo, "fifo:peers", fifo::Server, fifo::Connection);
road!(Tcp, "tcp:peers", tcp::Server, tcp::Connection);
road!(Any, "peers", AnyServer, AnyConnection);

/// Makes a server whose names are in this cell's own directory. The directory is hobnob's to make: it must be
/// nobody else's.
pub fn serve<R: Road>(a: &Args, options: ServerOptions) -> Result<R::Server> {
    Ok(R::serve(&R::ADDRESS.parse()?, &options.directory(a.path("names")))?)
}

pub fn connect<R: Road>(options: &ConnectOptions) -> Result<R::Connection> {
    Ok(R::connect(&R::ADDRESS.parse()?, options)?)
}

pub fn connect_options(a: &Args) -> ConnectOptions {
    ConnectOptions::new().directory(a.path("names"))
}

/// The clients of fan-in: connected by hobnob, and then as cheap as the raw ones, so that the server is what is measured.
pub fn fanin_client(a: &Args, address: &str) -> Result<Samples> {
    let (at, options) = (address.parse()?, connect_options(a));
    let connect = || AnyConnection::connect_with(&at, &options).map(Box::new).map(IpcConnection::split);
    let halves = (0..a.conns).map(|_| connect()).collect::<hobnob::Result<Vec<_>>>()?;
    let ends: Vec<_> = halves.iter().map(|(tx, rx)| (tx.as_fd(), rx.as_fd())).collect();
    // A header of hobnob's: the length and the kind.
    let samples = waves_by_hand(a, &ends, &[64, 0, 0, 0, 1, 0, 0, 0])?;
    // The connections stay open until the process ends: the parent reads the server's memory.
    std::mem::forget(halves);
    Ok(samples)
}

// ---------------------------------------------------------------- connections as the harness knows them

/// How the messages of a stream are handed over.
#[derive(Clone, Copy, PartialEq)]
enum Sending {
    /// `send_info` for each.
    Each,
    /// `feed_info` for each, `flush_info` at the end.
    Feed,
    /// `send_many` for [`MANY`] at a time.
    Many,
}

/// How many messages go into one `send_many`.
const MANY: usize = 512;

struct Whole<C> {
    connection: C,
    sending: Sending,
    /// For `send_many`: the messages of one call, each in memory of its own, and how many there are.
    slots: Vec<Vec<u8>>,
    used: usize,
}

impl<C: IpcConnection> Whole<C> {
    fn new(connection: C, sending: Sending) -> Self {
        Self { connection, sending, slots: Vec::new(), used: 0 }
    }

    fn send_slots(&mut self) -> Result<()> {
        let full: Vec<&[u8]> = self.slots[..self.used].iter().map(Vec::as_slice).collect();
        let mut rest = &full[..];
        while !rest.is_empty() {
            rest = &rest[self.connection.send_many(rest)?..];
        }
        self.used = 0;
        Ok(())
    }
}

impl<C: IpcConnection> Conn for Whole<C> {
    #[inline]
    fn send(&mut self, m: &[u8]) -> Result<()> {
        if self.used > 0 {
            self.send_slots()?;
        }
        Ok(self.connection.send_info(m)?)
    }
    #[inline]
    fn send_more(&mut self, m: &[u8]) -> Result<()> {
        match self.sending {
            Sending::Each => self.connection.send_info(m)?,
            Sending::Feed => self.connection.feed_info(m)?,
            Sending::Many => {
                if self.slots.is_empty() {
                    self.slots = vec![m.to_vec(); MANY];
                }
                self.slots[self.used].copy_from_slice(m);
                self.used += 1;
                if self.used == MANY {
                    self.send_slots()?;
                }
            }
        }
        Ok(())
    }
    fn flush(&mut self) -> Result<()> {
        self.send_slots()?;
        Ok(self.connection.flush_info()?)
    }
    #[inline]
    fn recv(&mut self, buf: &mut Vec<u8>) -> Result<Head> {
        if !self.connection.recv_info(buf)? {
            bail!("goodbye in the middle");
        }
        Head::of(buf)
    }
}

/// Two halves: the message is looked at where it lies, and the answer sent from there.
struct Halves<S, R> {
    sender: S,
    receiver: R,
}

impl<S: IpcSender, R: IpcReceiver> Conn for Halves<S, R> {
    #[inline]
    fn send(&mut self, m: &[u8]) -> Result<()> {
        Ok(self.sender.send_info(m)?)
    }
    #[inline]
    fn recv(&mut self, _: &mut Vec<u8>) -> Result<Head> {
        Head::of(self.receiver.recv_borrowed()?.context("goodbye in the middle")?)
    }
    #[inline]
    fn echo(&mut self, _: &mut Vec<u8>) -> Result<Head> {
        let m = self.receiver.recv_borrowed()?.context("goodbye in the middle")?;
        let head = Head::of(m)?;
        self.sender.send_info(m)?;
        Ok(head)
    }
}

// ---------------------------------------------------------------- rows

#[derive(Clone, Copy, PartialEq)]
enum Over {
    Unix,
    Seqpacket,
    Dgram,
    Fifo,
    Tcp,
    Any,
}

pub struct Hobnob {
    name: &'static str,
    note: &'static str,
    over: Over,
    wait: WaitStrategy,
    sending: Sending,
    borrowed: bool,
}

const fn row(name: &'static str, note: &'static str, over: Over, wait: WaitStrategy) -> Hobnob {
    Hobnob { name, note, over, wait, sending: Sending::Each, borrowed: false }
}

pub static ROWS: [Hobnob; 15] = [
    row(
        "hobnob-unix-sleep",
        "hobnob over unix, recv_info into owned memory",
        Over::Unix,
        WaitStrategy::Sleep,
    ),
    row(
        "hobnob-unix-adaptive",
        "the same, WaitStrategy::Adaptive on both sides",
        Over::Unix,
        WaitStrategy::Adaptive,
    ),
    row(
        "hobnob-seqpacket-sleep",
        "hobnob over seqpacket, recv_info into owned memory",
        Over::Seqpacket,
        WaitStrategy::Sleep,
    ),
    row(
        "hobnob-seqpacket-adaptive",
        "the same, WaitStrategy::Adaptive on both sides",
        Over::Seqpacket,
        WaitStrategy::Adaptive,
    ),
    row(
        "hobnob-dgram-sleep",
        "hobnob over dgram, recv_info into owned memory",
        Over::Dgram,
        WaitStrategy::Sleep,
    ),
    row(
        "hobnob-dgram-adaptive",
        "the same, WaitStrategy::Adaptive on both sides",
        Over::Dgram,
        WaitStrategy::Adaptive,
    ),
    row(
        "hobnob-fifo-sleep",
        "hobnob over fifo, recv_info into owned memory",
        Over::Fifo,
        WaitStrategy::Sleep,
    ),
    row(
        "hobnob-fifo-adaptive",
        "the same, WaitStrategy::Adaptive on both sides",
        Over::Fifo,
        WaitStrategy::Adaptive,
    ),
    row("hobnob-tcp-sleep", "hobnob over tcp, recv_info into owned memory", Over::Tcp, WaitStrategy::Sleep),
    row(
        "hobnob-tcp-adaptive",
        "the same, WaitStrategy::Adaptive on both sides",
        Over::Tcp,
        WaitStrategy::Adaptive,
    ),
    Hobnob {
        sending: Sending::Feed,
        ..row("hobnob-unix-feed", "feed_info, then flush_info", Over::Unix, WaitStrategy::Sleep)
    },
    Hobnob {
        sending: Sending::Feed,
        ..row("hobnob-fifo-feed", "feed_info, then flush_info", Over::Fifo, WaitStrategy::Sleep)
    },
    Hobnob {
        sending: Sending::Many,
        ..row("hobnob-unix-many", "send_many of 512 messages", Over::Unix, WaitStrategy::Sleep)
    },
    Hobnob {
        borrowed: true,
        ..row(
            "hobnob-unix-borrowed",
            "split, recv_borrowed: received in place",
            Over::Unix,
            WaitStrategy::Sleep,
        )
    },
    row(
        "hobnob-any",
        "the transport chosen at run time (unix), recv_info into owned memory",
        Over::Any,
        WaitStrategy::Sleep,
    ),
];

impl Hobnob {
    fn serve_over<R: Road>(&self, a: &Args) -> Result<()> {
        let mut server = serve::<R>(a, ServerOptions::new().wait(self.wait))?;
        a.ready();
        if a.workload == Workload::Churn {
            let mut info = scratch(64);
            loop {
                let mut client = server.accept_client()?;
                while client.recv_info(&mut info)? {
                    client.send_info(&info)?;
                }
            }
        }
        drive_server(&mut Whole::new(server.accept_client()?, self.sending), a)
    }

    fn client_over<R: Road>(&self, a: &Args) -> Result<Samples> {
        let options = connect_options(a).wait(self.wait);
        if a.workload == Workload::Churn {
            let mut info = scratch(64);
            return drive_churn(a, |m, seq| {
                let mut connection = connect::<R>(&options)?;
                connection.send_info(m)?;
                if !connection.recv_info(&mut info)? || Head::of(&info)?.seq != seq {
                    bail!("wrong echo");
                }
                Ok(connection.disconnect_from()?)
            });
        }
        let mut connection = Whole::new(connect::<R>(&options)?, self.sending);
        drive_client(&mut connection, a)
    }
}

impl Peer for Hobnob {
    fn name(&self) -> &'static str {
        self.name
    }
    fn note(&self) -> &'static str {
        self.note
    }
    fn supports(&self, w: Workload, size: usize) -> bool {
        let plain = self.sending == Sending::Each;
        match w {
            Workload::PingPong => plain,
            // This row makes 512 messages before it sends them.
            Workload::Stream => self.sending != Sending::Many || size <= 4096,
            Workload::Churn => plain && !self.borrowed,
            Workload::FanIn => false,
        }
    }
    fn serve(&self, a: &Args) -> Result<()> {
        if self.borrowed {
            let mut server = serve::<Unix>(a, ServerOptions::new().wait(self.wait))?;
            a.ready();
            let (sender, receiver) = server.accept_client()?.split();
            return drive_server(&mut Halves { sender, receiver }, a);
        }
        match self.over {
            Over::Unix => self.serve_over::<Unix>(a),
            Over::Seqpacket => self.serve_over::<Seqpacket>(a),
            Over::Dgram => self.serve_over::<Dgram>(a),
            Over::Fifo => self.serve_over::<Fifo>(a),
            Over::Tcp => self.serve_over::<Tcp>(a),
            Over::Any => self.serve_over::<Any>(a),
        }
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        if self.borrowed {
            let (sender, receiver) = connect::<Unix>(&connect_options(a).wait(self.wait))?.split();
            return drive_client(&mut Halves { sender, receiver }, a);
        }
        match self.over {
            Over::Unix => self.client_over::<Unix>(a),
            Over::Seqpacket => self.client_over::<Seqpacket>(a),
            Over::Dgram => self.client_over::<Dgram>(a),
            Over::Fifo => self.client_over::<Fifo>(a),
            Over::Tcp => self.client_over::<Tcp>(a),
            Over::Any => self.client_over::<Any>(a),
        }
    }
}
