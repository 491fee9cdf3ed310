//! What an idle connection costs on each side: the transport's descriptors and none of the runtime's. Alone in its
//! process, where nothing else opens any.
#![cfg(all(target_os = "linux", feature = "tokio", feature = "smol"))]
#![allow(clippy::unwrap_used)]

mod both;

use std::{fs, task::Poll};

use both::{Fresh, House, house, once};
use ipc_async::{Smol, Tokio};
use ipc_core::Transport;

const PAIRS: usize = 10;

fn open() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

async fn none_comes<F: Future>(waits: F) {
    assert!(matches!(once(waits).await, Poll::Pending));
}

/// Connected pairs that wait for messages, whole and as halves; `each` is what one side of one has.
async fn idle<R: Fresh, T: Transport>(each: usize) {
    let first = house::<R, T>().await;
    let House { mut server, stage, .. } = first;
    none_comes(server.accept_client()).await;
    let before = open();
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        let options = stage.client_options();
        let connecting = both::Connection::<R, T>::connect_with(&stage.address, &options);
        let (client, served) = futures_util::future::join(connecting, server.accept_client()).await;
        let (mut client, mut served) = (client.unwrap(), served.unwrap());
        client.send_info(b"there").await.unwrap();
        let mut info = Vec::new();
        assert!(served.recv_info(&mut info).await.unwrap());
        served.send_info(b"back").await.unwrap();
        assert!(client.recv_info(&mut info).await.unwrap());
        none_comes(client.recv_info(&mut info)).await;
        none_comes(served.recv_info(&mut info)).await;
        pairs.push((client, served));
    }
    none_comes(server.accept_client()).await;
    assert_eq!(open() - before, PAIRS * 2 * each, "{} whole", T::SCHEME);
    let mut halves = Vec::new();
    for (client, served) in pairs {
        let ((mut there, mut back), (mut answers, mut asks)) = (client.split(), served.split());
        there.send_info(b"halves").await.unwrap();
        assert!(asks.recv_info(&mut Vec::new()).await.unwrap());
        answers.send_info(b"too").await.unwrap();
        assert!(back.recv_info(&mut Vec::new()).await.unwrap());
        none_comes(back.recv_info(&mut Vec::new())).await;
        none_comes(asks.recv_info(&mut Vec::new())).await;
        halves.push((there, back, answers, asks));
    }
    assert_eq!(open() - before, PAIRS * 2 * each, "{} in halves", T::SCHEME);
    // A sender that waits for room while its receiver waits for messages.
    for (there, back, ..) in &mut halves {
        let big = vec![0; 8 << 20];
        none_comes(there.send_info(&big)).await;
        none_comes(back.recv_info(&mut Vec::new())).await;
    }
    assert_eq!(open() - before, PAIRS * 2 * each, "{} in halves that both wait", T::SCHEME);
    drop(halves);
    assert_eq!(open(), before, "{} after the end", T::SCHEME);
}

/// The second round is counted from where the first began: by then all is open that is opened once for good.
fn returns_to_where_it_was<R: Fresh, T: Transport>(each: usize) {
    R::run(idle::<R, T>(each));
    let before = open();
    R::run(idle::<R, T>(each));
    assert_eq!(open(), before, "{} with its server", T::SCHEME);
}

#[test]
fn an_idle_connection_has_the_transports_descriptors_only() {
    conformance::watched("an_idle_connection", || {
        returns_to_where_it_was::<Tokio, transport_unix::Unix>(1);
        returns_to_where_it_was::<Tokio, transport_unix::seqpacket::Seqpacket>(1);
        returns_to_where_it_was::<Tokio, transport_unix::dgram::Dgram>(3);
        returns_to_where_it_was::<Tokio, transport_fifo::Fifo>(2);
        returns_to_where_it_was::<Tokio, transport_inproc::Inproc>(2);
        returns_to_where_it_was::<Smol, transport_unix::Unix>(1);
        returns_to_where_it_was::<Smol, transport_unix::seqpacket::Seqpacket>(1);
        returns_to_where_it_was::<Smol, transport_unix::dgram::Dgram>(3);
        returns_to_where_it_was::<Smol, transport_fifo::Fifo>(2);
        returns_to_where_it_was::<Smol, transport_inproc::Inproc>(2);
    });
}
