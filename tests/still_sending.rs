//! What a server can still say to a client that never heard of hobnob and sends too much, or is sent much.
#![cfg(feature = "unix")]
#![allow(clippy::unwrap_used)]

mod house;

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    thread,
};

use conformance::{kind_of, watched};
use hobnob::{
    AnyConnection, AnyServer, ConnectOptions, Deadline, ErrorKind, IpcReceiver, IpcSender, IpcServer,
    ServerOptions, Wire,
};
use house::{House, parsed};

const LINES: Wire = Wire::Delimited(b'\n');

fn server_at(house: &House, address: &str) -> AnyServer {
    let options = ServerOptions::new().directory(house.names()).wire(LINES).allow(|_| true);
    AnyServer::new_server_with(&parsed(address), &options.max_message(10).max_sent(1000)).unwrap()
}

fn path(house: &House) -> String {
    format!("unix:{}", house.place("lines").display())
}

/// It sends far more than any buffer holds, and only then reads.
fn sends_and_then_reads(mut client: impl Read + Write, end: impl FnOnce() -> io::Result<()>) -> String {
    client.write_all(&vec![b'x'; 20 << 20]).unwrap();
    end().unwrap();
    let mut read = String::new();
    client.read_to_string(&mut read).unwrap();
    read
}

/// A client over each transport that strangers can use, in a thread of its own.
fn each_client(mut served: impl FnMut(AnyServer)) {
    let house = House::new();
    let server = server_at(&house, &path(&house));
    let client = UnixStream::connect(house.place("lines")).unwrap();
    let end = client.try_clone().unwrap();
    let client = thread::spawn(move || sends_and_then_reads(client, || end.shutdown(Shutdown::Write)));
    served(server);
    assert_eq!(client.join().unwrap(), "too long\n");
    #[cfg(feature = "tcp")]
    {
        let server = server_at(&house, "tcp:127.0.0.1:0");
        let client = std::net::TcpStream::connect(server.address().strip_prefix("tcp:").unwrap()).unwrap();
        let end = client.try_clone().unwrap();
        let client = thread::spawn(move || sends_and_then_reads(client, || end.shutdown(Shutdown::Write)));
        served(server);
        assert_eq!(client.join().unwrap(), "too long\n");
    }
}

#[test]
fn a_client_still_sending_reads_why_it_is_let_go() {
    watched("a_client_still_sending_reads_why_it_is_let_go", || {
        each_client(|mut server| {
            let mut client = server.accept_client().unwrap();
            let received = client.recv_info(&mut Vec::new());
            assert!(matches!(kind_of(&received), Some(ErrorKind::Protocol { .. })), "{received:?}");
            client.send_info(b"too long").unwrap();
            client.disconnect_from().unwrap();
            while client.discard_info_by(Deadline::Forever).unwrap() {}
            assert!(!client.discard_info_by(Deadline::Now).unwrap(), "and that is the end of it");
        });
    });
}

#[cfg(feature = "tokio")]
#[test]
fn a_future_throws_away_what_a_client_still_sends() {
    use hobnob::tokio::Server;

    watched("a_future_throws_away_what_a_client_still_sends", || {
        each_client(|server| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut client = Server::new(server).accept_client().await.unwrap();
                let received = client.recv_info(&mut Vec::new()).await;
                assert!(matches!(kind_of(&received), Some(ErrorKind::Protocol { .. })), "{received:?}");
                client.send_info(b"too long").await.unwrap();
                client.disconnect_from().await.unwrap();
                while client.discard_info_by(Deadline::Forever).await.unwrap() {}
            });
        });
    });
}

#[test]
fn nothing_is_thrown_away_that_has_not_come() {
    watched("nothing_is_thrown_away_that_has_not_come", || {
        let house = House::new();
        let mut server = server_at(&house, &path(&house));
        let _silent = UnixStream::connect(house.place("lines")).unwrap();
        let mut client = server.accept_client().unwrap();
        assert_eq!(kind_of(&client.discard_info_by(Deadline::Now)), Some(&ErrorKind::WouldBlock));
        let soon = Deadline::Within(std::time::Duration::from_millis(1));
        assert_eq!(kind_of(&client.discard_info_by(soon)), Some(&ErrorKind::TimedOut));
    });
}

#[test]
fn the_largest_sent_may_be_another_than_the_largest_received() {
    watched("the_largest_sent_may_be_another_than_the_largest_received", || {
        let house = House::new();
        let mut server = server_at(&house, &path(&house));
        let options =
            ConnectOptions::new().directory(house.names()).wire(LINES).max_message(1000).max_sent(11);
        let mut client = AnyConnection::connect_with(&parsed(&path(&house)), &options).unwrap();
        let mut served = server.accept_client().unwrap();
        served.send_info(&[b'a'; 1000]).unwrap();
        assert_eq!(client.recv_borrowed().unwrap(), Some(&[b'a'; 1000][..]));
        let too_large = |size, limit| Some(ErrorKind::TooLarge { size, limit });
        assert_eq!(kind_of(&served.send_info(&[b'a'; 1001])), too_large(1001, 1000).as_ref());
        assert_eq!(kind_of(&client.send_info(&[b'a'; 12])), too_large(12, 11).as_ref());
        client.send_info(&[b'a'; 11]).unwrap();
        let received = served.recv_info(&mut Vec::new());
        assert!(matches!(kind_of(&received), Some(ErrorKind::Protocol { .. })), "{received:?}");
    });
}
