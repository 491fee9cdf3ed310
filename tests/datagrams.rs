//! Plain datagrams between processes: foreign programs, names beside those of connections, kills, and what a datagram
//! costs.
#![cfg(feature = "datagrams")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;
#[cfg(all(target_os = "linux", not(hobnob_portable)))]
mod strace;

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use conformance::watched;
use hobnob::{
    ErrorKind, Result,
    datagrams::{Client, ClientOptions, Server, ServerOptions},
};
use house::{House, Program, parsed, said, skipped};
use nix::sys::signal::Signal;

fn serve(house: &House, address: &str) -> Program {
    let mut server = Program::start(&mut house.command("echo_server", &["--wire", "raw", address]));
    server.wait_for("listening on");
    server
}

fn connect(house: &House, address: &str) -> Result<Client> {
    let options = ClientOptions::new().directory(house.names()).deadline(Duration::from_secs(100));
    Client::connect_with(&parsed(address), &options)
}

fn echoes(house: &House, address: &str) {
    let mut client = connect(house, address).unwrap();
    for info in [&b"hello"[..], b"", &[7; 100_000]] {
        client.send_info(info).unwrap();
        assert_eq!(client.recv_borrowed().unwrap(), info);
    }
}

fn addresses(house: &House) -> [String; 2] {
    ["dgram:calc".to_owned(), format!("dgram:{}", house.place("calc.sock").display())]
}

#[test]
fn a_killed_server_leaves_nothing_in_the_way_of_the_next_one() {
    watched("a_killed_server_leaves_nothing_in_the_way_of_the_next_one", || {
        let house = House::new();
        for address in addresses(&house) {
            for _ in 0..3 {
                let mut server = serve(&house, &address);
                echoes(&house, &address);
                server.signal(Signal::SIGKILL);
                server.ended();
                let nobody = connect(&house, &address).unwrap_err();
                assert!(matches!(nobody.kind(), ErrorKind::NoSuchServer { .. }), "{nobody}");
            }
            let mut server = serve(&house, &address);
            echoes(&house, &address);
            server.signal(Signal::SIGTERM);
            assert_eq!(server.ended(), (Some(0), None));
        }
        assert_eq!(house.left_over(), Vec::<PathBuf>::new());
        assert!(!house.place("calc.sock").exists());
    });
}

/// A client of either kind is told at once, rather than that its hello is taken for a message, or its message for one.
#[test]
#[cfg(any(feature = "unix", feature = "fifo"))]
fn datagrams_and_connections_exclude_each_other_from_a_name_and_say_so() {
    watched("datagrams_and_connections_exclude_each_other_from_a_name_and_say_so", || {
        let house = House::new();
        let new_server = || {
            let options = ServerOptions::new().directory(house.names());
            Server::new_server_with(&parsed("dgram:calc"), &options)
        };
        let server = new_server().unwrap();
        let options = hobnob::ConnectOptions::new().directory(house.names());
        let refused = hobnob::AnyConnection::connect_with(&parsed("calc"), &options).map(drop).unwrap_err();
        assert!(
            matches!(refused.kind(), ErrorKind::WrongTransport { server, .. } if server == "datagrams"),
            "{refused}"
        );
        drop(server);
        let scheme = hobnob::transports().find(|scheme| *scheme != "inproc").unwrap();
        let _other = house.serve_here(&format!("{scheme}:calc"));
        assert!(matches!(new_server().unwrap_err().kind(), ErrorKind::NameInUse { holder: Some(_), .. }));
        let refused = connect(&house, "dgram:calc").unwrap_err();
        assert!(
            matches!(refused.kind(), ErrorKind::WrongTransport { server, .. } if server == scheme),
            "{refused}"
        );
    });
}

const PYTHON: &str = "
import socket, sys
own, server = sys.argv[1:]
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
    s.bind(own)
    for message in b'hello', b'', bytes(range(256)) * 256:
        s.sendto(message, server)
        answer, who = s.recvfrom(1 << 20)
        assert answer == message and who == server, (answer[:99], who)
print('echoed')
";

#[test]
fn python_is_echoed_and_sees_the_answer_come_from_where_it_asked() {
    watched("python_is_echoed_and_sees_the_answer_come_from_where_it_asked", || {
        let house = House::new();
        let address = &addresses(&house)[1];
        let _server = serve(&house, address);
        let mut python = Command::new("python3");
        python.args(["-c", PYTHON]).arg(house.place("own")).arg(house.place("calc.sock"));
        match python.output() {
            Ok(ended) => assert_eq!(said(&ended), "echoed\n"),
            Err(_) => skipped("python_is_echoed_...: python3 is not installed"),
        }
    });
}

