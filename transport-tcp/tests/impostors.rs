//! Who listens where the server did, and has not its key, is believed in nothing but a refusal.
#![allow(clippy::unwrap_used)]

mod hand;

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
};

use conformance::{Stage, kind_of, watched};
use hand::{Exchange, Folder, claim, free_port, knocked, signed};
use ipc_core::{
    ErrorKind, IpcServer, Refusal,
    frame::{FrameKind, frame, header},
    hello::{Terms, VERSION, Verdict},
};
use transport_tcp::Tcp;

/// What a client makes of somebody who answers its knock with `words`.
fn meets(words: impl FnOnce(&mut TcpStream, [u8; 16], u16) -> Vec<u8> + Send) -> ipc_core::Result<()> {
    let stage = Stage::<Tcp>::new();
    let _server = stage.server();
    let impostor = free_port();
    Folder::of(&stage).lead_to(impostor.local_addr().unwrap());
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = impostor.accept().unwrap();
            let mut knock = [0; 24];
            stream.read_exact(&mut knock).unwrap();
            let port = impostor.local_addr().unwrap().port();
            let words = words(&mut stream, knock[8..].try_into().unwrap(), port);
            let _ = stream.write_all(&words);
            let mut more = Vec::new();
            let _ = stream.read_to_end(&mut more);
            assert!(more.is_empty(), "a stranger was told more than a nonce");
        });
        stage.connect().map(drop)
    })
}

fn is_denied(met: &ipc_core::Result<()>, what: &str) {
    let Err(error) = met else { panic!("{what} was believed") };
    assert!(matches!(error.kind(), ErrorKind::Denied { .. }), "{what}: {error}");
    assert!(error.to_string().contains("does not have the server's key"), "{what}: {error}");
}

#[test]
fn a_server_without_the_key_is_denied() {
    watched("a_server_without_the_key_is_denied", || {
        let answer = |signed: &[u8]| [&hand::MAGIC[..], &[3; 16], signed].concat();
        is_denied(&meets(|_, _, _| answer(&[0; 40])), "zeros");
        is_denied(
            &meets(|_, client, port| {
                let exchange = Exchange { port, client, server: [3; 16] };
                answer(&signed(&[8; 32], "server", exchange, claim(1, true)))
            }),
            "another key",
        );
    });
}

/// It has the very server at hand, at another port, and passes on what that says.
#[test]
fn the_servers_words_are_of_no_use_at_another_port() {
    watched("the_servers_words_are_of_no_use_at_another_port", || {
        let stage = Stage::<Tcp>::new();
        let mut server = stage.server();
        let folder = Folder::of(&stage);
        let (real, impostor) = (folder.address(), free_port());
        folder.lead_to(impostor.local_addr().unwrap());
        let met = stage.refused(&mut server, || {
            thread::scope(|scope| {
                scope.spawn(|| {
                    let (mut stream, _) = impostor.accept().unwrap();
                    let mut knock = [0; 24];
                    stream.read_exact(&mut knock).unwrap();
                    let (_, exchange, said) = knocked(real, knock[8..].try_into().unwrap());
                    stream.write_all(&[&hand::MAGIC[..], &exchange.server, &said].concat()).unwrap();
                    let mut more = Vec::new();
                    let _ = stream.read_to_end(&mut more);
                    assert!(more.is_empty(), "a stranger was given a proof");
                });
                stage.connect().map(drop)
            })
        });
        is_denied(&met, "a relay");
        assert_eq!(server.stats().ready, 0);
    });
}

#[test]
fn what_has_the_key_and_another_part_is_denied() {
    watched("what_has_the_key_and_another_part_is_denied", || {
        let stage = Stage::<Tcp>::new();
        let _server = stage.server();
        let folder = Folder::of(&stage);
        for (role, is_owner) in [("client", true), ("server", false)] {
            let impostor = free_port();
            let at = impostor.local_addr().unwrap();
            folder.lead_to(at);
            let met = thread::scope(|scope| {
                scope.spawn(|| {
                    let (mut stream, _) = impostor.accept().unwrap();
                    let mut knock = [0; 24];
                    stream.read_exact(&mut knock).unwrap();
                    let client = knock[8..].try_into().unwrap();
                    let exchange = Exchange { port: at.port(), client, server: [3; 16] };
                    let said = signed(&folder.key(), role, exchange, claim(1, is_owner));
                    stream.write_all(&[&hand::MAGIC[..], &[3; 16], &said].concat()).unwrap();
                    let _ = stream.read_to_end(&mut Vec::new());
                });
                stage.connect().map(drop)
            });
            is_denied(&met, role);
        }
    });
}

fn verdict(refusal: Option<Refusal>) -> Vec<u8> {
    let terms = Terms { version: VERSION, scheme: "tcp".into(), limit: 1000, schema: None };
    frame(FrameKind::Verdict, &Verdict { terms, refusal, echo: [0; 16], nonce: [0; 16] }.encode())
}

#[test]
fn a_stranger_may_say_no_and_not_yes() {
    watched("a_stranger_may_say_no_and_not_yes", || {
        let no = meets(|_, _, _| verdict(Some(Refusal::Stopping)));
        assert_eq!(kind_of(&no), Some(&ErrorKind::Refused { reason: Refusal::Stopping }));
        let yes = meets(|_, _, _| verdict(None));
        assert!(matches!(kind_of(&yes), Some(ErrorKind::Protocol { .. })), "{yes:?}");
    });
}

#[test]
fn garbage_for_an_answer_is_told_as_that() {
    watched("garbage_for_an_answer_is_told_as_that", || {
        let garbage: [Vec<u8>; 5] = [
            b"HTTP/1.0 400 Bad Request\r\n\r\n".to_vec(),
            vec![0xff; 300],
            header(FrameKind::Verdict, u32::MAX).to_vec(),
            header(FrameKind::Verdict, 3).into_iter().chain([1, 2, 3]).collect(),
            frame(FrameKind::Data, &[1; 100]),
        ];
        for words in garbage {
            let met = meets(|_, _, _| words.clone());
            assert!(matches!(kind_of(&met), Some(ErrorKind::Protocol { .. })), "{words:?}: {met:?}");
        }
    });
}

#[test]
fn a_stranger_that_hangs_up_or_stays_silent_is_noticed() {
    watched("a_stranger_that_hangs_up_or_stays_silent_is_noticed", || {
        for words in [&b""[..], b"hobnobK1", &[&hand::MAGIC[..], &[0; 55]].concat()] {
            let met = meets(|stream, _, _| {
                stream.write_all(words).unwrap();
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                Vec::new()
            });
            assert_eq!(kind_of(&met), Some(&ErrorKind::PeerGone), "{words:?}");
        }
        let stage = Stage::<Tcp>::new();
        let _server = stage.server();
        let silent = free_port();
        Folder::of(&stage).lead_to(silent.local_addr().unwrap());
        let brief = stage.client_options().deadline(std::time::Duration::from_millis(30));
        let met = transport_tcp::Connection::connect_with(&stage.address, &brief);
        assert_eq!(kind_of(&met), Some(&ErrorKind::TimedOut));
    });
}
