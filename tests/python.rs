//! The Python client that was written from docs/PROTOCOL.md alone, against servers of ours and of strangers.
#![cfg(all(feature = "unix", feature = "fifo"))]
#![allow(clippy::unwrap_used)]

mod house;
mod page;

use std::{
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use conformance::watched;
use hobnob::{
    AnyServer, ErrorKind, IpcReceiver, IpcSender, IpcServer, Refusal, ServerOptions, StopHandle, serve,
};
use house::{House, complaint, parsed, said, skipped};
use nix::sys::signal::Signal;
use page::vectors;

/// Within the watchdog, unless there is no Python.
fn with_python(name: &'static str, test: impl FnOnce(&House)) {
    watched(name, || {
        let version = Command::new("python3").arg("--version").stdout(Stdio::null()).status();
        if version.is_ok_and(|status| status.success()) {
            test(&House::new());
        } else {
            skipped(&format!("{name}: there is no python3"));
        }
    });
}

fn python(house: &House, arguments: &[&str]) -> Command {
    script(house, "examples/python/hobnob_client.py", arguments)
}

fn script(house: &House, path: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.arg("-B").arg(format!("{}/{path}", env!("CARGO_MANIFEST_DIR")));
    house.inside(command, arguments)
}

fn run(house: &House, arguments: &[&str]) -> Output {
    python(house, arguments).output().unwrap()
}

fn addresses(house: &House) -> Vec<String> {
    let at = |scheme: &str| format!("{scheme}:{}", house.place("python.rendezvous").display());
    vec!["unix:calc".into(), "fifo:calc".into(), at("unix"), at("fifo")]
}

#[test]
fn it_converses_over_each_transport_by_name_and_at_a_path() {
    with_python("it_converses_over_each_transport_by_name_and_at_a_path", |house| {
        for address in addresses(house) {
            let mut server = house.serve(&address);
            assert_eq!(
                said(&run(house, &[&address, "one", "", "two words"])),
                "one\n\ntwo words\n",
                "{address}"
            );
            let bare = if address.contains('/') { &address } else { "calc" };
            let large = "0123456789abcdef".repeat(1 << 16);
            let mut client = python(house, &[bare]);
            let mut client =
                client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            client.stdin.take().unwrap().write_all(format!("{large}\nlast\n").as_bytes()).unwrap();
            let answers = said(&client.wait_with_output().unwrap());
            assert!(answers == format!("{large}\nlast\n"), "{bare}: {} bytes came back", answers.len());
            server.signal(Signal::SIGTERM);
            assert_eq!(server.ended(), (Some(0), None), "{address}");
            assert_eq!(house.left_over(), Vec::<PathBuf>::new(), "{address}");
            let nobody = complaint(&run(house, &[&address, "x"]));
            assert!(nobody.contains("no such server"), "{nobody}");
        }
    });
}

/// Serves one client in this process, whatever comes of it, and gives what the client said.
fn against(
    house: &House,
    address: &str,
    options: ServerOptions,
    arguments: &[&str],
    handle: fn(&mut hobnob::AnyConnection) -> hobnob::Result<()>,
) -> Output {
    let options = options.directory(house.names());
    let mut server = AnyServer::new_server_with(&parsed(address), &options).unwrap();
    let stop = StopHandle::new().unwrap();
    server.stop_with(&stop);
    thread::scope(|scope| {
        scope.spawn(|| serve(server, Duration::from_secs(20), handle).unwrap());
        let ended = run(house, &[&[address], arguments].concat());
        stop.stop();
        ended
    })
}

#[test]
fn it_says_why_it_was_refused() {
    with_python("it_says_why_it_was_refused", |house| {
        let new = ServerOptions::new;
        for address in addresses(house) {
            let refused = |options, arguments: &[&str]| {
                complaint(&against(house, &address, options, &[arguments, &["x"]].concat(), |_| Ok(())))
            };
            let schema = refused(new().schema(7), &["--schema", "8"]);
            assert!(schema.contains("another schema (3)") && schema.contains("16777216, 1, 7)"), "{schema}");
            let policy = refused(new().allow(|_| false), &[]);
            assert!(policy.contains("not admitted (5)"), "{policy}");
            let busy = refused(new().max_clients(0), &[]);
            assert!(busy.contains("busy (4)"), "{busy}");
        }
        let same = against(house, "unix:calc", new().schema(7), &["--schema", "7"], |_| Ok(()));
        assert_eq!(said(&same), "", "without standard input it has nothing to say");
    });
}

#[test]
fn it_hears_a_goodbye_and_knows_it_from_a_death() {
    with_python("it_hears_a_goodbye_and_knows_it_from_a_death", |house| {
        for address in addresses(house) {
            let with = |handle| against(house, &address, ServerOptions::new(), &["x"], handle);
            let goodbye = complaint(&with(|client| client.recv_borrowed().map(drop)));
            assert!(goodbye.contains("goodbye instead of an answer"), "{goodbye}");
            let twice = with(|client| {
                let info = client.recv_borrowed()?.unwrap_or_default().to_vec();
                client.send_many(&[&info, b"unasked"]).map(drop)
            });
            let told = String::from_utf8_lossy(&twice.stderr);
            assert!(twice.stdout == b"x\n" && told.contains("sent b'unasked' unasked"), "{twice:?}");
        }
        for (end, words) in [(0, "is gone"), (3, "inside a frame"), (9, "inside a frame")] {
            let died = stranger(house, |mut stream, nonce| {
                agree(&mut stream, nonce);
                // A socket closed with something unread tells of it otherwise than by its end.
                let mut asked = [0; 9];
                stream.read_exact(&mut asked).unwrap();
                stream.write_all(&vectors()["message"][..end]).unwrap();
            });
            assert!(died.contains("the server is gone") && died.contains(words), "{end}: {died}");
        }
    });
}

#[test]
fn it_keeps_its_deadline_and_the_servers_limit() {
    with_python("it_keeps_its_deadline_and_the_servers_limit", |house| {
        for address in addresses(house) {
            let silent = house.serve_here(&address);
            let late = complaint(&run(house, &[&address, "--timeout", "0.3", "x"]));
            assert!(late.contains("timed out"), "{late}");
            drop(silent);
            let options = ServerOptions::new().max_message(3);
            let large = complaint(&against(house, &address, options, &["four"], |client| {
                let heard = client.recv_borrowed().map(drop);
                assert_eq!(heard.unwrap_err().kind(), &ErrorKind::PeerGone, "not a byte was to come");
                Ok(())
            }));
            assert!(large.contains("a message of 4 bytes is over the server's limit of 3"), "{large}");
        }
    });
}

/// What it complains of when the server at a path is of a stranger's making. The hello has been read, and its nonce.
fn stranger(house: &House, reply: impl FnOnce(UnixStream, &[u8]) + Send) -> String {
    let path = house.place("stranger.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let ended = thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut hello = [0; 8 + 53];
            stream.read_exact(&mut hello).unwrap();
            reply(stream, &hello[8 + 37..]);
        });
        run(house, &[&format!("unix:{}", path.display()), "x"])
    });
    std::fs::remove_file(path).unwrap();
    complaint(&ended)
}

