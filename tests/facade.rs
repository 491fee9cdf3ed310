//! What the facade adds: the transport is chosen at run time, by the address and by the server's record.
#![cfg(feature = "_transport")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod stage;

use conformance::{kind_of, watched};
use hobnob::{ErrorKind, IpcConnection, IpcReceiver, IpcSender, IpcServer, Proof};
use stage::Stage;

#[test]
fn a_bare_name_follows_the_servers_record() {
    watched("a_bare_name_follows_the_servers_record", || {
        for scheme in hobnob::transports() {
            let stage = Stage::new();
            let mut server = stage.server(&stage.over(scheme)).unwrap();
            let (mut client, mut served) = stage.pair(&mut server, &stage.name);
            let proof = match scheme {
                "fifo" => Proof::FileOwner,
                "inproc" => Proof::SameProcess,
                "tcp" => Proof::Key,
                _ => Proof::Kernel,
            };
            assert_eq!((client.peer().proof, served.peer().proof), (proof, proof), "{scheme}");
            client.send_info(scheme.as_bytes()).unwrap();
            assert_eq!(served.recv_borrowed().unwrap(), Some(scheme.as_bytes()));
        }
    });
}

#[test]
fn a_server_with_a_bare_name_takes_the_first_transport() {
    watched("a_server_with_a_bare_name_takes_the_first_transport", || {
        let stage = Stage::new();
        let mut server = stage.server(&stage.name).unwrap();
        let first = hobnob::transports().next().unwrap();
        assert_eq!(server.address(), stage.over(first));
        let _ = stage.pair(&mut server, &stage.over(first));
    });
}

#[test]
fn a_transport_that_is_not_compiled_in_is_a_bad_address_that_names_the_features() {
    watched("a_transport_that_is_not_compiled_in_is_a_bad_address_that_names_the_features", || {
        let stage = Stage::new();
        let absent = ["unix", "seqpacket", "dgram", "fifo", "inproc", "tcp"]
            .into_iter()
            .filter(|one| hobnob::transports().all(|it| it != *one));
        for scheme in absent {
            let (server, client) = (stage.server(&stage.over(scheme)), stage.connect(&stage.over(scheme)));
            for kind in [kind_of(&server), kind_of(&client)] {
                let Some(ErrorKind::BadAddress { why }) = kind else { panic!("{scheme}: {kind:?}") };
                assert!(
                    why.contains(scheme)
                        && why.contains("features: unix, fifo, seqpacket, dgram, inproc, tcp"),
                    "{why}"
                );
                assert!(hobnob::transports().all(|there| why.contains(there)), "{why}");
            }
        }
    });
}

#[test]
#[cfg(all(feature = "unix", feature = "fifo"))]
fn another_scheme_than_the_servers_is_wrong_transport() {
    watched("another_scheme_than_the_servers_is_wrong_transport", || {
        for (server, client) in [("unix", "fifo"), ("fifo", "unix")] {
            let stage = Stage::new();
            let _server = stage.server(&stage.over(server)).unwrap();
            let expected = ErrorKind::WrongTransport { server: server.into(), client: client.into() };
            assert_eq!(kind_of(&stage.connect(&stage.over(client))), Some(&expected));
        }
    });
}

/// The server is a program that was built with more features than this one.
#[test]
#[cfg(feature = "_processes")]
fn a_record_of_a_transport_that_is_not_compiled_in_is_wrong_transport() {
    use std::{fs, os::unix::fs::DirBuilderExt};
    watched("a_record_of_a_transport_that_is_not_compiled_in_is_wrong_transport", || {
        let stage = Stage::new();
        let folder = stage.names().join(&stage.name);
        fs::DirBuilder::new().mode(0o700).recursive(true).create(&folder).unwrap();
        let pid = std::process::id();
        fs::write(
            folder.join("record"),
            format!("hobnob=1\ntransport=shm\npid={pid}\nuid=0\nsince=1800000000\n"),
        )
        .unwrap();
        let compiled_in = hobnob::transports().collect::<Vec<_>>().join(", ");
        let expected = ErrorKind::WrongTransport { server: "shm".into(), client: compiled_in };
        assert_eq!(kind_of(&stage.connect(&stage.name)), Some(&expected));
    });
}

#[test]
fn a_bare_name_that_nobody_serves_says_where_was_looked() {
    watched("a_bare_name_that_nobody_serves_says_where_was_looked", || {
        let stage = Stage::new();
        let nobody = stage.connect(&stage.name).err().unwrap().to_string();
        assert!(nobody.contains(&stage.name) && nobody.contains("no such server"), "{nobody}");
        let kernel = hobnob::transports().any(|scheme| scheme != "inproc");
        assert!(!kernel || nobody.contains(stage.names().to_str().unwrap()), "{nobody}");
    });
}
