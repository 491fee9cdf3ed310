//! A socket that somebody else has made, as socket activation does.
#![allow(clippy::unwrap_used)]

mod stage;

use std::{
    net::UdpSocket,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{UnixDatagram, UnixListener},
    },
};

use conformance::watched;
use ipc_core::ErrorKind;
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::socket::{setsockopt, sockopt::PassCred},
};
use plain_datagrams::Dropped;
use stage::{Stage, kind, next, said, would_block};

#[test]
fn a_given_socket_is_served_and_stays_its_makers() {
    watched("a_given_socket_is_served_and_stays_its_makers", || {
        let stage = Stage::new();
        let given = UnixDatagram::bind(stage.socket()).unwrap();
        setsockopt(&given, PassCred, &true).unwrap();
        fcntl(&given, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        let client = stage.stranger("client");
        client.send_to(b"before", stage.socket()).unwrap();
        let kept = given.try_clone().unwrap();
        let options = stage.options().receive_on(given);
        let mut server = stage.try_server(&options).unwrap();
        let flags = fcntl(server.as_fd(), FcntlArg::F_GETFD).unwrap();
        assert!(FdFlag::from_bits_truncate(flags).contains(FdFlag::FD_CLOEXEC));
        let (sender, info) = next(&mut server);
        server.send_info(&sender, &info).unwrap();
        assert_eq!(said(&client), b"before");
        drop(server);
        client.send_to(b"after", stage.socket()).unwrap();
        assert_eq!(said(&kept), b"after");
        assert!(matches!(kind(stage.try_server(&options)), ErrorKind::BadDescriptor { .. }), "it was taken");
    });
}

#[test]
fn what_came_before_credentials_were_asked_for_is_dropped_and_counted() {
    watched("what_came_before_credentials_were_asked_for_is_dropped_and_counted", || {
        let stage = Stage::new();
        let given = UnixDatagram::bind(stage.socket()).unwrap();
        let client = stage.stranger("client");
        client.send_to(b"before", stage.socket()).unwrap();
        let options = stage.options().allow(|_| true).receive_on(given);
        let mut server = stage.try_server(&options).unwrap();
        assert!(would_block(&mut server));
        assert_eq!(server.stats().dropped(Dropped::Anonymous), 1);
        client.send_to(b"after", stage.socket()).unwrap();
        assert_eq!(next(&mut server).1, b"after");
    });
}

#[test]
fn another_descriptor_is_refused_and_the_error_says_what_it_is() {
    watched("another_descriptor_is_refused_and_the_error_says_what_it_is", || {
        let stage = Stage::new();
        let connected = || {
            let own = UnixDatagram::bind(stage.socket()).unwrap();
            own.connect(stage.at("peer")).unwrap();
            own
        };
        let _peer = stage.stranger("peer");
        let cases: [(&str, &dyn Fn() -> OwnedFd); 6] = [
            ("no socket (File)", &|| std::fs::File::create(stage.at("file")).unwrap().into()),
            ("no socket (Fifo)", &|| std::io::pipe().unwrap().0.into()),
            ("family Inet and type Datagram", &|| UdpSocket::bind("127.0.0.1:0").unwrap().into()),
            ("type Stream", &|| UnixListener::bind(stage.socket()).unwrap().into()),
            ("elsewhere", &|| UnixDatagram::bind(stage.at("elsewhere")).unwrap().into()),
            ("that is connected", &|| connected().into()),
        ];
        for (word, make) in cases {
            let _ = std::fs::remove_file(stage.socket());
            let refused = stage.try_server(&stage.options().receive_on(make())).unwrap_err();
            let ErrorKind::BadDescriptor { found, expected } = refused.kind() else { panic!("{refused}") };
            assert!(found.contains(word), "{word}: {found}");
            assert!(expected.contains("Datagram") && expected.contains("calc.sock"), "{expected}");
        }
        let a_name = plain_datagrams::Server::new_server_with(
            &"dgram:calc".parse().unwrap(),
            &stage.options().receive_on(UnixDatagram::unbound().unwrap()),
        );
        assert!(matches!(kind(a_name), ErrorKind::BadAddress { .. }));
    });
}
