//! A server that drains lets leave what its handlers have accepted, and their goodbyes.
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

use both::{Connection, Fresh, once};
use conformance::{Stage, kind_of, watched};
use futures_util::future::join;
use ipc_async::{Server, Smol, Tokio, serve};
use ipc_core::{ErrorKind, Transport};

const BIG: usize = 8 << 20;

/// The handler has a large message accepted, of which most is still here when the drain begins.
async fn what_was_accepted_leaves<R: Fresh, T: Transport>(flushes: bool) {
    let stage = Stage::<T>::new();
    let mut server = Server::<R, _>::new(stage.server());
    let stop = server.stop_handle().unwrap();
    let (options, begun) = (stage.client_options(), Arc::new(AtomicBool::new(false)));
    let begins = begun.clone();
    let serving = serve(server, Duration::from_secs(3600), move |mut client: Connection<R, T>| {
        let begins = begins.clone();
        async move {
            assert!(once(client.send_info(&vec![5; BIG])).await.is_pending());
            begins.store(true, SeqCst);
            if flushes {
                client.flush_info().await?;
            }
            client.disconnect_from_by(Duration::from_secs(3600).into()).await
        }
    });
    let visits = async {
        let mut server = Connection::<R, T>::connect_with(&stage.address, &options).await.unwrap();
        while !begun.load(SeqCst) {
            smol::future::yield_now().await;
        }
        stop.stop();
        // The name is given back, and then the drain begins.
        loop {
            let other = Connection::<R, T>::connect_with(&stage.address, &options).await;
            if matches!(kind_of(&other), Some(ErrorKind::NoSuchServer { .. })) {
                break;
            }
        }
        let mut info = Vec::new();
        assert!(server.recv_info(&mut info).await.unwrap());
        assert!(info == vec![5; BIG]);
        assert!(!server.recv_info(&mut info).await.unwrap(), "and the goodbye");
    };
    let (served, ()) = join(serving, visits).await;
    assert_eq!(served.unwrap().abandoned, 0);
}

/// What panics is no future yet.
async fn a_handler_that_panics_at_once_ends_its_own_connection_only<R: Fresh, T: Transport>() {
    let stage = Stage::<T>::new();
    let mut server = Server::<R, _>::new(stage.server());
    let stop = server.stop_handle().unwrap();
    let (options, is_first) = (stage.client_options(), AtomicBool::new(true));
    let serving = serve(server, Duration::from_secs(3600), move |mut client: Connection<R, T>| {
        assert!(!is_first.swap(false, SeqCst), "on purpose");
        async move { client.send_info(b"unharmed").await }
    });
    let visits = async {
        let mut info = Vec::new();
        let mut doomed = Connection::<R, T>::connect_with(&stage.address, &options).await.unwrap();
        assert_eq!(kind_of(&doomed.recv_info(&mut info).await), Some(&ErrorKind::PeerGone));
        let mut other = Connection::<R, T>::connect_with(&stage.address, &options).await.unwrap();
        assert!(other.recv_info(&mut info).await.unwrap() && info == b"unharmed");
        stop.stop();
    };
    let (served, ()) = join(serving, visits).await;
    assert_eq!(served.unwrap().abandoned, 0);
}

#[test]
fn a_handler_that_panics_before_its_future_ends_its_own_connection_only() {
    fn on_both<T: Transport>() {
        Tokio::run(a_handler_that_panics_at_once_ends_its_own_connection_only::<Tokio, T>());
        Smol::run(a_handler_that_panics_at_once_ends_its_own_connection_only::<Smol, T>());
    }
    watched("a_handler_that_panics_before_its_future_ends_its_own_connection_only", || {
        on_both::<transport_unix::Unix>();
        on_both::<transport_fifo::Fifo>();
        on_both::<transport_inproc::Inproc>();
    });
}

fn everywhere<T: Transport>() {
    for flushes in [true, false] {
        Tokio::run(what_was_accepted_leaves::<Tokio, T>(flushes));
        Smol::run(what_was_accepted_leaves::<Smol, T>(flushes));
    }
}

#[test]
fn what_was_accepted_leaves_during_the_drain() {
    watched("what_was_accepted_leaves_during_the_drain", || {
        everywhere::<transport_unix::Unix>();
        everywhere::<transport_unix::seqpacket::Seqpacket>();
        everywhere::<transport_unix::dgram::Dgram>();
        everywhere::<transport_fifo::Fifo>();
        everywhere::<transport_inproc::Inproc>();
    });
}
