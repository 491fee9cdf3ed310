//! What `serve_events` costs: system calls for a request, memory for a client that is idle; and thousands at once.
#![cfg(all(target_os = "linux", not(hobnob_portable), any(feature = "unix", feature = "fifo")))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod strace;

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, BufRead, BufReader, Read},
    os::unix::process::parent_id,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use conformance::watched;
use hobnob::{
    AnyConnection, AnyServer, ConnectOptions, Deadline, EventOptions, IpcReceiver, IpcSender, IpcServer,
    Reply, Result, ServerOptions,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

const ADDRESS: &str = "HOBNOB_TEST_ADDRESS";
const WARM_UP: usize = 20;
const ROUNDS: usize = 200;
/// Few, and yet one wait tells of several.
const CLIENTS: usize = 16;

#[test]
#[cfg(feature = "unix")]
fn a_request_over_unix_is_one_recvfrom_one_sendto_and_a_share_of_a_wait() {
    let name = "a_request_over_unix_is_one_recvfrom_one_sendto_and_a_share_of_a_wait";
    each(name, "unix:many", &["sendto"], "recvfrom");
}

#[test]
#[cfg(feature = "tcp")]
fn a_request_over_tcp_is_one_recvfrom_one_sendto_and_a_share_of_a_wait() {
    let name = "a_request_over_tcp_is_one_recvfrom_one_sendto_and_a_share_of_a_wait";
    each(name, "tcp:many", &["sendto"], "recvfrom");
}

#[test]
#[cfg(feature = "fifo")]
fn a_request_over_fifo_is_one_read_one_write_and_a_share_of_a_wait() {
    let name = "a_request_over_fifo_is_one_read_one_write_and_a_share_of_a_wait";
    each(name, "fifo:many", &["pwritev2", "writev"], "read");
}

fn each(name: &'static str, address: &str, sends: &[&str], receive: &str) {
    watched(name, || {
        if env::var(ADDRESS).is_ok() {
            return serve_in_child();
        }
        if !strace::can_trace() {
            return strace::skipped(name);
        }
        let (dir, log) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o"]).arg(log.path());
        let server = Server::start(Some(command), name, address, dir.path());
        let mut clients = server.clients(address, CLIENTS);
        for round in 0..WARM_UP + ROUNDS {
            if round == WARM_UP {
                trip(&mut clients[0], b"mark");
            }
            ask_all(&mut clients, 64);
        }
        trip(&mut clients[0], b"mark");
        drop(clients);
        server.end();
        let mut calls = strace::count(&fs::read_to_string(log.path()).unwrap());
        println!("{address}, {} requests: {calls:?}", ROUNDS * CLIENTS);
        // Beside those counted, the answer to the first mark, and the second mark itself.
        let most = ROUNDS * CLIENTS + 1;
        let sent: usize = sends.iter().filter_map(|send| calls.remove(*send)).sum();
        let received = calls.remove(receive).unwrap_or_default();
        // A read that came short may be a fault there: it is followed by one that finds nothing.
        let least = if cfg!(feature = "faulty") { received.clamp(most, 2 * most) } else { most };
        assert_eq!((sent, received), (most, least), "sends and receives");
        let waits = calls.remove("epoll_wait").unwrap_or_default();
        assert!(waits <= most / 2, "{waits} waits");
        assert_eq!(calls, BTreeMap::new(), "other calls");
    });
}

/// So much for an idle client of a server, whatever it has said before.
const IDLE: u64 = 4096;

#[test]
#[allow(non_snake_case, reason = "units are written as they are")]
fn an_idle_client_costs_a_server_less_than_4_KiB() {
    let name = "an_idle_client_costs_a_server_less_than_4_KiB";
    watched(name, || {
        if env::var(ADDRESS).is_ok() {
            return serve_in_child();
        }
        let _turn = turn();
        assert!(descriptors() > 4096, "more descriptors are needed");
        for (scheme, size) in schemes().flat_map(|scheme| [(scheme, 64), (scheme, 3000), (scheme, 100_000)]) {
            let (address, dir) = (format!("{scheme}:many"), tempfile::tempdir().unwrap());
            let server = Server::start(None, name, &address, dir.path());
            // What the first ones cost is the server's own.
            let mut first = server.clients(&address, 100);
            ask_all(&mut first, size);
            let before = server.resident();
            let mut clients = server.clients(&address, 1000);
            for some in clients.chunks_mut(10) {
                ask_all(some, size);
            }
            let each = (server.resident() - before) / clients.len() as u64;
            println!("{address}, {size} B: {each} B for each idle client");
            assert!(each < IDLE, "{address}, {size} B: {each} B");
            drop((first, clients));
            server.end();
        }
    });
}

/// All of them connect before the first one is answered; nobody is lost, and the bound is kept.
#[test]
fn thousands_that_come_at_once_are_all_served() {
    let name = "thousands_that_come_at_once_are_all_served";
    watched(name, || {
        if env::var(ADDRESS).is_ok() {
            return serve_in_child();
        }
        let (_turn, most) = (turn(), descriptors() / 4);
        let many = env::var("HOBNOB_MANY").map_or(2000, |many| many.parse().unwrap());
        let count = many.min(usize::try_from(most).unwrap());
        for scheme in schemes() {
            let (address, dir) = (format!("{scheme}:many"), tempfile::tempdir().unwrap());
            let server = Server::start(None, name, &address, dir.path());
            let mut clients: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> =
                    (0..8).map(|_| scope.spawn(|| server.clients(&address, count / 8))).collect();
                threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
            });
            (0..3).for_each(|_| ask_all(&mut clients, 64));
            drop(clients);
            server.end();
        }
    });
}

