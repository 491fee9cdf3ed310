//! Messages as streams and sinks, and connections as bytes, on both runtimes.
#![cfg(all(feature = "tokio", feature = "smol"))]
#![allow(clippy::unwrap_used)]

mod both;

use std::{future::poll_fn, io, pin::Pin, task::Poll};

use both::{Connection, Fresh, House, house, house_with, once};
use conformance::{Subject, kind_of, watched};
use futures_util::{Sink, SinkExt, Stream, StreamExt, future::join};
use ipc_async::{ByteStream, Runtime, Smol, Tokio};
use ipc_core::{ErrorKind, IpcSender, Transport};
use transport_faulty::Faulty;

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at.wrapping_mul(31) >> 3) as u8 ^ at as u8).collect()
}

/// What a sink takes while nobody reads; and then all of it comes.
async fn a_sink_is_bounded<R: Runtime, T: Transport>() {
    const SIZE: usize = 10_000;
    let House { mut client, mut served, .. } = house::<R, T>().await;
    let (mut taken, mut most) = (0, 0);
    loop {
        let ready: Poll<ipc_core::Result<()>> =
            poll_fn(|cx| Poll::Ready(Sink::<Vec<u8>>::poll_ready(Pin::new(&mut client), cx))).await;
        match ready {
            Poll::Pending => break,
            Poll::Ready(ready) => ready.unwrap(),
        }
        Pin::new(&mut client).start_send(vec![taken as u8; SIZE]).unwrap();
        (taken, most) = (taken + 1, most.max(client.get_ref().queued()));
    }
    assert!((64 * 1024..=64 * 1024 + SIZE + 8).contains(&most), "{most} bytes wait to leave");
    let closes = async { SinkExt::<Vec<u8>>::close(&mut client).await.unwrap() };
    let reads = async {
        let mut came = 0;
        while let Some(info) = served.next().await {
            assert!(info.unwrap() == vec![came as u8; SIZE]);
            came += 1;
        }
        came
    };
    let ((), came) = join(closes, reads).await;
    assert_eq!(came, taken);
}

/// The same with halves; and what gathers leaves in order, with what is flushed.
async fn halves_are_streams_too<R: Runtime, T: Transport>() {
    let House { client, served, .. } = house::<R, T>().await;
    let ((mut sink, _back), (_answers, mut stream)) = (client.split(), served.split());
    let sends = async {
        for size in 0..500 {
            sink.feed(pattern(size)).await.unwrap();
        }
        SinkExt::<Vec<u8>>::flush(&mut sink).await.unwrap();
        for size in 500..1000 {
            sink.feed(pattern(size)).await.unwrap();
        }
        SinkExt::<Vec<u8>>::close(&mut sink).await.unwrap();
        assert_eq!(kind_of(&sink.feed(vec![1]).await), Some(&ErrorKind::Closed));
    };
    let reads = async {
        for size in 0..1000 {
            assert!(stream.next().await.unwrap().unwrap() == pattern(size));
        }
        assert!(stream.next().await.is_none(), "the goodbye");
        assert!(stream.next().await.is_none(), "and it stays");
    };
    join(sends, reads).await;
}

async fn a_death_is_an_item<R: Runtime, T: Transport>() {
    let House { mut client, mut served, .. } = house::<R, T>().await;
    client.send_info(b"last words").await.unwrap();
    T::abandon(client.into_inner());
    assert_eq!(served.next().await.unwrap().unwrap(), b"last words");
    assert_eq!(kind_of(&served.next().await.unwrap()), Some(&ErrorKind::PeerGone));
    let dropped = poll_fn(|cx| Pin::new(&mut served).poll_next(cx)).await;
    assert_eq!(kind_of(&dropped.unwrap()), Some(&ErrorKind::PeerGone), "and it stays");
}

/// Bytes as each runtime reads and writes them.
trait Bytes: Fresh {
    fn write_all<T: Transport>(to: &mut Wire<Self, T>, bytes: &[u8]) -> impl Future<Output = io::Result<()>>;
    fn read<T: Transport>(
        from: &mut Wire<Self, T>,
        into: &mut [u8],
    ) -> impl Future<Output = io::Result<usize>>;
    fn flush<T: Transport>(to: &mut Wire<Self, T>) -> impl Future<Output = io::Result<()>>;
    fn close<T: Transport>(to: &mut Wire<Self, T>) -> impl Future<Output = io::Result<()>>;
}

