//! Clients and servers that never heard of hobnob: plain sockets of the standard library at one end.
#![cfg(feature = "unix")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::mpsc,
    thread,
};

use conformance::{kind_of, watched};
use hobnob::{
    AnyConnection, AnyServer, ConnectOptions, ErrorKind, EventHandler, EventOptions, IpcReceiver, IpcSender,
    IpcServer, Left, Reply, Result, ServerOptions, Wire, serve_events,
};
use house::{House, Program, complaint, parsed, said};
use nix::sys::signal::Signal;

const LINES: Wire = Wire::Delimited(b'\n');

/// The server is a program of its own.
fn serve(house: &House, wire: &str) -> Program {
    let mut command = house.command("echo_server", &["--wire", wire, &at(house)]);
    let mut server = Program::start(&mut command);
    server.wait_for("listening on");
    server
}

fn socket(house: &House) -> PathBuf {
    house.place("docode.sock")
}

fn at(house: &House) -> String {
    format!("unix:{}", socket(house).display())
}

/// The server is here, and admits whoever comes.
fn server_here(house: &House, wire: Wire) -> AnyServer {
    let options = ServerOptions::new().directory(house.names()).wire(wire).allow(|_| true);
    AnyServer::new_server_with(&parsed(&at(house)), &options).unwrap()
}

fn connect(house: &House, wire: Wire) -> Result<AnyConnection> {
    let options = ConnectOptions::new().directory(house.names()).wire(wire);
    AnyConnection::connect_with(&parsed(&at(house)), &options)
}

/// What comes back for this, to the end.
fn echoed(house: &House, sent: &[u8]) -> Vec<u8> {
    let mut client = UnixStream::connect(socket(house)).unwrap();
    let mut got = Vec::new();
    thread::scope(|scope| {
        let mut sender = client.try_clone().unwrap();
        scope.spawn(move || {
            sender.write_all(sent).unwrap();
            sender.shutdown(Shutdown::Write).unwrap();
        });
        client.read_to_end(&mut got).unwrap();
    });
    got
}

#[test]
fn a_client_that_never_heard_of_hobnob_gets_its_own_bytes_back() {
    watched("a_client_that_never_heard_of_hobnob_gets_its_own_bytes_back", || {
        let long: Vec<u8> = (0..1_000_000u32).map(|i| (i % 251) as u8).collect();
        for (wire, sent) in [
            ("raw", &b"Hello, docode!"[..]),
            ("raw", &long),
            ("line", b"one\n\ntwo\r\nthree\n"),
            ("delimited:0", b"one\0two\nlines\0\0"),
            ("fixed:3", b"onetwosix"),
        ] {
            let house = House::new();
            let _server = serve(&house, wire);
            for _ in 0..3 {
                assert!(echoed(&house, sent) == sent, "{wire}");
            }
        }
    });
}

/// Nobody knows who comes there, so the server says that anybody may.
#[test]
#[cfg(feature = "tcp")]
fn a_port_is_for_strangers_too() {
    use std::net::TcpStream;
    watched("a_port_is_for_strangers_too", || {
        for (wire, sent) in
            [("raw", &b"Hello, docode!"[..]), ("line", b"one\n\ntwo\n"), ("fixed:3", b"onetwo")]
        {
            let house = House::new();
            let arguments = ["--wire", wire, "--allow", "any", "tcp:127.0.0.1:0"];
            let mut server = Program::start(&mut house.command("echo_server", &arguments));
            let said = server.lines().next().unwrap();
            let mut client = TcpStream::connect(said.strip_prefix("listening on tcp:").unwrap()).unwrap();
            client.write_all(sent).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let mut got = Vec::new();
            client.read_to_end(&mut got).unwrap();
            assert!(got == sent, "{wire}");
        }
    });
}

/// It has no client file, and there is no place for one.
#[test]
fn the_socket_of_a_name_is_one_for_strangers_too() {
    watched("the_socket_of_a_name_is_one_for_strangers_too", || {
        let house = House::new();
        let options = ServerOptions::new().directory(house.names()).wire(LINES).allow(|_| true);
        let mut server = AnyServer::new_server_with(&parsed("unix:calc"), &options).unwrap();
        let mut client = UnixStream::connect(house.names().join("calc/sock")).unwrap();
        client.write_all(b"hello\n").unwrap();
        assert_eq!(server.accept_client().unwrap().recv_borrowed().unwrap(), Some(&b"hello"[..]));
        assert!(!house.names().join("calc/clients").exists());
    });
}

