//! Both runtimes, over every transport.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use conformance::{Stage, watched};
use ipc_async::{Connection, Runtime, Server, Smol, Tokio};
use ipc_core::Transport;

async fn there_and_back<R: Runtime, T: Transport>() {
    let stage = Stage::<T>::new();
    let mut server = Server::<R, _>::new(stage.server());
    let options = stage.client_options();
    let (address, (sent, done)) = (stage.address.clone(), std::sync::mpsc::channel());
    R::spawn(async move {
        let mut client =
            Connection::<R, ipc_core::Connection<T>>::connect_with(&address, &options).await.unwrap();
        let mut info = Vec::new();
        for size in [0, 1, 100, 70_000, 3 << 20] {
            client.send_info(&vec![7; size]).await.unwrap();
            assert!(client.recv_info(&mut info).await.unwrap());
            assert_eq!(info, vec![7; size]);
        }
        client.disconnect_from().await.unwrap();
        assert!(!client.recv_info(&mut info).await.unwrap());
        sent.send(()).unwrap();
    });
    let mut client = server.accept_client().await.unwrap();
    let mut info = Vec::new();
    while client.recv_info(&mut info).await.unwrap() {
        client.send_info(&info).await.unwrap();
    }
    client.disconnect_from().await.unwrap();
    done.recv_timeout(Duration::from_secs(20)).unwrap();
}

fn on_tokio(task: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(task);
}

#[test]
fn all() {
    watched("all", || {
        on_tokio(there_and_back::<Tokio, transport_unix::Unix>());
        on_tokio(there_and_back::<Tokio, transport_fifo::Fifo>());
        on_tokio(there_and_back::<Tokio, transport_inproc::Inproc>());
        smol::block_on(there_and_back::<Smol, transport_unix::Unix>());
        smol::block_on(there_and_back::<Smol, transport_fifo::Fifo>());
        smol::block_on(there_and_back::<Smol, transport_inproc::Inproc>());
    });
}
