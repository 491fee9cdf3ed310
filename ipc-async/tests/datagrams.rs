//! Plain datagrams as futures, on each runtime.
#![cfg(all(feature = "datagrams", feature = "tokio", feature = "smol"))]
#![allow(clippy::unwrap_used)]

use std::{
    future::poll_fn,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use conformance::watched;
use ipc_async::{DatagramClient, DatagramServer, Runtime, Smol, Tokio};
use ipc_core::{Address, Deadline, ErrorKind, Result, StopHandle};
use plain_datagrams::{Client, Dropped, Server, ServerOptions};
use tempfile::TempDir;

/// A place, and what is in it.
struct Stage(TempDir);

impl Stage {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn socket(&self) -> PathBuf {
        self.0.path().join("calc.sock")
    }

    fn address(&self) -> Address {
        format!("dgram:{}", self.socket().display()).parse().unwrap()
    }

    fn server<R: Runtime>(&self, change: impl FnOnce(ServerOptions) -> ServerOptions) -> DatagramServer<R> {
        let options = change(ServerOptions::new().directory(self.0.path().join("names")));
        DatagramServer::new(Server::new_server_with(&self.address(), &options).unwrap())
    }

    fn client<R: Runtime>(&self) -> DatagramClient<R> {
        DatagramClient::new(Client::connect_to(&self.address()).unwrap())
    }
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.map(drop).unwrap_err().kind().clone()
}

fn on_tokio<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Each is a test on each runtime.
macro_rules! on_each {
    ($($name:ident)*) => {
        mod tokio_ {
            $(#[test] fn $name() { super::watched(stringify!($name), || super::on_tokio(super::$name::<super::Tokio>())) })*
        }
        mod smol_ {
            $(#[test] fn $name() { super::watched(stringify!($name), || smol::block_on(super::$name::<super::Smol>())) })*
        }
    };
}

on_each! {
    datagrams_go_to_and_fro
    a_receive_that_is_dropped_has_taken_nothing
    a_deadline_is_kept_and_not_early
    a_good_datagram_is_found_behind_dropped_ones
    a_send_waits_for_room_and_goes_on
    a_stop_handle_ends_a_wait
    a_destroyed_server_is_closed
}

async fn datagrams_go_to_and_fro<R: Runtime>() {
    let stage = Stage::new();
    let (mut server, mut client) = (stage.server::<R>(|options| options), stage.client::<R>());
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    for size in [0, 1, 64, 100_000, 0] {
        for _ in 0..20 {
            let info = vec![7; size];
            client.send_info(&info).await.unwrap();
            let sender = server.recv_info(&mut asked).await.unwrap();
            server.send_info(&sender, &asked).unwrap();
            client.recv_info(&mut answered).await.unwrap();
            assert_eq!(answered, info);
        }
    }
}

async fn a_receive_that_is_dropped_has_taken_nothing<R: Runtime>() {
    let stage = Stage::new();
    let (mut server, mut client) = (stage.server::<R>(|options| options), stage.client::<R>());
    let mut info = Vec::new();
    {
        let waits = pin!(server.recv_info(&mut info));
        assert!(waits.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    client.send_info(b"kept").await.unwrap();
    server.recv_info(&mut info).await.unwrap();
    assert_eq!(info, b"kept");
}

async fn a_deadline_is_kept_and_not_early<R: Runtime>() {
    let stage = Stage::new();
    let (mut server, mut client) = (stage.server::<R>(|options| options), stage.client::<R>());
    let span = Duration::from_millis(20);
    let began = Instant::now();
    assert_eq!(kind(server.recv_info_by(&mut Vec::new(), span.into()).await), ErrorKind::TimedOut);
    assert_eq!(kind(client.recv_info_by(&mut Vec::new(), span.into()).await), ErrorKind::TimedOut);
    assert!(began.elapsed() >= 2 * span);
    assert_eq!(kind(server.recv_info_by(&mut Vec::new(), Deadline::Now).await), ErrorKind::WouldBlock);
}

/// They are looked at in portions, and a runtime may be told of an edge only.
async fn a_good_datagram_is_found_behind_dropped_ones<R: Runtime>() {
    let stage = Stage::new();
    let asked = AtomicUsize::new(0);
    let mut server = stage.server::<R>(|options| options.allow(move |_| asked.fetch_add(1, Relaxed) >= 10));
    let brief = Deadline::Within(Duration::from_millis(1));
    assert_eq!(kind(server.recv_info_by(&mut Vec::new(), brief).await), ErrorKind::TimedOut);
    let sender = UnixDatagram::unbound().unwrap();
    // As much as the kernel's queue holds: nothing comes later that would tell of what is there.
    for info in [&b"dropped"[..]; 10].into_iter().chain([&b"good"[..]]) {
        sender.send_to(info, stage.socket()).unwrap();
    }
    // The runtime is told of them before the server looks.
    for _ in 0..200 {
        let mut has_waited = false;
        poll_fn(|cx| match std::mem::replace(&mut has_waited, true) {
            true => Poll::Ready(()),
            false => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
    }
    let mut info = Vec::new();
    server.recv_info(&mut info).await.unwrap();
    assert_eq!((&info[..], server.stats().dropped(Dropped::NotAllowed)), (&b"good"[..], 10));
}

async fn a_send_waits_for_room_and_goes_on<R: Runtime>() {
    let stage = Stage::new();
    let options = ServerOptions::new().directory(stage.0.path().join("names"));
    let mut server = Server::new_server_with(&stage.address(), &options).unwrap();
    let mut client = stage.client::<R>();
    let mut sent = 0;
    while client.send_info_by(b"x", Deadline::Now).await.is_ok() {
        sent += 1;
    }
    {
        let waits = pin!(client.send_info(b"too early"));
        assert!(waits.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let reads = std::thread::spawn(move || {
        let mut info = Vec::new();
        for _ in 0..=sent {
            server.recv_info(&mut info).unwrap();
        }
        info
    });
    client.send_info(b"the last").await.unwrap();
    assert_eq!(reads.join().unwrap(), b"the last");
}

async fn a_stop_handle_ends_a_wait<R: Runtime>() {
    let stage = Stage::new();
    let mut server = stage.server::<R>(|options| options);
    let mut client = stage.client::<R>();
    let stop = server.stop_handle().unwrap();
    client.stop_with(&stop);
    let pulls = std::thread::spawn(move || stop.stop());
    assert_eq!(kind(server.recv_info(&mut Vec::new()).await), ErrorKind::Stopped);
    assert_eq!(kind(client.recv_info(&mut Vec::new()).await), ErrorKind::Stopped);
    pulls.join().unwrap();
    server.stop_with(&StopHandle::new().unwrap());
    let brief = Deadline::Within(Duration::from_millis(1));
    assert_eq!(kind(server.recv_info_by(&mut Vec::new(), brief).await), ErrorKind::TimedOut);
}

async fn a_destroyed_server_is_closed<R: Runtime>() {
    let stage = Stage::new();
    let mut server = stage.server::<R>(|options| options);
    let brief = Deadline::Within(Duration::from_millis(1));
    assert_eq!(kind(server.recv_info_by(&mut Vec::new(), brief).await), ErrorKind::TimedOut);
    server.destroy_server().unwrap();
    assert_eq!(kind(server.recv_info(&mut Vec::new()).await), ErrorKind::Closed);
    stage.server::<R>(|options| options);
}
