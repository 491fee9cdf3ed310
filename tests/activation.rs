//! Servers that a service manager starts: it makes the socket, passes it on, and is told when they serve.
#![cfg(all(feature = "activation", feature = "unix"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;

use std::{
    io::Write,
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
};

use conformance::watched;
use hobnob::{AnyConnection, ConnectOptions, Deadline, Error, ErrorKind, Seams, ServerOptions};
use house::{House, complaint, echoes, parsed};

/// A service manager: where it is told of readiness, and what it starts.
struct Manager {
    house: House,
    told: UnixDatagram,
}

impl Manager {
    fn new() -> Self {
        let house = House::new();
        let told = UnixDatagram::bind(house.place("told")).unwrap();
        told.set_nonblocking(true).unwrap();
        Self { house, told }
    }

    fn socket(&self) -> String {
        self.house.place("calc.sock").display().to_string()
    }

    fn address(&self) -> String {
        format!("unix:{}", self.socket())
    }

    /// The command that becomes the echo server, with these arguments for `activate`.
    fn start(&self, passing: &[&str]) -> Command {
        let server = self.house.command("echo_server", &[]);
        let server = server.get_program().to_str().unwrap().to_owned();
        let address = self.address();
        let arguments = [passing, &["--", &server, &address]].concat();
        let mut command = self.house.command("activate", &arguments);
        command.env("NOTIFY_SOCKET", self.house.place("told"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn serve(&self) -> Running {
        Running(self.start(&["--pass", &format!("stream:{}", self.socket())]).spawn().unwrap())
    }

    /// What it has been told by now.
    fn heard(&self) -> Option<String> {
        let mut room = [0; 100];
        let count = self.told.recv(&mut room).ok()?;
        Some(String::from_utf8_lossy(&room[..count]).into_owned())
    }
}

/// A server that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_serves_on_the_socket_that_it_was_passed_and_says_so() {
    watched("a_server_serves_on_the_socket_that_it_was_passed_and_says_so", || {
        let manager = Manager::new();
        let _server = manager.serve();
        manager.told.set_nonblocking(false).unwrap();
        assert_eq!(manager.heard().unwrap(), "READY=1\n");
        echoes(&mut manager.house.connect(&manager.address()), b"hello");
    });
}

#[test]
fn ready_is_said_once_a_client_can_connect_and_never_before() {
    watched("ready_is_said_once_a_client_can_connect_and_never_before", || {
        let manager = Manager::new();
        let mut command = manager.house.command("echo_server", &[&manager.address()]);
        command.env("NOTIFY_SOCKET", manager.house.place("told"));
        let first = Running(command.stdout(Stdio::null()).spawn().unwrap());
        manager.told.set_nonblocking(false).unwrap();
        assert_eq!(manager.heard().unwrap(), "READY=1\n");
        manager.told.set_nonblocking(true).unwrap();
        echoes(&mut manager.house.connect(&manager.address()), b"at once");
        // One that cannot have the name is never ready.
        assert!(
            complaint(&command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap())
                .contains("in use")
        );
        assert_eq!(manager.heard(), None);
        drop(first);
    });
}

#[test]
fn who_connected_before_the_server_ran_is_served() {
    watched("who_connected_before_the_server_ran_is_served", || {
        let manager = Manager::new();
        // The launcher waits in its own place until the client has connected.
        let gate = manager.house.place("gate");
        assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
        let server = manager.house.command("echo_server", &[]);
        let script = "read go <\"$1\"; shift; exec \"$@\"";
        let wait = ["--pass", &format!("stream:{}", manager.socket()), "--", "sh", "-c", script, "sh"];
        let program = server.get_program().to_str().unwrap();
        let address = manager.address();
        let arguments = [&wait[..], &[gate.to_str().unwrap(), program, &address]].concat();
        let mut launcher = manager.house.command("activate", &arguments);
        let _running = Running(launcher.stdout(Stdio::null()).spawn().unwrap());
        let (connected, has_connected) = mpsc::channel();
        let early = Seams::default().with_failpoints(Arc::new(Tells(Mutex::new(connected))));
        let options = ConnectOptions::new().wait_for_server(true).deadline(Deadline::Forever).seams(early);
        let early = thread::spawn(move || AnyConnection::connect_with(&parsed(&address), &options).unwrap());
        has_connected.recv().unwrap();
        std::fs::OpenOptions::new().write(true).open(&gate).unwrap().write_all(b"go\n").unwrap();
        echoes(&mut early.join().unwrap(), b"early");
        echoes(&mut manager.house.connect(&manager.address()), b"late");
    });
}

/// Tells when a client has connected, whoever may take it in.
struct Tells(Mutex<mpsc::Sender<()>>);

impl ipc_core::Failpoints for Tells {
    fn reach(&self, point: &'static str) -> std::io::Result<()> {
        if point == "unix.connected" {
            let _ = self.0.lock().unwrap().send(());
        }
        Ok(())
    }
}

#[test]
fn a_server_that_ends_leaves_the_socket_and_its_backlog_to_the_next_one() {
    watched("a_server_that_ends_leaves_the_socket_and_its_backlog_to_the_next_one", || {
        let manager = Manager::new();
        let listener = std::os::unix::net::UnixListener::bind(manager.socket()).unwrap();
        let options = || {
            let given = ServerOptions::new().directory(manager.house.names());
            given.listen_on(listener.try_clone().unwrap())
        };
        let serve = || hobnob::AnyServer::new_server_with(&parsed(&manager.address()), &options());
        let first = serve().unwrap();
        let waiting = std::thread::scope(|scope| {
            let client = scope.spawn(|| manager.house.connect(&manager.address()));
            // It is in the backlog once the listener is readable.
            wait_for(&listener);
            drop(first);
            assert!(Path::new(&manager.socket()).exists());
            let mut second = serve().unwrap();
            let mut served = hobnob::IpcServer::accept_client(&mut second).unwrap();
            let echo = scope.spawn(move || {
                let mut info = Vec::new();
                while hobnob::IpcReceiver::recv_info(&mut served, &mut info).unwrap() {
                    hobnob::IpcSender::send_info(&mut served, &info).unwrap();
                }
            });
            let mut client = client.join().unwrap();
            echoes(&mut client, b"to the second");
            hobnob::IpcSender::disconnect_from(&mut client).unwrap();
            echo.join().unwrap();
            client
        });
        drop(waiting);
    });
}

fn wait_for(listener: &std::os::unix::net::UnixListener) {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let ready = poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
    assert_eq!(ready, 1);
}

#[test]
fn another_descriptor_is_refused_and_the_error_says_what_it_is_and_what_was_expected() {
    watched("another_descriptor_is_refused_and_the_error_says_what_it_is_and_what_was_expected", || {
        for (kind, place, found) in [
            ("file", "elsewhere", "no socket (File)"),
            ("tcp", "", "family Inet and type Stream that listens"),
            ("datagram", "calc.sock", "family Unix and type Datagram"),
            ("bound", "calc.sock", "family Unix and type Stream"),
            ("stream", "elsewhere", "elsewhere that listens"),
        ] {
            let manager = Manager::new();
            let place = manager.house.place(place);
            let what = format!("{kind}:{}", place.display());
            let refused = complaint(&manager.start(&["--pass", &what]).output().unwrap());
            assert!(refused.contains(found), "{kind}: {refused}");
            let expected = format!(
                "expected a socket of family Unix and type Stream at {} that listens",
                manager.socket()
            );
            assert!(refused.contains(&expected), "{kind}: {refused}");
            assert_eq!(manager.heard(), None, "{kind}: it never was ready");
            assert!(place.exists(), "{kind}: it is left as it was");
        }
    });
}

#[test]
fn two_descriptors_are_one_too_many_for_a_server_that_wants_one() {
    watched("two_descriptors_are_one_too_many_for_a_server_that_wants_one", || {
        let manager = Manager::new();
        let (one, two) = (format!("stream:{}", manager.socket()), format!("stream:{}2", manager.socket()));
        let mut command = manager.start(&["--pass", &one, "--pass", &two]);
        let refused = complaint(&command.env("LISTEN_FDNAMES", "calc.socket:other").output().unwrap());
        assert!(
            refused.contains("2 that were passed: calc.socket, other; expected a single one"),
            "{refused}"
        );
    });
}

/// The socket is live, and not ours: as if it had not been passed, the server finds its path taken.
#[test]
fn what_was_passed_to_another_process_is_not_taken() {
    watched("what_was_passed_to_another_process_is_not_taken", || {
        let manager = Manager::new();
        let passing = ["--pid", "1", "--pass", &format!("stream:{}", manager.socket())];
        assert!(complaint(&manager.start(&passing).output().unwrap()).contains("in use"));
    });
}

#[test]
fn variables_that_make_no_sense_are_an_error_that_shows_them() {
    watched("variables_that_make_no_sense_are_an_error_that_shows_them", || {
        let house = House::new();
        let with = |pid: &str, count: &str| {
            // Whatever we have inherited ourselves.
            let script = "exec 3<&-; LISTEN_PID=${PID:-$$} exec \"$0\" unix:calc";
            let mut shell = house.inside(Command::new("sh"), &["-c", script]);
            let server = house.command("echo_server", &[]);
            shell.arg(server.get_program()).env("PID", pid).env("LISTEN_FDS", count);
            let refused = complaint(&shell.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap());
            let shown = format!("LISTEN_FDS={count:?}");
            assert!(
                refused.contains("bad descriptor") && refused.contains(&shown),
                "{pid} {count}: {refused}"
            );
            refused
        };
        for (pid, count) in [("x", "1"), ("", "many"), ("", "-1"), ("", "64"), ("", "4294967295")] {
            with(pid, count);
        }
        // By then the server has made a descriptor of this number for itself.
        assert!(with("", "1").contains("opened descriptor 3 itself"));
    });
}

#[test]
fn a_transport_without_sockets_at_paths_refuses_a_descriptor() {
    let options = || ServerOptions::new().listen_on(UnixDatagram::unbound().unwrap());
    for address in ["unix:calc", "fifo:calc", "fifo:/tmp/calc"] {
        if address.starts_with("fifo") && !hobnob::transports().any(|scheme| scheme == "fifo") {
            continue;
        }
        let refused: Error =
            hobnob::AnyServer::new_server_with(&parsed(address), &options()).map(drop).unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::BadAddress { .. }), "{address}: {refused}");
        assert!(refused.to_string().contains("descriptor that was given; expected"), "{address}: {refused}");
    }
}

#[test]
#[cfg(feature = "datagrams")]
fn a_datagram_server_is_started_on_its_socket_too() {
    watched("a_datagram_server_is_started_on_its_socket_too", || {
        let manager = Manager::new();
        let server = manager.house.command("echo_server", &[]);
        let address = format!("dgram:{}", manager.socket());
        let pass = format!("datagram:{}", manager.socket());
        let arguments =
            ["--pass", &pass, "--", server.get_program().to_str().unwrap(), "--wire", "raw", &address];
        let mut command = manager.house.command("activate", &arguments);
        command.env("NOTIFY_SOCKET", manager.house.place("told"));
        let _running = Running(command.stdout(Stdio::null()).spawn().unwrap());
        manager.told.set_nonblocking(false).unwrap();
        assert_eq!(manager.heard().unwrap(), "READY=1\n");
        let mut client = hobnob::datagrams::connect_to(&*address).unwrap();
        client.send_info(b"hello").unwrap();
        assert_eq!(client.recv_borrowed().unwrap(), b"hello");
    });
}