/// It takes no answer from any path but the one that it was told.
#[test]
fn socat_is_echoed() {
    watched("socat_is_echoed", || {
        let house = House::new();
        let address = &addresses(&house)[1];
        let _server = serve(&house, address);
        let at = |name: &str| house.place(name).display().to_string();
        let there = format!("UNIX-SENDTO:{},bind={}", at("calc.sock"), at("own"));
        let mut socat = Command::new("socat");
        let piped = socat.args(["-", &there]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let Ok(mut socat) = piped.spawn() else {
            return skipped("socat_is_echoed: socat is not installed");
        };
        use std::io::{BufRead, BufReader, Write};
        let mut input = socat.stdin.take().unwrap();
        input.write_all(b"hello\n").unwrap();
        let mut line = String::new();
        BufReader::new(socat.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "hello\n");
        socat.kill().unwrap();
        socat.wait().unwrap();
    });
}

/// As strace sees it, with a server that waits for ever.
#[cfg(all(target_os = "linux", not(hobnob_portable)))]
mod cost {
    use std::{collections::BTreeMap, env, fs, io::Read, os::unix::process::parent_id, path::Path};

    use hobnob::{Deadline, WaitStrategy};

    use super::*;

    const ROLE: &str = "HOBNOB_TEST_ROLE";
    const PLACE: &str = "HOBNOB_TEST_PLACE";
    const WARM_UP: usize = 20;
    const TRIPS: usize = 500;
    const NAME: &str = "cost::a_datagram_is_one_recvmsg_and_one_sendto_and_nothing_else";

    #[test]
    fn a_datagram_is_one_recvmsg_and_one_sendto_and_nothing_else() {
        match env::var(ROLE).as_deref() {
            Ok("server") => return answer(),
            Ok(_) => return ask(),
            Err(_) => {}
        }
        if !strace::can_trace() {
            return strace::skipped(NAME);
        }
        watched(NAME, || {
            let dir = tempfile::tempdir().unwrap();
            let mut server = traced("server", dir.path());
            server.wait_for("listening");
            let mut client = traced("client", dir.path());
            for (side, program) in [("client", &mut client), ("server", &mut server)] {
                let mut said = String::new();
                program.child.stdout.take().map(|mut out| out.read_to_string(&mut said));
                assert_eq!(program.ended(), (Some(0), None), "{side}");
                let calls = strace::count(&fs::read_to_string(dir.path().join(side)).unwrap());
                let once = BTreeMap::from([("recvmsg".to_owned(), TRIPS), ("sendto".to_owned(), TRIPS)]);
                assert_eq!(calls, once, "{side}: in {TRIPS} round trips");
            }
        });
    }

    fn traced(role: &str, dir: &Path) -> Program {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o"]).arg(dir.join(role)).arg(env::current_exe().unwrap());
        command.args([NAME, "--exact", "--nocapture", "--test-threads=1"]);
        Program::start(command.env(ROLE, role).env(PLACE, dir))
    }

    fn address() -> String {
        format!("dgram:{}/calc.sock", env::var(PLACE).unwrap())
    }

    fn answer() {
        let names = Path::new(&env::var(PLACE).unwrap()).join("names");
        let options = ServerOptions::new().directory(names).wait(WaitStrategy::Sleep).rate(1_000_000, 100);
        let mut server = Server::new_server_with(&parsed(&address()), &options).unwrap();
        println!("listening");
        let mut info = Vec::new();
        for trip in 0..=WARM_UP + TRIPS {
            mark(trip);
            let sender = server.recv_info(&mut info).unwrap();
            server.send_info(&sender, &info).unwrap();
        }
    }

    fn ask() {
        let options = ClientOptions::new().deadline(Deadline::Forever).wait(WaitStrategy::Sleep);
        let mut client = Client::connect_with(&parsed(&address()), &options).unwrap();
        for trip in 0..=WARM_UP + TRIPS {
            mark(trip);
            client.send_info(&[trip as u8; 64]).unwrap();
            assert_eq!(client.recv_borrowed().unwrap(), [trip as u8; 64]);
        }
    }

    /// The window that is counted lies between two calls of getppid(2), which nothing else makes.
    fn mark(trip: usize) {
        if trip == WARM_UP || trip == WARM_UP + TRIPS {
            let _ = parent_id();
        }
    }
}
