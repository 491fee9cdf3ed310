//! A whole server in each form that hobnob has, and the clients that try it.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    path::Path,
    thread,
    time::Duration,
};

use hobnob::{
    AnyConnection, AnyServer, ConnectOptions, Deadline, Error, EventOptions, IpcReceiver, IpcSender,
    IpcServer, Reply, Result, Served, StopHandle,
};

use super::{crowd::raise_limit, say};
use crate::wire::{DATA, Road, frame, header};

/// An echo server of this form. It stops when its standard input ends, and says how that went.
pub(super) fn serve(form: &str, address: &str) -> Result<()> {
    raise_limit()?;
    let mut server: AnyServer = hobnob::new_server(address)?;
    let stop = server.stop_handle()?;
    say("listening");
    thread::spawn(move || at_the_end_of_input(&stop));
    let drain = Duration::from_secs(5);
    let served = match form {
        "threads" => hobnob::serve(server, drain, |client| super::echo(client)),
        "tokio" => {
            runtime().block_on(hobnob::tokio::serve(hobnob::tokio::Server::new(server), drain, on_tokio))
        }
        "smol" => smol::block_on(hobnob::smol::serve(hobnob::smol::Server::new(server), drain, on_smol)),
        "events" => {
            let options = EventOptions::new().threads(2).drain(drain);
            hobnob::serve_events(server, options, |info: &[u8], reply: &mut Reply<'_>| reply.send(info))
        }
        other => panic!("no such form: {other}"),
    }?;
    tell(served);
    Ok(())
}

/// Every form that there is.
pub const FORMS: [&str; 4] = ["threads", "events", "tokio", "smol"];

fn at_the_end_of_input(stop: &StopHandle) {
    let _ = io::stdin().read(&mut [0]);
    stop.stop();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn on_tokio(mut client: hobnob::tokio::Connection) -> Result<()> {
    let mut info = Vec::new();
    while client.recv_info(&mut info).await? {
        client.send_info(&info).await?;
    }
    client.disconnect_from().await
}

async fn on_smol(mut client: hobnob::smol::Connection) -> Result<()> {
    let mut info = Vec::new();
    while client.recv_info(&mut info).await? {
        client.send_info(&info).await?;
    }
    client.disconnect_from().await
}

fn tell(served: Served) {
    say(&format!(
        "served {} clients, abandoned {}; {} arrived",
        served.clients, served.abandoned, served.stats.arrived
    ));
}

/// So many clients each that never read, that have said half of a message, and that die inside of one. The living stay
/// until standard input ends.
pub(super) fn trouble(scheme: &'static str, folder: &Path, each: usize) {
    let mut stay = Vec::new();
    for _ in 0..each {
        let mut deaf = come_in(scheme, folder);
        // The server has no room for its answers long before all of this is said, and then it reads no more.
        let flood = thread::spawn(move || while deaf.write_all(&frame(DATA, &[7; 60_000])).is_ok() {});
        drop(flood);
        let mut slow = come_in(scheme, folder);
        slow.write_all(&header(DATA, 1000)[..5]).unwrap();
        stay.push(slow);
        let mut dying = come_in(scheme, folder);
        dying.write_all(&frame(DATA, &[8; 5000])[..3000]).unwrap();
    }
    say("all have come");
    let _ = io::stdin().read(&mut [0]);
}

fn come_in(scheme: &'static str, folder: &Path) -> Road {
    let mut road = Road::knock(folder, scheme).unwrap();
    assert_eq!(road.shake().unwrap(), 0, "it was let in");
    road
}

/// So many clients come at once, stay, and each has a message echoed if it was let in. Says what became of them.
pub(super) fn storm(address: &str, clients: usize) -> Result<()> {
    raise_limit()?;
    let parts: Vec<_> = thread::scope(|scope| {
        let part = |thread| {
            scope.spawn(move || (thread..clients).step_by(THREADS).map(|_| visit(address)).collect())
        };
        let threads: Vec<_> = (0..THREADS).map(part).collect();
        threads.into_iter().map(|thread| -> Vec<Result<AnyConnection>> { thread.join().unwrap() }).collect()
    });
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for end in parts.iter().flatten() {
        *ends.entry(end.as_ref().map_or_else(Error::to_string, |_| "in".to_owned())).or_default() += 1;
    }
    say(&format!("ends {ends:?}"));
    let _ = io::stdin().read(&mut [0]);
    Ok(())
}

const THREADS: usize = 4;

fn visit(address: &str) -> Result<AnyConnection> {
    let options = ConnectOptions::new().deadline(Deadline::Forever);
    let mut server = AnyConnection::connect_with(&address.parse()?, &options)?;
    server.send_info(address.as_bytes())?;
    assert_eq!(server.recv_borrowed()?, Some(address.as_bytes()));
    Ok(server)
}
