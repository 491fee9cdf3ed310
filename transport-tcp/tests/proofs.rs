//! Who has not the key comes in nowhere, whatever it has heard; and whoever has it does.
#![allow(clippy::unwrap_used)]

mod hand;

use std::{io::Write, net::TcpStream, thread, time::Duration};

use conformance::{Stage, kind_of, watched};
use hand::{Exchange, Folder, claim, free_port, knock, knocked, read_answer, read_refusal, signed};
use ipc_core::{
    Deadline, ErrorKind, IpcConnection, IpcReceiver, IpcSender, IpcServer, PeerPid, Proof, Refusal,
    frame::{FrameKind, frame},
    hello::{Hello, Terms, VERSION, Verdict},
};
use nix::unistd::geteuid;
use transport_tcp::{Server, Tcp};

/// A server, a client that says `words` to it, and how that is refused; after which others still come in.
fn is_refused(stage: &Stage<Tcp>, server: &mut Server, client: impl FnOnce() -> TcpStream + Send) {
    let before = server.stats().refused(Refusal::BadKey);
    let told = thread::scope(|scope| {
        let told = scope.spawn(|| read_refusal(&mut client()));
        while !told.is_finished() {
            let accepted = server.accept_client_by(Deadline::Within(Duration::from_millis(5)));
            assert_eq!(kind_of(&accepted), Some(&ErrorKind::TimedOut), "it was let in");
        }
        told.join().unwrap()
    });
    assert_eq!(told, Some(Refusal::BadKey));
    assert_eq!(server.stats().refused(Refusal::BadKey), before + 1);
    let (mut client, mut served) = stage.pair(server);
    client.send_info(b"unharmed").unwrap();
    assert_eq!(served.recv_borrowed().unwrap(), Some(&b"unharmed"[..]));
}

fn terms() -> Terms {
    Terms { version: VERSION, scheme: "tcp".into(), limit: 1000, schema: None }
}

#[test]
fn who_has_the_key_comes_in_as_its_owner_and_tells_its_pid() {
    watched("who_has_the_key_comes_in_as_its_owner_and_tells_its_pid", || {
        let stage = Stage::<Tcp>::new();
        let mut server = stage.server_with(|options| options.allow(|_| true));
        let folder = Folder::of(&stage);
        for (is_owner, uid) in [(true, Some(geteuid().as_raw())), (false, None)] {
            let served = thread::scope(|scope| {
                scope.spawn(|| {
                    let (mut stream, exchange, said) = knocked(folder.address(), [1; 16]);
                    let right = signed(&folder.key(), "server", exchange, claim(std::process::id(), true));
                    assert_eq!(said[..], right[..], "the server has shown that it has the key");
                    stream
                        .write_all(&signed(&folder.key(), "client", exchange, claim(77, is_owner)))
                        .unwrap();
                    let hello = Hello { terms: terms(), nonce: [2; 16] };
                    stream.write_all(&frame(FrameKind::Hello, &hello.encode())).unwrap();
                    let verdict = read_verdict(&mut stream);
                    stream.write_all(&frame(FrameKind::Ready, &verdict.nonce)).unwrap();
                });
                server.accept_client().unwrap()
            });
            let peer = served.peer();
            assert_eq!((peer.uid, peer.pid, peer.proof), (uid, PeerPid::Claimed(77), Proof::Key));
        }
    });
}

fn read_verdict(stream: &mut TcpStream) -> Verdict {
    use std::io::Read;
    let mut head = [0; 8];
    stream.read_exact(&mut head).unwrap();
    let mut body = vec![0; head[0].into()];
    stream.read_exact(&mut body).unwrap();
    Verdict::decode(&body).unwrap()
}

