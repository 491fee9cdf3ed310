//! Roads of datagrams, with somebody at the other end who keeps none of the rules.
#![allow(clippy::unwrap_used)]

mod links;

use std::{
    io::{self, ErrorKind::InvalidData, ErrorKind::WouldBlock, IoSlice, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd, RawFd},
        unix::net::{UnixListener, UnixStream},
    },
    thread,
};

use conformance::{Stage, kind_of, watched};
use ipc_core::{Address, ClientFile, ErrorKind, IpcServer, Link, Refusal, Rx as _, Tx as _, WaitStrategy};
use links::{Marked, Meeting, is_ready, receive, send_with, stranger};
use nix::{
    poll::PollFlags,
    sys::socket::{
        AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, bind, connect, send, socket, socketpair,
    },
};
use transport_unix::dgram::{Connection, Dgram};

/// The most that a datagram may have.
const LONGEST: usize = 80 * 1024;

fn road() -> (Link<Dgram>, Link<Dgram>) {
    Meeting::new().pair()
}

fn say(link: &Link<Dgram>, datagram: &[u8]) {
    let said = send(link.tx.as_fd().as_raw_fd(), datagram, MsgFlags::empty());
    assert_eq!(said.unwrap(), datagram.len());
}

#[test]
fn a_datagram_that_no_peer_sends_is_an_error() {
    watched("a_datagram_that_no_peer_sends_is_an_error", || {
        for bad in [vec![], vec![1; LONGEST + 1]] {
            let (them, mut us) = road();
            say(&them, b"good");
            say(&them, &bad);
            assert_eq!(receive(&mut us, &[100]).unwrap().unwrap(), b"good");
            assert_eq!(receive(&mut us, &[100]).unwrap_err().kind(), InvalidData, "{} bytes", bad.len());
        }
    });
}

#[test]
fn a_full_road_is_writable_again_once_something_was_received() {
    watched("a_full_road_is_writable_again_once_something_was_received", || {
        let (mut us, mut them) = road();
        let mut sent = 0;
        let full = loop {
            match us.tx.try_send(&[IoSlice::new(&[7; 100])], false) {
                Ok(_) => sent += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), WouldBlock);
        // More than `net.unix.max_dgram_qlen`, which is 10, and 512 in newer kernels' namespaces of their own.
        assert!(sent > 20, "{sent} datagrams on the way");
        assert!(!is_ready(&us.tx, PollFlags::POLLOUT));
        for _ in 0..sent {
            receive(&mut them, &[1000]).unwrap().unwrap();
        }
        assert!(is_ready(&us.tx, PollFlags::POLLOUT));
        us.tx.try_send(&[IoSlice::new(b"again")], false).unwrap();
    });
}

/// Sockets of the client's own making could be connected elsewhere, and the server's words would go there.
#[test]
fn what_a_client_does_with_its_ends_does_not_lead_the_server_elsewhere() {
    watched("what_a_client_does_with_its_ends_does_not_lead_the_server_elsewhere", || {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere =
            socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let there = UnixAddr::new(&dir.path().join("victim")).unwrap();
        bind(elsewhere.as_raw_fd(), &there).unwrap();
        let (them, mut us) = road();
        for end in [them.rx.as_fd(), them.tx.as_fd()] {
            connect(end.as_raw_fd(), &there).unwrap();
        }
        for _ in 0..3 {
            us.tx.try_send(&[IoSlice::new(b"in the server's name")], false).unwrap_err();
        }
        assert!(!is_ready(&elsewhere, PollFlags::POLLIN));
        // Whatever else it may do with them, to us it is silent.
        assert_eq!(receive(&mut us, &[100]).unwrap_err().kind(), WouldBlock);
    });
}

#[test]
fn bytes_and_descriptors_on_the_connection_are_refused_and_the_next_client_is_served() {
    watched("bytes_and_descriptors_on_the_connection_are_refused_and_the_next_client_is_served", || {
        let stage = Stage::<Dgram>::new();
        let mut server = stage.server_with(|options| options.client_file(ClientFile::Off));
        let there = stage.names().join(stage.address.to_string()).join("sock");
        for count in [0, 1, 2, 253] {
            let (before, marked) = (server.stats().refused(Refusal::Malformed), Marked::new());
            let stranger = stranger(SockType::Stream, &there);
            send_with(&stranger, b"x", &vec![marked.number(); count]);
            while server.stats().refused(Refusal::Malformed) == before {
                assert_eq!(kind_of(&server.try_accept_client()), Some(&ErrorKind::WouldBlock));
            }
            marked.must_be_closed_everywhere();
            let _ = stage.pair(&mut server);
        }
    });
}

/// It never takes its ends, and is gone.
#[test]
fn a_client_that_only_knocks_is_counted_once_it_is_gone() {
    watched("a_client_that_only_knocks_is_counted_once_it_is_gone", || {
        let stage = Stage::<Dgram>::new();
        let mut server = stage.server_with(|options| options.client_file(ClientFile::Off));
        let there = stage.names().join(stage.address.to_string()).join("sock");
        let knocks: Vec<_> = (0..30).map(|_| stranger(SockType::Stream, &there)).collect();
        while server.stats().arrived < 30 {
            assert_eq!(kind_of(&server.try_accept_client()), Some(&ErrorKind::WouldBlock));
        }
        drop(knocks);
        while server.stats().refused(Refusal::Gone) < 30 {
            assert_eq!(kind_of(&server.try_accept_client()), Some(&ErrorKind::WouldBlock));
        }
    });
}

