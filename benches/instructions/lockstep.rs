//! The program that is counted: both ends of a connection in one thread and in lockstep, so that nothing waits and
//! every run executes the same instructions.

use std::{thread, time::Duration};

use conformance::{kind_of, watched};
use hobnob::{
    Address, AnyConnection, AnyServer, ConnectOptions, Deadline, ErrorKind, IpcConnection, IpcServer,
    ServerOptions, WaitStrategy,
    transport::{fifo, inproc, unix},
};

use crate::Result;

/// Buffers have their size by then, and a FIFO its second description.
const WARM_UP: usize = 10;
const REPEATS: usize = 100;
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

pub fn converse() -> Result {
    let mut talked = Ok(());
    watched("the program that is counted", || talked = over_every_transport());
    talked
}

fn over_every_transport() -> Result {
    over("unix", LARGE, pair("unix:a", unix::Server::new_server_with, unix::Connection::connect_with)?)?;
    let fifo = pair("fifo:b", fifo::Server::new_server_with, fifo::Connection::connect_with)?;
    over("fifo", LARGE_OVER_FIFO, fifo)?;
    over(
        "inproc",
        LARGE,
        pair("inproc:c", inproc::Server::new_server_with, inproc::Connection::connect_with)?,
    )?;
    let any = pair("unix:d", AnyServer::new_server_with, AnyConnection::connect_with)?;
    over("unix by AnyConnection", LARGE, any)?;
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

fn over<N: IpcConnection, F: IpcConnection>(road: &str, large: usize, (mut near, mut far): (N, F)) -> Result {
    let (mut into, small) = (Vec::new(), &[7; SMALL][..]);
    for info in [small, &vec![7; large]] {
        let size = info.len();
        case(&format!("{road}, send_info, {size} B"), 1, || {
            measured(|| near.send_info(info))?;
            drain(&mut far, 1)
        })?;
        case(&format!("{road}, recv_info, {size} B"), 1, || {
            near.send_info(info)?;
            is_one(measured(|| far.recv_info(&mut into))?)
        })?;
        case(&format!("{road}, recv_borrowed, {size} B"), 1, || {
            near.send_info(info)?;
            is_one(measured(|| far.recv_borrowed())?.is_some())
        })?;
    }
    case(&format!("{road}, feed_info, {SMALL} B, {BATCH} and a flush"), BATCH, || {
        measured(|| {
            (0..BATCH).try_for_each(|_| near.feed_info(small))?;
            near.flush_info()
        })?;
        drain(&mut far, BATCH)
    })?;
    case(&format!("{road}, send_many, {SMALL} B, {BATCH} at once"), BATCH, || {
        is_one(measured(|| near.send_many(&[small; BATCH]))? == BATCH)?;
        drain(&mut far, BATCH)
    })?;
    case(&format!("{road}, recv_info, {SMALL} B, {BATCH} on the way"), BATCH, || {
        is_one(near.send_many(&[small; BATCH])? == BATCH)?;
        measured(|| (0..BATCH).try_for_each(|_| is_one(far.recv_info(&mut into)?)))
    })?;
    case(&format!("{road}, try_recv_info, nothing there"), 1, || {
        let silence = measured(|| far.try_recv_info(&mut into));
        is_one(kind_of(&silence) == Some(&ErrorKind::WouldBlock))
    })
}

/// One way of using a connection, of which each round takes so many messages on.
fn case(name: &str, messages: usize, mut round: impl FnMut() -> Result) -> Result {
    next_case(crate::IGNORED, 1);
    (0..WARM_UP).try_for_each(|_| round())?;
    next_case(name, REPEATS * messages);
    (0..REPEATS).try_for_each(|_| round())
}

fn drain(far: &mut impl IpcConnection, messages: usize) -> Result {
    (0..messages).try_for_each(|_| is_one(far.recv_borrowed()?.is_some()))
}

fn is_one(yes: bool) -> Result {
    if yes { Ok(()) } else { Err("not what this case is about happened".into()) }
}
