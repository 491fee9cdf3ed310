//! The program that is counted: both ends of a connection in one thread and in lockstep, so that nothing waits and
//! every run executes the same instructions.

use std::{thread, time::Duration};

use conformance::{kind_of, watched};
use hobnob::{
    Address, AnyConnection, AnyServer, ConnectOptions, Deadline, ErrorKind, IpcConnection, IpcServer,
    ServerOptions, WaitStrategy,
    transport::{dgram, fifo, inproc, seqpacket, unix},
};

use crate::Result;

/// Buffers have their size by then, and a FIFO its second description.
pub const WARM_UP: usize = 10;
pub const REPEATS: usize = 100;
/// How many messages go together where several do.
const BATCH: usize = 100;
const SMALL: usize = 64;
const LARGE: usize = 64 << 10;
/// A FIFO holds 64 KiB with the header, and nobody reads meanwhile.
const LARGE_OVER_FIFO: usize = 32 << 10;

/// Callgrind counts what happens in here and nothing else.
#[inline(never)]
fn measured<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Callgrind writes down what it has counted when this is called. Tells the other process what comes next.
#[inline(never)]
fn next_case(name: &str, messages: usize) {
    println!("{name} {messages}");
}

/// Runs every case, or only the one of this name.
pub fn converse(only: &str) -> Result {
    let mut talked = Ok(());
    watched("the program that is counted", || talked = over_every_transport(only));
    talked
}

fn over_every_transport(only: &str) -> Result {
    let road = |name| Road { name, only };
    let unix = pair("unix:a", unix::Server::new_server_with, unix::Connection::connect_with)?;
    over(&road("unix"), LARGE, unix)?;
    let seqpacket =
        pair("seqpacket:e", seqpacket::Server::new_server_with, seqpacket::Connection::connect_with)?;
    over(&road("seqpacket"), LARGE, seqpacket)?;
    let dgram = pair("dgram:f", dgram::Server::new_server_with, dgram::Connection::connect_with)?;
    over(&road("dgram"), LARGE, dgram)?;
    let fifo = pair("fifo:b", fifo::Server::new_server_with, fifo::Connection::connect_with)?;
    over(&road("fifo"), LARGE_OVER_FIFO, fifo)?;
    let inproc = pair("inproc:c", inproc::Server::new_server_with, inproc::Connection::connect_with)?;
    over(&road("inproc"), LARGE, inproc)?;
    let any = pair("unix:d", AnyServer::new_server_with, AnyConnection::connect_with)?;
    over(&road("unix by AnyConnection"), LARGE, any)?;
    next_case(crate::IGNORED, 1);
    Ok(())
}

/// Without deadlines, which valgrind on a busy machine might miss.
fn pair<S: IpcServer, C: IpcConnection>(
    address: &str,
    serve: fn(&Address, &ServerOptions) -> hobnob::Result<S>,
    connect: fn(&Address, &ConnectOptions) -> hobnob::Result<C>,
) -> Result<(C, S::Client)> {
    let at: Address = address.parse()?;
    let mut server = serve(&at, &ServerOptions::new().hello_within(Duration::MAX))?;
    let (client, served) = thread::scope(|scope| {
        let client = scope.spawn(|| connect(&at, &ConnectOptions::new().deadline(Deadline::Forever)));
        let served = server.accept_client();
        (client.join(), served)
    });
    let (mut client, mut served) = (client.map_err(|_| "the client panicked")??, served?);
    client.set_wait(WaitStrategy::Sleep);
    served.set_wait(WaitStrategy::Sleep);
    Ok((client, served))
}

fn over<N: IpcConnection, F: IpcConnection>(road: &Road<'_>, large: usize, ends: (N, F)) -> Result {
    let (mut near, mut far) = ends;
    let (mut into, small) = (Vec::new(), &[7; SMALL][..]);
    for info in [small, &vec![7; large]] {
        let size = info.len();
        road.case(&format!("send_info, {size} B"), 1, || {
            measured(|| near.send_info(info))?;
            drain(&mut far, 1)
        })?;
        road.case(&format!("recv_info, {size} B"), 1, || {
            near.send_info(info)?;
            sure(measured(|| far.recv_info(&mut into))?)
        })?;
        road.case(&format!("recv_borrowed, {size} B"), 1, || {
            near.send_info(info)?;
            sure(measured(|| far.recv_borrowed())?.is_some())
        })?;
    }
    road.case(&format!("feed_info, {SMALL} B, {BATCH} and a flush"), BATCH, || {
        measured(|| {
            (0..BATCH).try_for_each(|_| near.feed_info(small))?;
            near.flush_info()
        })?;
        drain(&mut far, BATCH)
    })?;
    road.case(&format!("send_many, {SMALL} B, {BATCH} at once"), BATCH, || {
        sure(measured(|| near.send_many(&[small; BATCH]))? == BATCH)?;
        drain(&mut far, BATCH)
    })?;
    road.case(&format!("recv_info, {SMALL} B, {BATCH} on the way"), BATCH, || {
        sure(near.send_many(&[small; BATCH])? == BATCH)?;
        measured(|| (0..BATCH).try_for_each(|_| sure(far.recv_info(&mut into)?)))
    })?;
    road.case("try_recv_info, nothing there", 1, || {
        let silence = measured(|| far.try_recv_info(&mut into));
        sure(kind_of(&silence) == Some(&ErrorKind::WouldBlock))
    })
}

struct Road<'a> {
    name: &'a str,
    /// The one case to run, or nothing for all.
    only: &'a str,
}

impl Road<'_> {
    /// One way of using a connection, of which each round takes so many messages on.
    fn case(&self, what: &str, messages: usize, mut round: impl FnMut() -> Result) -> Result {
        let name = format!("{}, {what}", self.name);
        if !self.only.is_empty() && self.only != name {
            return Ok(());
        }
        next_case(crate::IGNORED, 1);
        (0..WARM_UP).try_for_each(|_| round())?;
        next_case(&name, REPEATS * messages);
        (0..REPEATS).try_for_each(|_| round())
    }
}

fn drain(far: &mut impl IpcConnection, messages: usize) -> Result {
    (0..messages).try_for_each(|_| sure(far.recv_borrowed()?.is_some()))
}

fn sure(yes: bool) -> Result {
    if yes { Ok(()) } else { Err("not what this case is about happened".into()) }
}