/// What answers a client that knocks.
struct Impostor {
    _dir: tempfile::TempDir,
    address: Address,
    listener: UnixListener,
}

impl Impostor {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let address = format!("dgram:{}", path.display()).parse().unwrap();
        Self { _dir: dir, address, listener: UnixListener::bind(path).unwrap() }
    }

    /// How a client fares with this answer.
    fn answers(&self, answer: impl FnOnce(&mut UnixStream)) -> ErrorKind {
        thread::scope(|scope| {
            let client = scope.spawn(|| Connection::connect_with(&self.address, &Default::default()));
            let (mut connection, _) = self.listener.accept().unwrap();
            answer(&mut connection);
            // Held until the client has decided.
            let mut rest = Vec::new();
            let _ = connection.read_to_end(&mut rest);
            kind_of(&client.join().unwrap()).cloned().unwrap()
        })
    }

    fn sends(&self, word: &[u8], descriptors: &[RawFd]) -> ErrorKind {
        self.answers(|connection| {
            let connection = OwnedFd::from(connection.try_clone().unwrap());
            send_with(&connection, word, descriptors);
        })
    }
}

#[test]
fn a_server_that_gives_something_else_than_two_datagram_sockets_is_a_protocol_error() {
    watched("a_server_that_gives_something_else_than_two_datagram_sockets_is_a_protocol_error", || {
        let impostor = Impostor::new();
        let pair = |kind| socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let ((good, _far), (other, _end_too)) = (pair(SockType::Datagram), pair(SockType::Datagram));
        let (stream, _end) = pair(SockType::Stream);
        let plain = tempfile::tempfile().unwrap();
        let internet = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let number = |fd: &dyn AsRawFd| fd.as_raw_fd();
        let good = [number(&good), number(&other)];
        let bad: [(&str, &[u8], Vec<RawFd>); 7] = [
            ("none", &[1], vec![]),
            ("one", &[1], good[..1].to_vec()),
            ("another word", &[2], good.to_vec()),
            ("streams", &[1], vec![good[0], number(&stream)]),
            ("a file", &[1], vec![number(&plain), good[0]]),
            ("internet sockets", &[1], vec![number(&internet), good[0]]),
            ("a descriptor more", &[1], vec![good[0], good[1], good[0]]),
        ];
        for (what, word, descriptors) in bad {
            let marked = Marked::new();
            let kind = impostor.sends(word, &descriptors);
            assert!(matches!(kind, ErrorKind::Protocol { .. }), "{what}: {kind:?}");
            // Nothing of what comes is kept.
            let all: Vec<_> = std::iter::once(marked.number()).chain(descriptors).collect();
            impostor.sends(word, &all);
            marked.must_be_closed_everywhere();
        }
        assert!(matches!(impostor.sends(&[1], &[good[0]; 253]), ErrorKind::Protocol { .. }));
        assert!(matches!(
            impostor.answers(|it| it.write_all(b"HTTP/1.0 200\r\n").unwrap()),
            ErrorKind::Protocol { .. }
        ));
        let hangs_up = impostor.answers(|it| it.shutdown(std::net::Shutdown::Both).unwrap());
        assert_eq!(hangs_up, ErrorKind::PeerGone);
    });
}

/// As a child that was forked would have it: only what is said to the socket reaches both.
#[test]
fn a_receiver_that_ends_its_direction_ends_it_for_whoever_shares_its_socket() {
    watched("a_receiver_that_ends_its_direction_ends_it_for_whoever_shares_its_socket", || {
        let (mut them, mut us) = road();
        let _shared = us.rx.as_fd().try_clone_to_owned().unwrap();
        while them.tx.try_send(&[IoSlice::new(&[7; 100])], false).is_ok() {}
        us.rx.finish();
        assert!(is_ready(&them.tx, PollFlags::POLLOUT), "one that waits for room sleeps on");
        let sent = them.tx.try_send(&[IoSlice::new(b"more")], false);
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    });
}

/// It never sleeps, and so is never told by poll(2).
#[test]
fn the_end_is_seen_by_one_who_only_tries_again() {
    watched("the_end_is_seen_by_one_who_only_tries_again", || {
        use ipc_core::IpcReceiver;
        let stage = Stage::<Dgram>::new();
        let mut server = stage.server();
        let (client, mut served) = stage.pair(&mut server);
        served.set_recv_wait(WaitStrategy::Spin);
        client.abandon();
        assert_eq!(kind_of(&served.recv_borrowed()), Some(&ErrorKind::PeerGone));
    });
}

/// As `dgram.rs` says of descriptors: whoever waits on one alone hears of messages and goodbyes.
#[test]
fn a_descriptor_alone_tells_of_messages_and_not_of_a_death() -> io::Result<()> {
    let (them, mut us) = road();
    say(&them, b"here");
    assert!(is_ready(&us.rx, PollFlags::POLLIN));
    assert_eq!(receive(&mut us, &[100])?.unwrap(), b"here");
    drop(them);
    assert!(!is_ready(&us.rx, PollFlags::POLLIN));
    Ok(())
}
