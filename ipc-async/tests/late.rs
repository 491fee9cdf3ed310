//! A wait that is over before it begins takes what is there all the same.
#![cfg(all(feature = "tokio", feature = "smol"))]
#![allow(clippy::unwrap_used)]

mod both;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use both::{Connection, Fresh, House, house};
use conformance::{Stage, watched};
use futures_util::future::join;
use ipc_async::{Server, Smol, Tokio, serve};
use ipc_core::Transport;
use smol::future::yield_now;

/// Whoever only looks has the runtime tell of nothing.
async fn a_deadline_that_has_passed_takes_what_is_there<R: Fresh, T: Transport>() {
    let House { mut client, mut served, .. } = house::<R, T>().await;
    let mut info = Vec::new();
    client.send_info(b"one").await.unwrap();
    assert!(served.recv_info(&mut info).await.unwrap());
    client.send_info(b"two").await.unwrap();
    let mut came = false;
    for _ in 0..1000 {
        came |= served.recv_info_by(&mut info, Duration::ZERO.into()).await.is_ok();
    }
    assert!(came && info == b"two");
}

/// The handler is busy with something else when the drain begins, of which another client tells.
async fn what_came_before_the_drain_is_received<R: Fresh, T: Transport>() {
    let stage = Stage::<T>::new();
    let mut server = Server::<R, _>::new(stage.server());
    let stop = server.stop_handle().unwrap();
    let (options, drains) = (stage.client_options(), Arc::new(AtomicBool::new(false)));
    let serving = serve(server, Duration::from_secs(3600), move |mut client: Connection<R, T>| {
        let drains = drains.clone();
        async move {
            let mut info = Vec::new();
            assert!(client.recv_info(&mut info).await?);
            client.send_info(&info).await?;
            if info == b"watch" {
                let ended = client.recv_info(&mut info).await;
                drains.store(true, SeqCst);
                return ended.map(drop);
            }
            while !drains.load(SeqCst) {
                yield_now().await;
            }
            assert!(client.recv_info(&mut info).await?);
            client.send_info(&info).await
        }
    });
    let visits = async {
        let (mut clients, mut info) = (Vec::new(), Vec::new());
        // The end is told to them in this order.
        for first in [&b"busy"[..], b"watch"] {
            let mut client = Connection::<R, T>::connect_with(&stage.address, &options).await.unwrap();
            client.send_info(first).await.unwrap();
            assert!(client.recv_info(&mut info).await.unwrap() && info == first);
            clients.push(client);
        }
        clients[0].send_info(b"before the end").await.unwrap();
        stop.stop();
        assert!(clients[0].recv_info(&mut info).await.unwrap(), "it was not heard");
        assert_eq!(info, b"before the end");
    };
    let (served, ()) = join(serving, visits).await;
    assert_eq!(served.unwrap().abandoned, 0);
}

/// Each test over every transport, on each runtime.
macro_rules! everywhere {
    ($($test:ident)*) => {
        $(mod $test {
            use super::*;
            everywhere! { @ $test unix: transport_unix::Unix, fifo: transport_fifo::Fifo, inproc: transport_inproc::Inproc }
        })*
    };
    (@ $test:ident $($transport:ident: $type:ty),*) => {
        $(#[test]
        fn $transport() {
            watched(concat!(stringify!($test), " over ", stringify!($transport)), || {
                Tokio::run(super::$test::<Tokio, $type>());
                Smol::run(super::$test::<Smol, $type>());
            });
        })*
    };
}

everywhere! {
    a_deadline_that_has_passed_takes_what_is_there
    what_came_before_the_drain_is_received
}