/// What is no whole message is nobody's.
#[test]
fn half_a_line_is_not_echoed_and_the_next_client_is_served() {
    watched("half_a_line_is_not_echoed_and_the_next_client_is_served", || {
        let house = House::new();
        let mut server = serve(&house, "line");
        assert_eq!(echoed(&house, b"whole\nhalf"), b"whole\n");
        assert_eq!(echoed(&house, b"next\n"), b"next\n");
        let waiting = UnixStream::connect(socket(&house)).unwrap();
        server.signal(Signal::SIGTERM);
        assert_eq!(
            (&waiting).read(&mut [0; 9]).unwrap(),
            0,
            "the end of the server is the end of the stream"
        );
        assert_eq!(server.ended(), (Some(0), None));
        assert!(!socket(&house).exists());
    });
}

#[test]
fn the_echo_programs_converse_on_every_wire() {
    watched("the_echo_programs_converse_on_every_wire", || {
        for wire in ["native", "raw", "line", "fixed:5"] {
            let house = House::new();
            let _server = serve(&house, wire);
            let client =
                |arguments: &[&str]| house.client(&[&["--wire", wire, &at(&house)], arguments].concat(), "");
            assert_eq!(said(&client(&["hello", "again"])), "hello\nagain\n", "{wire}");
            let size = if wire == "fixed:5" { "5" } else { "100000" };
            // Bytes that run through all values are no line.
            if wire != "line" {
                said(&client(&["--count", "20", "--size", size]));
            }
            let unfit = match wire {
                "line" => "a\nb",
                "fixed:5" => "six bytes",
                _ => continue,
            };
            assert!(complaint(&client(&[unfit])).contains("send_info"), "{wire}");
        }
    });
}

#[test]
fn a_server_that_never_heard_of_hobnob_can_be_talked_to() {
    watched("a_server_that_never_heard_of_hobnob_can_be_talked_to", || {
        let house = House::new();
        let listener = UnixListener::bind(socket(&house)).unwrap();
        let server = thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
            while let Some(Ok(line)) = lines.next() {
                (&client).write_all(format!("{}\n", line.to_uppercase()).as_bytes()).unwrap();
            }
        });
        let spoke = house.client(&["--wire", "line", &at(&house), "hello", "", "again"], "");
        assert_eq!(said(&spoke), "HELLO\n\nAGAIN\n");
        server.join().unwrap();
    });
}

/// It closes with bytes of ours unread: what was sent to it is lost, and that is no goodbye.
#[test]
fn a_client_that_resets_the_connection_has_not_left_in_order() {
    watched("a_client_that_resets_the_connection_has_not_left_in_order", || {
        for (words, kind) in [("whole\n", ErrorKind::PeerGone), ("whole\nhalf", ErrorKind::Truncated)] {
            let house = House::new();
            let mut server = server_here(&house, LINES);
            let mut client = UnixStream::connect(socket(&house)).unwrap();
            let mut served = server.accept_client().unwrap();
            served.send_info(b"never read").unwrap();
            client.write_all(words.as_bytes()).unwrap();
            drop(client);
            assert_eq!(served.recv_borrowed().unwrap(), Some(&b"whole"[..]));
            assert_eq!(kind_of(&served.recv_borrowed()), Some(&kind));
            drop(served);
            let mut client = UnixStream::connect(socket(&house)).unwrap();
            let mut served = server.accept_client().unwrap();
            client.write_all(b"next\n").unwrap();
            assert_eq!(served.recv_borrowed().unwrap(), Some(&b"next"[..]));
        }
    });
}

#[test]
fn a_client_in_hobnob_sees_a_server_that_ends_as_one_that_has_left() {
    watched("a_client_in_hobnob_sees_a_server_that_ends_as_one_that_has_left", || {
        let house = House::new();
        let listener = UnixListener::bind(socket(&house)).unwrap();
        for (words, ends_well) in [("bye\n", true), ("bye\nb", false)] {
            let mut client = connect(&house, LINES).unwrap();
            let (mut served, _) = listener.accept().unwrap();
            served.write_all(words.as_bytes()).unwrap();
            drop(served);
            assert_eq!(client.recv_borrowed().unwrap(), Some(&b"bye"[..]));
            let ended = client.recv_borrowed();
            if ends_well {
                assert_eq!(ended.unwrap(), None);
            } else {
                assert_eq!(kind_of(&ended), Some(&ErrorKind::Truncated));
            }
        }
    });
}

/// Answers each message, and tells why its clients have left.
struct Answering(mpsc::Sender<String>);

impl EventHandler for Answering {
    type Client = ();

    fn joined(&self, _: &mut Reply<'_>) -> Result<()> {
        Ok(())
    }

    fn message(&self, (): &mut (), info: &[u8], reply: &mut Reply<'_>) -> Result<()> {
        reply.send(info)
    }

    fn left(&self, (): (), why: Left) {
        let _ = self.0.send(match why {
            Left::Failed(error) => format!("{:?}", error.kind()),
            why => format!("{why:?}"),
        });
    }
}