/// Yes, and the client's ready.
fn agree(stream: &mut UnixStream, nonce: &[u8]) {
    stream.write_all(&verdict("verdict-yes", nonce)).unwrap();
    let mut ready = [0; 24];
    stream.read_exact(&mut ready).unwrap();
    assert_eq!(ready[..], vectors()["ready"]);
}

/// To the client's end: one that is still to write must not be told of ours first.
fn hear_out(stream: &mut UnixStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

fn verdict(name: &str, nonce: &[u8]) -> Vec<u8> {
    let mut bytes = vectors().remove(name).unwrap();
    bytes[8 + 38..8 + 54].copy_from_slice(nonce);
    bytes
}

#[test]
fn it_is_strict_about_what_it_gets() {
    with_python("it_is_strict_about_what_it_gets", |house| {
        let says = |words: &str, bytes: &[u8]| {
            let told = stranger(house, |mut stream, _| {
                stream.write_all(bytes).unwrap();
                hear_out(&mut stream);
            });
            assert!(told.contains(words), "{words}: {told}");
        };
        says("another version (1); the server's terms are (b'hobnob', 2,", &vectors()["verdict-version-2"]);
        says("unknown (200)", &vectors()["verdict-reason-200"]);
        says("not admitted (5)", &vectors()["verdict-no-unread"]);
        says("answers another hello", &verdict("verdict-yes", &[9; 16]));
        says("no verdict", &vectors()["hello-unix"]);
        says("no verdict", &vectors()["message"]);
        for (name, bytes) in vectors().iter().filter(|(name, _)| name.starts_with("refused")) {
            says("no header, or over the limit", bytes);
            assert!(!name.is_empty());
        }
        for mangle in [8, 8 + 5] {
            let mut magic = verdict("verdict-yes", &[0; 16]);
            magic[mangle] ^= 1;
            says("no verdict", &magic);
        }
        let later = |bytes: &[u8]| {
            stranger(house, |mut stream, nonce| {
                agree(&mut stream, nonce);
                stream.write_all(bytes).unwrap();
                hear_out(&mut stream);
            })
        };
        for kind in 3..=9 {
            let told = later(&[0, 0, 0, 0, kind, 0, 0, 0]);
            assert!(told.contains(&format!("kind {kind} has no business here")), "{told}");
        }
        let large = later(&[1, 0, 0, 1, 1, 0, 0, 0]);
        assert!(large.contains("over the limit of 16777216"), "{large}");
    });
}

/// The refusals that the page says to answer by coming again.
#[test]
fn it_comes_again_where_the_page_says_so() {
    with_python("it_comes_again_where_the_page_says_so", |house| {
        for (reason, times, ends) in [
            (Refusal::StaleClientFile, 1, "welcome\n"),
            (Refusal::Crowded, 3, "welcome\n"),
            (Refusal::StaleClientFile, 2, "client file too old (6)"),
        ] {
            let path = house.place("again.sock");
            let listener = UnixListener::bind(&path).unwrap();
            let ended = thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..times {
                        let mut no = vectors().remove("verdict-no-unread").unwrap();
                        no[8 + 37] = reason.code();
                        listener.accept().unwrap().0.write_all(&no).unwrap();
                    }
                    if !ends.contains("welcome") {
                        return;
                    }
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut hello = [0; 8 + 53];
                    stream.read_exact(&mut hello).unwrap();
                    agree(&mut stream, &hello[8 + 37..]);
                    stream.write_all(b"\x07\0\0\0\x01\0\0\0welcome").unwrap();
                    stream.write_all(&vectors()["goodbye"]).unwrap();
                    hear_out(&mut stream);
                });
                run(house, &[&format!("unix:{}", path.display()), "x"])
            });
            std::fs::remove_file(path).unwrap();
            let told = if ended.status.success() { said(&ended) } else { complaint(&ended) };
            assert!(told.contains(ends), "{reason}, {times} times: {told}");
        }
    });
}

/// By a script that breaks one rule after the other, and has an honest client served after each.
#[test]
fn a_server_refuses_what_the_page_says_that_it_refuses() {
    with_python("a_server_refuses_what_the_page_says_that_it_refuses", |house| {
        for address in addresses(house) {
            let mut server = house.serve(&address);
            let hostile = |arguments: &[&str]| {
                script(house, "tests/python/hostile_client.py", arguments).output().unwrap()
            };
            let told = said(&hostile(&[&address]));
            assert!(told.lines().count() > 40, "{address}: {told}");
            if address == "unix:calc" {
                // It takes as long as a server waits for a hello: 5 s.
                assert_eq!(said(&hostile(&[&address, "silent"])), "silence: 10\n");
            }
            server.signal(Signal::SIGTERM);
            assert_eq!(server.ended(), (Some(0), None), "{address}");
            assert_eq!(house.left_over(), Vec::<PathBuf>::new(), "{address}");
        }
    });
}