type Wire<R, T> = ByteStream<R, ipc_core::Connection<T>>;

impl Bytes for Tokio {
    async fn write_all<T: Transport>(to: &mut Wire<Self, T>, bytes: &[u8]) -> io::Result<()> {
        tokio::io::AsyncWriteExt::write_all(to, bytes).await
    }

    async fn read<T: Transport>(from: &mut Wire<Self, T>, into: &mut [u8]) -> io::Result<usize> {
        tokio::io::AsyncReadExt::read(from, into).await
    }

    async fn flush<T: Transport>(to: &mut Wire<Self, T>) -> io::Result<()> {
        tokio::io::AsyncWriteExt::flush(to).await
    }

    async fn close<T: Transport>(to: &mut Wire<Self, T>) -> io::Result<()> {
        tokio::io::AsyncWriteExt::shutdown(to).await
    }
}

impl Bytes for Smol {
    async fn write_all<T: Transport>(to: &mut Wire<Self, T>, bytes: &[u8]) -> io::Result<()> {
        smol::io::AsyncWriteExt::write_all(to, bytes).await
    }

    async fn read<T: Transport>(from: &mut Wire<Self, T>, into: &mut [u8]) -> io::Result<usize> {
        smol::io::AsyncReadExt::read(from, into).await
    }

    async fn flush<T: Transport>(to: &mut Wire<Self, T>) -> io::Result<()> {
        smol::io::AsyncWriteExt::flush(to).await
    }

    async fn close<T: Transport>(to: &mut Wire<Self, T>) -> io::Result<()> {
        smol::io::AsyncWriteExt::close(to).await
    }
}

/// All that comes, in pieces of every size.
async fn read_to_end<R: Bytes, T: Transport>(from: &mut Wire<R, T>) -> (Vec<u8>, io::Result<()>) {
    let (mut all, mut piece) = (Vec::new(), vec![0; 9973]);
    for size in (1..9973).step_by(97).cycle() {
        match R::read(from, &mut piece[..size]).await {
            Ok(0) => break,
            Ok(count) => all.extend_from_slice(&piece[..count]),
            Err(error) => return (all, Err(error)),
        }
    }
    (all, Ok(()))
}

/// Large writes, to a peer whose messages may be as large as they like and to one whose may not.
async fn bytes_come_as_they_left<R: Bytes, T: Transport>() {
    for limit in [1, 1000, 16 << 20] {
        let there = house_with::<R, T>(|options| options.max_message(limit), |options| options).await;
        let (mut writer, mut reader) = (ByteStream::new(there.client), ByteStream::new(there.served));
        let bytes = pattern(if limit == 1 { 3000 } else { 3 << 20 });
        let writes = async {
            let (one, two) = bytes.split_at(bytes.len() / 3);
            R::write_all(&mut writer, one).await.unwrap();
            R::write_all(&mut writer, b"").await.unwrap();
            R::write_all(&mut writer, two).await.unwrap();
            R::close(&mut writer).await.unwrap();
        };
        let ((), (came, end)) = join(writes, read_to_end(&mut reader)).await;
        assert!(came == bytes && end.is_ok(), "{limit}: {} of {} bytes, {end:?}", came.len(), bytes.len());
        let after = R::write_all(&mut writer, b"x").await;
        assert!(after.is_err(), "after the goodbye");
        // The other direction lives.
        let (closed, (came, end)) = join(R::close(&mut reader), read_to_end(&mut writer)).await;
        assert!(came.is_empty() && end.is_ok() && closed.is_ok());
    }
}