#[test]
fn a_wrong_proof_is_counted_and_told() {
    watched("a_wrong_proof_is_counted_and_told", || {
        let stage = Stage::<Tcp>::new();
        let mut server = stage.server();
        let folder = Folder::of(&stage);
        let at = folder.address();
        let key = folder.key();
        let says = |words: &dyn Fn(Exchange, [u8; 40]) -> Vec<u8>| {
            let (mut stream, exchange, said) = knocked(at, [1; 16]);
            stream.write_all(&words(exchange, said)).unwrap();
            stream
        };
        let right = |exchange| signed(&key, "client", exchange, claim(1, true));
        type Words<'a> = &'a (dyn Fn(Exchange, [u8; 40]) -> Vec<u8> + Sync);
        let wrong: [(&str, Words<'_>); 8] = [
            ("zeros", &|_, _| vec![0; 40]),
            ("another key", &|exchange, _| signed(&[7; 32], "client", exchange, claim(1, true))),
            ("the server's own words", &|_, said| said.to_vec()),
            ("as the server", &|exchange, _| signed(&key, "server", exchange, claim(1, true))),
            ("another port", &|exchange, _| right(Exchange { port: 1, ..exchange })),
            ("another nonce of ours", &|exchange, _| right(Exchange { client: [9; 16], ..exchange })),
            ("another nonce of the server's", &|exchange, _| right(Exchange { server: [9; 16], ..exchange })),
            ("another claim", &|exchange, _| [&claim(2, true)[..], &right(exchange)[8..]].concat()),
        ];
        for (what, words) in wrong {
            println!("{what}");
            is_refused(&stage, &mut server, || says(words));
        }
        for bit in [64, 200, 319] {
            is_refused(&stage, &mut server, || {
                says(&|exchange, _| {
                    let mut proof = right(exchange);
                    proof[bit / 8] ^= 1 << (bit % 8);
                    proof
                })
            });
        }
    });
}

#[test]
fn what_was_heard_once_is_of_no_use_again() {
    watched("what_was_heard_once_is_of_no_use_again", || {
        let stage = Stage::<Tcp>::new();
        let mut server = stage.server_with(|options| options.allow(|_| true));
        let folder = Folder::of(&stage);
        let at = folder.address();
        let heard = thread::scope(|scope| {
            let client = scope.spawn(|| {
                let (mut stream, exchange, _) = knocked(at, [1; 16]);
                let proof = signed(&folder.key(), "client", exchange, claim(1, true));
                let hello = frame(FrameKind::Hello, &Hello { terms: terms(), nonce: [2; 16] }.encode());
                stream.write_all(&[&proof[..], &hello].concat()).unwrap();
                let verdict = read_verdict(&mut stream);
                stream.write_all(&frame(FrameKind::Ready, &verdict.nonce)).unwrap();
                [&proof[..], &hello].concat()
            });
            server.accept_client().unwrap();
            client.join().unwrap()
        });
        is_refused(&stage, &mut server, || {
            let (mut stream, ..) = knocked(at, [1; 16]);
            stream.write_all(&heard).unwrap();
            stream
        });
    });
}

#[test]
fn who_does_not_knock_is_told_at_once() {
    watched("who_does_not_knock_is_told_at_once", || {
        let stage = Stage::<Tcp>::new();
        let mut server = stage.server();
        let at = Folder::of(&stage).address();
        let hello = frame(FrameKind::Hello, &Hello { terms: terms(), nonce: [2; 16] }.encode());
        for words in [&b"GET / HTTP/1.0\r\n\r\n"[..], b"x", &hello, b"hobnobK2", &[0; 24]] {
            is_refused(&stage, &mut server, || {
                let mut stream = TcpStream::connect(at).unwrap();
                stream.write_all(words).unwrap();
                stream
            });
        }
    });
}

#[test]
fn a_knock_and_a_proof_that_come_byte_by_byte_are_as_good() {
    watched("a_knock_and_a_proof_that_come_byte_by_byte_are_as_good", || {
        let stage = Stage::<Tcp>::new();
        let mut server = stage.server();
        let folder = Folder::of(&stage);
        let at = folder.address();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(at).unwrap();
                stream.set_nodelay(true).unwrap();
                let dribble = |words: &[u8], stream: &mut TcpStream| {
                    words.iter().for_each(|byte| stream.write_all(&[*byte]).unwrap());
                };
                dribble(&knock([1; 16]), &mut stream);
                let (nonce, _) = read_answer(&mut stream);
                let exchange = Exchange { port: at.port(), client: [1; 16], server: nonce };
                dribble(&signed(&folder.key(), "client", exchange, claim(1, true)), &mut stream);
                let hello = Hello { terms: terms(), nonce: [2; 16] };
                dribble(&frame(FrameKind::Hello, &hello.encode()), &mut stream);
                let verdict = read_verdict(&mut stream);
                dribble(&frame(FrameKind::Ready, &verdict.nonce), &mut stream);
            });
            server.accept_client_by(Deadline::Forever).unwrap();
        });
    });
}

#[test]
fn each_handshake_has_nonces_of_its_own() {
    watched("each_handshake_has_nonces_of_its_own", || {
        let stage = Stage::<Tcp>::new();
        let mut server = stage.server();
        let at = Folder::of(&stage).address();
        let nonces = stage.refused(&mut server, || [(); 20].map(|()| knocked(at, [1; 16]).1.server));
        let apart: std::collections::HashSet<_> = nonces.iter().collect();
        assert_eq!(apart.len(), 20);
        // And so has each client.
        let impostor = free_port();
        Folder::of(&stage).lead_to(impostor.local_addr().unwrap());
        let knocks = thread::scope(|scope| {
            let clients: Vec<_> = (0..5).map(|_| scope.spawn(|| stage.connect().map(drop))).collect();
            let knocks: std::collections::HashSet<_> = (0..5)
                .map(|_| {
                    use std::io::Read;
                    let mut knock = [0; 24];
                    impostor.accept().unwrap().0.read_exact(&mut knock).unwrap();
                    knock
                })
                .collect();
            clients.into_iter().for_each(|client| {
                assert!(matches!(kind_of(&client.join().unwrap()), Some(ErrorKind::PeerGone)));
            });
            knocks
        });
        assert_eq!(knocks.len(), 5);
    });
}