/// As many as can be had.
fn descriptors() -> u64 {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    hard
}

/// Two of these at once might need more descriptors than there are.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn schemes() -> impl Iterator<Item = &'static str> {
    hobnob::transports().filter(|scheme| *scheme != "inproc")
}

fn echo(info: &[u8], reply: &mut Reply<'_>) -> Result<()> {
    if info == b"mark" {
        let _ = parent_id();
    }
    reply.send(info)
}

/// Until its standard input ends.
fn serve_in_child() {
    let options = ServerOptions::new().max_clients(10_000);
    let mut server =
        AnyServer::new_server_with(&env::var(ADDRESS).unwrap().parse().unwrap(), &options).unwrap();
    let stop = server.stop_handle().unwrap();
    std::thread::spawn(move || {
        let _ = io::stdin().read_to_string(&mut String::new());
        stop.stop();
    });
    println!("listening");
    let served = hobnob::serve_events(server, EventOptions::new(), echo).unwrap();
    assert_eq!(served.abandoned, 0);
}

/// All ask before the first one looks for its answer.
fn ask_all(clients: &mut [AnyConnection], size: usize) {
    let info = vec![7; size];
    clients.iter_mut().for_each(|client| client.send_info(&info).unwrap());
    clients.iter_mut().for_each(|client| assert!(client.recv_borrowed().unwrap() == Some(&info[..])));
}

fn trip(client: &mut AnyConnection, info: &[u8]) {
    client.send_info(info).unwrap();
    assert_eq!(client.recv_borrowed().unwrap(), Some(info));
}

/// A server in a process of its own.
struct Server {
    child: Child,
    dir: PathBuf,
}

impl Server {
    /// The test itself, in another role: behind this command, or alone.
    fn start(before: Option<Command>, name: &str, address: &str, dir: &Path) -> Self {
        let (dir, test) = (dir.join("names"), env::current_exe().unwrap());
        let mut command = match before {
            Some(mut command) => {
                command.arg(test);
                command
            }
            None => Command::new(test),
        };
        command.args([name, "--exact", "--nocapture", "--test-threads=1"]);
        command.env(ADDRESS, address).env(hobnob::VARIABLE, &dir);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.as_mut().unwrap()).lines().map_while(std::result::Result::ok);
        assert!({ said }.any(|line| line.contains("listening")), "the server did not start");
        Self { child, dir }
    }

    fn clients(&self, address: &str, count: usize) -> Vec<AnyConnection> {
        let options = ConnectOptions::new().directory(&self.dir).deadline(Deadline::Forever);
        let connect = || AnyConnection::connect_with(&address.parse().unwrap(), &options).unwrap();
        (0..count).map(|_| connect()).collect()
    }

    /// How much of its memory is in use, in bytes.
    fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.child.stdout.as_mut().unwrap().read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