/// A write says that it took bytes; once flushed they are with the peer, though this end says nothing more.
async fn what_is_flushed_has_left<R: Bytes, T: Transport>() {
    let there = house::<R, T>().await;
    let (mut writer, mut reader) = (ByteStream::new(there.client), ByteStream::new(there.served));
    let (bytes, mut came) = (pattern(2 << 20), Vec::new());
    let writes = async {
        R::write_all(&mut writer, &bytes).await.unwrap();
        R::flush(&mut writer).await.unwrap();
    };
    let reads = async {
        let mut piece = vec![0; 30_000];
        while came.len() < bytes.len() {
            let count = R::read(&mut reader, &mut piece).await.unwrap();
            came.extend_from_slice(&piece[..count]);
        }
    };
    join(writes, reads).await;
    assert!(came == bytes);
    assert_eq!(writer.get_ref().get_ref().queued(), 0);
    // A peer that does not read: no write takes more than what waits here and one piece.
    for _ in 0..10_000 {
        if once(R::write_all(&mut writer, &bytes)).await.is_pending() {
            break;
        }
    }
    let queued = writer.get_ref().get_ref().queued();
    assert!(queued <= 2 * 64 * 1024 + 16, "{queued} bytes wait to leave");
}

/// The end of the file is the goodbye, and nothing else is.
async fn an_end_is_told_from_a_death<R: Bytes, T: Transport>() {
    let there = house::<R, T>().await;
    let mut reader = ByteStream::new(there.served);
    let mut client: Connection<R, T> = there.client;
    client.send_info(b"whole").await.unwrap();
    T::abandon(client.into_inner());
    let (came, end) = read_to_end(&mut reader).await;
    assert_eq!((came.as_slice(), end.unwrap_err().kind()), (&b"whole"[..], io::ErrorKind::BrokenPipe));
    let again = R::read(&mut reader, &mut [0; 8]).await;
    assert_eq!(again.unwrap_err().kind(), io::ErrorKind::BrokenPipe, "and nothing is read twice");
    // In the middle of a message.
    let there = house::<R, T>().await;
    let (mut client, mut reader) = (there.client, ByteStream::new(there.served));
    assert!(once(client.send_info(&vec![1; 16 << 20])).await.is_pending());
    T::abandon(client.into_inner());
    let (came, end) = read_to_end(&mut reader).await;
    assert_eq!((came.len(), end.unwrap_err().kind()), (0, io::ErrorKind::UnexpectedEof));
    // Writing to the dead.
    let there = house::<R, T>().await;
    let mut writer = ByteStream::new(there.client);
    T::abandon(there.served.into_inner());
    let mut wrote = Ok(());
    for _ in 0..3 {
        wrote = wrote.and(R::write_all(&mut writer, b"x").await);
    }
    assert_eq!(wrote.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

/// Each test over every transport, plain and faulty, on each runtime.
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
                Tokio::run(super::$test::<Tokio, Faulty<$type>>());
                Smol::run(super::$test::<Smol, Faulty<$type>>());
            });
        })*
    };
}

everywhere! {
    a_sink_is_bounded
    halves_are_streams_too
    a_death_is_an_item
    bytes_come_as_they_left
    what_is_flushed_has_left
    an_end_is_told_from_a_death
}

/// A connection as bytes, to whoever knows nothing but bytes.
async fn a_raw_wire_is_a_stream_of_bytes<R: Bytes, T: Transport>() {
    let raw = ipc_core::Wire::Raw;
    let there =
        house_with::<R, T>(|options| options.wire(raw).allow(|_| true), |options| options.wire(raw)).await;
    let (mut writer, mut reader) = (ByteStream::new(there.client), ByteStream::new(there.served));
    let bytes = pattern(1 << 20);
    let writes = async {
        R::write_all(&mut writer, b"").await.unwrap();
        R::write_all(&mut writer, &bytes).await.unwrap();
        R::close(&mut writer).await.unwrap();
    };
    let ((), (came, end)) = join(writes, read_to_end(&mut reader)).await;
    assert!(came == bytes && end.is_ok(), "{} of {} bytes, {end:?}", came.len(), bytes.len());
    // The other direction lives.
    R::write_all(&mut reader, b"thanks").await.unwrap();
    let (closed, (came, end)) = join(R::close(&mut reader), read_to_end(&mut writer)).await;
    assert!(came == b"thanks" && end.is_ok() && closed.is_ok());
}

mod a_raw_wire_is_a_stream_of_bytes {
    use super::*;
    everywhere! { @ a_raw_wire_is_a_stream_of_bytes unix: transport_unix::Unix, inproc: transport_inproc::Inproc }
}
