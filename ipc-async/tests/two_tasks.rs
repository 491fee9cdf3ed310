//! What others split, a stream of bytes or a stream and sink of messages, and use in two tasks: neither takes the other's
//! wake-ups.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use conformance::{Stage, watched};
use futures_util::{SinkExt, StreamExt, TryStreamExt};
use ipc_async::{ByteStream, Connection, Server, Tokio, serve};
use ipc_core::Transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};

type Bytes<T> = ByteStream<Tokio, ipc_core::Connection<T>>;

const SIZE: usize = 32 << 20;

async fn writes<T: Transport>(mut half: WriteHalf<Bytes<T>>) {
    half.write_all(&vec![7; SIZE]).await.unwrap();
    half.flush().await.unwrap();
}

async fn reads<T: Transport>(mut half: ReadHalf<Bytes<T>>) {
    half.read_exact(&mut vec![0; SIZE]).await.unwrap();
}

async fn both_ways<T: Transport>(connection: Connection<Tokio, ipc_core::Connection<T>>) {
    let (reader, writer) = split(ByteStream::new(connection));
    let tasks = [tokio::spawn(reads(reader)), tokio::spawn(writes(writer))];
    for task in tasks {
        task.await.unwrap();
    }
}

async fn full_in_both_directions<T: Transport>() {
    let stage = Stage::<T>::new();
    let mut server = Server::<Tokio, _>::new(stage.server());
    let (address, options) = (stage.address.clone(), stage.client_options());
    let client = tokio::spawn(async move {
        both_ways::<T>(Connection::connect_with(&address, &options).await.unwrap()).await;
    });
    both_ways::<T>(server.accept_client().await.unwrap()).await;
    client.await.unwrap();
}

async fn messages_both_ways<T: Transport>(connection: Connection<Tokio, ipc_core::Connection<T>>) {
    let (mut sink, stream) = StreamExt::split(connection);
    let sends = tokio::spawn(async move {
        for number in 0..MESSAGES {
            sink.send(vec![number; LARGE]).await.unwrap();
        }
        sink.close().await.unwrap();
    });
    let receives = tokio::spawn(async move {
        let infos: Vec<Vec<u8>> = stream.try_collect().await.unwrap();
        assert!(infos.iter().map(|info| info[0]).eq(0..MESSAGES));
        assert!(infos.iter().all(|info| info.len() == LARGE));
    });
    sends.await.unwrap();
    receives.await.unwrap();
}

/// More than any kernel buffer takes.
const LARGE: usize = 4 << 20;
const MESSAGES: u8 = 8;

async fn messages_in_both_directions<T: Transport>() {
    let stage = Stage::<T>::new();
    let mut server = Server::<Tokio, _>::new(stage.server());
    let (address, options) = (stage.address.clone(), stage.client_options());
    let client = tokio::spawn(async move {
        messages_both_ways::<T>(Connection::connect_with(&address, &options).await.unwrap()).await;
    });
    messages_both_ways(server.accept_client().await.unwrap()).await;
    client.await.unwrap();
}

/// One half waits for bytes and one for room when the server drains.
async fn drained<T: Transport>() {
    let stage = Stage::<T>::new();
    let mut server = Server::<Tokio, _>::new(stage.server());
    let stop = server.stop_handle().unwrap();
    let serving = tokio::spawn(serve(server, Duration::from_secs(60), |client| async {
        let (mut reader, mut writer) = split(ByteStream::new(client));
        let reads = tokio::spawn(async move { reader.read_u8().await.unwrap_err() });
        let writes = tokio::spawn(async move { writer.write_all(&vec![7; SIZE]).await.unwrap_err() });
        let (read, written) = (reads.await.unwrap(), writes.await.unwrap());
        assert_eq!((read.to_string().as_str(), written.to_string().as_str()), ("stopped", "stopped"));
        Ok(())
    }));
    let options = stage.client_options();
    let _client = Connection::<Tokio, ipc_core::Connection<T>>::connect_with(&stage.address, &options);
    let mut client = _client.await.unwrap();
    // It has begun; and soon has no room.
    assert!(client.recv_info(&mut Vec::new()).await.unwrap());
    stop.stop();
    assert_eq!(serving.await.unwrap().unwrap().abandoned, 0);
}

fn on_each(name: &'static str, test: impl Fn(&tokio::runtime::Runtime)) {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    watched(name, || test(&runtime().unwrap()));
}

#[test]
fn tasks_that_read_and_write_at_once_both_come_to_an_end() {
    on_each("tasks_that_read_and_write_at_once_both_come_to_an_end", |runtime| {
        runtime.block_on(full_in_both_directions::<transport_unix::Unix>());
        runtime.block_on(full_in_both_directions::<transport_fifo::Fifo>());
        runtime.block_on(full_in_both_directions::<transport_inproc::Inproc>());
    });
}

#[test]
fn the_end_of_the_server_reaches_both() {
    on_each("the_end_of_the_server_reaches_both", |runtime| {
        runtime.block_on(drained::<transport_unix::Unix>());
        runtime.block_on(drained::<transport_fifo::Fifo>());
        runtime.block_on(drained::<transport_inproc::Inproc>());
    });
}

#[test]
fn a_stream_and_a_sink_of_one_connection_serve_two_tasks() {
    on_each("a_stream_and_a_sink_of_one_connection_serve_two_tasks", |runtime| {
        runtime.block_on(messages_in_both_directions::<transport_unix::Unix>());
        runtime.block_on(messages_in_both_directions::<transport_fifo::Fifo>());
        runtime.block_on(messages_in_both_directions::<transport_inproc::Inproc>());
    });
}