#[test]
fn a_loop_serves_foreign_clients_on_every_wire() {
    watched("a_loop_serves_foreign_clients_on_every_wire", || {
        let long = vec![b'x'; 300_000];
        let fixed = "fixed:100000".parse().unwrap();
        let cases: [(Wire, &[u8], &[u8]); 5] = [
            (Wire::Raw, &long, b""),
            (LINES, b"one\n\ntwo\n", b"half"),
            (LINES, &[&long[..], b"\nshort\n"].concat(), &long),
            (fixed, &long, &long[..70_000]),
            ("fixed:3".parse().unwrap(), b"onetwo", b"3"),
        ];
        for (wire, whole, half) in cases {
            for workers in [0, 1] {
                let house = House::new();
                let mut server = server_here(&house, wire);
                let stop = server.stop_handle().unwrap();
                let (told, left) = mpsc::channel();
                let options = EventOptions::new().threads(1).workers(workers);
                let serving = thread::spawn(move || serve_events(server, options, Answering(told)));
                assert!(echoed(&house, whole) == whole, "{wire}");
                assert_eq!(left.recv().unwrap(), "Goodbye", "{wire}");
                if !half.is_empty() {
                    assert!(echoed(&house, &[whole, half].concat()) == whole, "{wire}");
                    assert_eq!(left.recv().unwrap(), "Truncated", "{wire}");
                }
                let mut waiting = UnixStream::connect(socket(&house)).unwrap();
                waiting.write_all(whole).unwrap();
                let mut answer = vec![0; whole.len()];
                waiting.read_exact(&mut answer).unwrap();
                assert!(answer == whole, "{wire}");
                stop.stop();
                assert_eq!(waiting.read(&mut [0]).unwrap(), 0, "{wire}: a drain is the end");
                serving.join().unwrap().unwrap();
            }
        }
    });
}

/// What a client's queue cannot carry would otherwise take along what comes after it.
#[test]
fn a_mailbox_refuses_what_its_wire_cannot_carry() {
    watched("a_mailbox_refuses_what_its_wire_cannot_carry", || {
        let house = House::new();
        let mut server = server_here(&house, LINES);
        let stop = server.stop_handle().unwrap();
        let serving = thread::spawn(move || {
            serve_events(server, EventOptions::new().threads(1), |_: &[u8], reply: &mut Reply<'_>| {
                let kind = kind_of(&reply.mailbox().send(b"two\nlines")).cloned();
                assert_eq!(kind, Some(ErrorKind::DelimiterInside { delimiter: b'\n', at: 3 }));
                assert_eq!(
                    kind_of(&reply.send(b"\n")).cloned(),
                    Some(ErrorKind::DelimiterInside { delimiter: b'\n', at: 0 })
                );
                reply.mailbox().send(b"one line")
            })
        });
        assert_eq!(echoed(&house, b"go\n"), b"one line\n");
        stop.stop();
        serving.join().unwrap().unwrap();
    });
}

/// The lines of one client do not wait for the end of another's.
#[test]
fn a_loop_hears_others_while_two_hundred_never_finish_a_line() {
    watched("a_loop_hears_others_while_two_hundred_never_finish_a_line", || {
        let house = House::new();
        let mut server = server_here(&house, LINES);
        let stop = server.stop_handle().unwrap();
        let (told, _left) = mpsc::channel();
        let options = EventOptions::new().threads(1);
        let serving = thread::spawn(move || serve_events(server, options, Answering(told)));
        let unfinished: Vec<_> = (0..200)
            .map(|_| {
                let mut client = UnixStream::connect(socket(&house)).unwrap();
                client.write_all(b"a line without").unwrap();
                client
            })
            .collect();
        assert_eq!(echoed(&house, b"honest\n"), b"honest\n");
        let mut one = &unfinished[99];
        one.write_all(b" an end\n").unwrap();
        let mut line = String::new();
        BufReader::new(one).read_line(&mut line).unwrap();
        assert_eq!(line, "a line without an end\n");
        stop.stop();
        assert_eq!(serving.join().unwrap().unwrap().clients, 201);
    });
}

#[test]
#[cfg(feature = "fifo")]
fn a_transport_that_cannot_carry_a_foreign_wire_says_so_and_leaves_nothing() {
    watched("a_transport_that_cannot_carry_a_foreign_wire_says_so_and_leaves_nothing", || {
        let house = House::new();
        let refused =
            complaint(&house.command("echo_server", &["--wire", "raw", "fifo:calc"]).output().unwrap());
        assert!(
            refused.contains("fifo cannot carry the wire raw") && refused.contains("expected"),
            "{refused}"
        );
        assert!(!house.names().exists());
        let _server = house.serve("fifo:calc");
        for address in ["fifo:calc", "calc"] {
            let refused = complaint(&house.client(&["--wire", "line", address, "x"], ""));
            assert!(refused.contains("fifo cannot carry the wire line"), "{refused}");
        }
    });
}
