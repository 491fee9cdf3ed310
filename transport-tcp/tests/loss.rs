//! TCP throws away what is on the way when a socket is closed that has something unread. None of it may be lost.
#![cfg(all(target_os = "linux", not(hobnob_portable)))]
#![allow(clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use conformance::{Stage, kind_of, watched};
use ipc_core::{Deadline, ErrorKind, IpcReceiver, IpcSender, IpcServer, ServerOptions, Wire};
use transport_tcp::{Connection, Server, Tcp};

fn message(number: u32, size: usize) -> Vec<u8> {
    let mut message = vec![number as u8; size];
    message[..4].copy_from_slice(&number.to_le_bytes());
    message
}

/// Sends until there is no room; how many were accepted.
fn flood(sender: &mut Connection, size: usize) -> u32 {
    (0..).find(|number| sender.try_send_info(&message(*number, size)).is_err()).unwrap()
}

fn receives_all(receiver: &mut Connection, count: u32, size: usize) {
    let mut info = Vec::new();
    for number in 0..count {
        let received = receiver.recv_info(&mut info);
        assert!(*received.as_ref().unwrap_or(&false), "{received:?} instead of message {number} of {count}");
        assert!(info == message(number, size), "message {number} of {count}");
    }
    assert!(!receiver.recv_info(&mut info).unwrap(), "the goodbye");
}

#[test]
fn what_was_sent_arrives_though_its_sender_leaves_with_a_flood_unread() {
    watched("what_was_sent_arrives_though_its_sender_leaves_with_a_flood_unread", || {
        for size in [8, 1000, 100_000] {
            let stage = Stage::<Tcp>::new();
            let (mut client, mut served) = stage.pair(&mut stage.server());
            flood(&mut served, size);
            let sent = flood(&mut client, size);
            thread::scope(|scope| {
                scope.spawn(move || {
                    client.disconnect_from_by(Deadline::Forever).unwrap();
                    drop(client);
                });
                receives_all(&mut served, sent, size);
            });
        }
    });
}

#[test]
fn a_goodbye_that_cannot_arrive_is_told_and_arrives_later() {
    watched("a_goodbye_that_cannot_arrive_is_told_and_arrives_later", || {
        let stage = Stage::<Tcp>::new();
        let (mut client, mut served) = stage.pair(&mut stage.server());
        // It fits into the two kernels, and not into the peer's alone.
        let info = message(7, 1 << 20);
        client.send_info(&info).unwrap();
        assert_eq!(kind_of(&client.try_disconnect_from()), Some(&ErrorKind::WouldBlock));
        let left = client.disconnect_from_by(Deadline::Within(Duration::from_millis(50)));
        assert_eq!(kind_of(&left), Some(&ErrorKind::Undelivered { messages: 1 }));
        assert_eq!(kind_of(&client.send_info(b"late")), Some(&ErrorKind::Closed));
        thread::scope(|scope| {
            let leaves = scope.spawn(|| client.disconnect_from_by(Deadline::Forever));
            assert_eq!(served.recv_borrowed().unwrap(), Some(&info[..]));
            assert_eq!(served.recv_borrowed().unwrap(), None);
            leaves.join().unwrap().unwrap();
        });
        client.disconnect_from().unwrap();
        served.send_info(b"the other direction lives").unwrap();
        assert_eq!(client.recv_borrowed().unwrap(), Some(&b"the other direction lives"[..]));
    });
}

#[test]
fn a_drop_takes_away_what_is_unread_so_that_what_was_sent_arrives() {
    watched("a_drop_takes_away_what_is_unread_so_that_what_was_sent_arrives", || {
        let stage = Stage::<Tcp>::new();
        let (mut client, mut served) = stage.pair(&mut stage.server());
        for number in 0..20 {
            served.send_info(&message(number, 1000)).unwrap();
        }
        // More than the peer's kernel takes of it at once, and not more than ours does.
        for number in 0..20 {
            client.send_info(&message(number, 50_000)).unwrap();
        }
        drop(client);
        receives_all(&mut served, 20, 50_000);
    });
}

#[test]
fn a_peer_that_is_gone_keeps_nobody_from_leaving() {
    watched("a_peer_that_is_gone_keeps_nobody_from_leaving", || {
        let stage = Stage::<Tcp>::new();
        let (mut client, served) = stage.pair(&mut stage.server());
        // More than the peer takes away when it goes, and not more than our kernel takes.
        client.send_info(&message(1, 3_500_000)).unwrap();
        assert_eq!(
            kind_of(&client.try_disconnect_from()),
            Some(&ErrorKind::WouldBlock),
            "the goodbye has left"
        );
        served.abandon();
        client.disconnect_from_by(Deadline::Forever).unwrap();
    });
}

/// It goes on sending what nobody will read, as who uploads to a server that has said no.
#[test]
fn an_answer_reaches_a_stranger_who_is_still_sending() {
    watched("an_answer_reaches_a_stranger_who_is_still_sending", || {
        let options = ServerOptions::new().wire(Wire::Raw).allow(|_| true);
        let mut server = Server::new_server_with(&"tcp:127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let port = server.address().strip_prefix("tcp:").unwrap().to_owned();
        let answer = message(7, 300_000);
        for _ in 0..10 {
            let mut client = TcpStream::connect(&port).unwrap();
            let mut served = server.accept_client().unwrap();
            thread::scope(|scope| {
                let mut sender = client.try_clone().unwrap();
                // Until the server is gone.
                scope.spawn(move || while sender.write_all(&[b'x'; 65536]).is_ok() {});
                scope.spawn(|| {
                    assert!(served.recv_info(&mut Vec::new()).unwrap());
                    served.send_info(&answer).unwrap();
                    served.disconnect_from_by(Deadline::Forever).unwrap();
                    drop(served);
                });
                let mut got = vec![0; answer.len()];
                client.read_exact(&mut got).unwrap();
                assert!(got == answer);
            });
        }
    });
}

/// On a foreign wire the end of the stream is a goodbye; a reset, which throws away what we have sent, is none.
#[test]
fn a_stranger_who_leaves_without_reading_is_gone_and_has_not_left() {
    watched("a_stranger_who_leaves_without_reading_is_gone_and_has_not_left", || {
        for (wire, last_words) in [(Wire::Raw, &b"last words"[..]), (Wire::Delimited(b'\n'), b"last words\n")]
        {
            let options = ServerOptions::new().wire(wire).allow(|_| true);
            let mut server = Server::new_server_with(&"tcp:127.0.0.1:0".parse().unwrap(), &options).unwrap();
            let mut client = TcpStream::connect(server.address().strip_prefix("tcp:").unwrap()).unwrap();
            let mut served = server.accept_client().unwrap();
            client.write_all(last_words).unwrap();
            served.send_info(b"unread").unwrap();
            assert_eq!(client.peek(&mut [0]).unwrap(), 1, "it is there");
            drop(client);
            assert_eq!(served.recv_borrowed().unwrap(), Some(&b"last words"[..]));
            let left = served.recv_borrowed();
            assert_eq!(kind_of(&left), Some(&ErrorKind::PeerGone), "{wire}: {left:?}");
        }
    });
}
