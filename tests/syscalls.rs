//! In steady state a message costs one system call to send and one to receive, and nothing else; a batch of small
//! ones costs hardly more than one: as strace sees it. Both sides wait asleep, for ever and without a `StopHandle`; that is what lets a transport sleep in its own
//! call.
#![cfg(all(target_os = "linux", not(hobnob_portable), feature = "_processes"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod strace;

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::parent_id,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use conformance::watched;
use hobnob::{
    Address, AnyConnection, AnyServer, ConnectOptions, IpcConnection, IpcReceiver, IpcSender, IpcServer,
    ServerOptions, WaitStrategy, Wire,
};
use strace::{can_trace, count, skipped};

const ROLE: &str = "HOBNOB_TEST_ROLE";
const ADDRESS: &str = "HOBNOB_TEST_ADDRESS";
const WIRE: &str = "HOBNOB_TEST_WIRE";
/// Enough for a FIFO half to have slept a few times: only then does it open its second description.
const WARM_UP: usize = 1000;
const TRIPS: usize = 1000;
/// Says that messages go in batches of so many, each answered by one message.
const BATCH: &str = "HOBNOB_TEST_BATCH";
#[cfg(any(feature = "unix", feature = "seqpacket", feature = "fifo"))]
const TOGETHER: usize = 100;

#[test]
#[cfg(feature = "unix")]
fn a_message_over_unix_is_one_sendto_and_one_recvfrom() {
    each("a_message_over_unix_is_one_sendto_and_one_recvfrom", "unix:calc", &["sendto"], "recvfrom");
}

#[test]
#[cfg(feature = "seqpacket")]
fn a_message_over_seqpacket_is_one_sendto_and_one_recvfrom() {
    let name = "a_message_over_seqpacket_is_one_sendto_and_one_recvfrom";
    each(name, "seqpacket:calc", &["sendto"], "recvfrom");
}

#[test]
#[cfg(feature = "fifo")]
fn a_message_over_fifo_is_one_write_and_one_read() {
    each("a_message_over_fifo_is_one_write_and_one_read", "fifo:calc", &["pwritev2", "writev"], "read");
}

#[test]
#[cfg(feature = "tcp")]
fn a_message_over_tcp_is_one_sendto_and_one_recvfrom() {
    each("a_message_over_tcp_is_one_sendto_and_one_recvfrom", "tcp:calc", &["sendto"], "recvfrom");
}

#[test]
#[cfg(feature = "unix")]
fn a_message_on_a_raw_wire_is_one_sendto_and_one_recvfrom() {
    let name = "a_message_on_a_raw_wire_is_one_sendto_and_one_recvfrom";
    each_on(name, Way { address: "unix:calc", wire: "raw", batch: 1 }, &["sendto"], "recvfrom");
}

#[test]
#[cfg(feature = "unix")]
fn a_line_is_one_sendto_and_one_recvfrom() {
    let name = "a_line_is_one_sendto_and_one_recvfrom";
    each_on(name, Way { address: "unix:calc", wire: "line", batch: 1 }, &["sendto"], "recvfrom");
}

#[test]
#[cfg(feature = "unix")]
fn a_hundred_small_messages_over_unix_are_one_sendmsg_and_at_most_two_recvfrom() {
    let name = "a_hundred_small_messages_over_unix_are_one_sendmsg_and_at_most_two_recvfrom";
    batches(name, "unix:calc", &["sendto"], "recvfrom");
}

#[test]
#[cfg(feature = "fifo")]
fn a_hundred_small_messages_over_fifo_are_one_write_and_at_most_two_reads() {
    let name = "a_hundred_small_messages_over_fifo_are_one_write_and_at_most_two_reads";
    batches(name, "fifo:calc", &["pwritev2", "writev"], "read");
}

/// Two descriptors are watched: a message is waited for before it is received. One in so many is looked for first.
#[test]
#[cfg(feature = "dgram")]
fn a_message_over_dgram_is_one_sendto_one_poll_and_one_recvfrom() {
    let name = "a_message_over_dgram_is_one_sendto_one_poll_and_one_recvfrom";
    check(name, Way { address: "dgram:calc", wire: "native", batch: 1 }, |side, mut calls| {
        assert_eq!(take(&mut calls, &["sendto"]), TRIPS, "{side}: sends in {TRIPS} round trips");
        let waits = take(&mut calls, &["poll"]);
        assert!(waits <= TRIPS, "{side}: {waits} waits in {TRIPS} round trips");
        let received = take(&mut calls, &["recvfrom"]);
        assert!(
            (TRIPS..=TRIPS + TRIPS / 20).contains(&received),
            "{side}: {received} receives in {TRIPS} round trips"
        );
        calls
    });
}

#[test]
#[cfg(feature = "seqpacket")]
fn a_hundred_small_messages_over_seqpacket_are_one_sendto_and_one_receive() {
    let name = "a_hundred_small_messages_over_seqpacket_are_one_sendto_and_one_receive";
    check(name, Way { address: "seqpacket:calc", wire: "native", batch: TOGETHER }, |side, mut calls| {
        let sent = take(&mut calls, &["sendto"]);
        // Into a room for a few of them, or with the room behind it.
        let received: usize = ["recvfrom", "recvmsg"].iter().filter_map(|name| calls.remove(*name)).sum();
        assert_eq!((sent, received), (TRIPS, TRIPS), "{side}: sends and receives in {TRIPS} round trips");
        calls
    });
}

/// What both sides are told.
#[derive(Clone, Copy)]
struct Way<'a> {
    address: &'a str,
    wire: &'a str,
    batch: usize,
}

/// Every message goes alone and is answered.
#[cfg(any(feature = "unix", feature = "seqpacket", feature = "fifo", feature = "tcp"))]
fn each(name: &'static str, address: &str, sends: &[&str], receive: &str) {
    each_on(name, Way { address, wire: "native", batch: 1 }, sends, receive);
}

#[cfg(any(feature = "unix", feature = "seqpacket", feature = "fifo", feature = "tcp"))]
fn each_on(name: &'static str, way: Way<'_>, sends: &[&str], receive: &str) {
    check(name, way, |side, mut calls| {
        let sent = take(&mut calls, sends);
        let received = take(&mut calls, &[receive]);
        assert_eq!((sent, received), (TRIPS, TRIPS), "{side}: sends and receives in {TRIPS} round trips");
        calls
    });
}

/// A hundred messages go together and are answered by one.
#[cfg(any(feature = "unix", feature = "fifo"))]
fn batches(name: &'static str, address: &str, sends: &[&str], receive: &str) {
    check(name, Way { address, wire: "native", batch: TOGETHER }, |side, mut calls| {
        assert_eq!(take(&mut calls, sends), TRIPS, "{side}: sends in {TRIPS} round trips");
        let received = take(&mut calls, &[receive]);
        let most = if side == "server" { 2 * TRIPS } else { TRIPS };
        assert!((TRIPS..=most).contains(&received), "{side}: {received} receives in {TRIPS} round trips");
        calls
    });
}

/// The calls of these names; there is only one of them.
fn take(calls: &mut BTreeMap<String, usize>, names: &[&str]) -> usize {
    let found = names.iter().find_map(|name| Some((*name, calls.remove(*name)?)));
    let Some((name, count)) = found else { panic!("none of {names:?} in {calls:?}") };
    if name == "writev" {
        // A kernel before 6.18 has no RWF_NOSIGNAL: SIGPIPE is held back around each write.
        calls.retain(|call, _| !call.starts_with("rt_sig"));
    }
    count
}

/// `expect` looks at the calls of one side and gives back those that it knows nothing of.
fn check(
    name: &'static str,
    way: Way<'_>,
    expect: impl Fn(&str, BTreeMap<String, usize>) -> BTreeMap<String, usize>,
) {
    watched(name, || match env::var(ROLE).as_deref() {
        Ok("server") => serve(),
        Ok(_) => converse(),
        Err(_) if !can_trace() => skipped(name),
        Err(_) => {
            for (side, calls) in trace_both(name, way) {
                println!("{}, {side}: {calls:?}", way.address);
                assert_eq!(expect(side, calls), BTreeMap::new(), "{}, {side}: other calls", way.address);
            }
        }
    });
}

fn serve() {
    let options = ServerOptions::new().wire(wire()).allow(|_| true);
    let mut server = AnyServer::new_server_with(&address(), &options).unwrap();
    println!("listening on {}", server.address());
    let mut client = server.accept_client().unwrap();
    client.set_wait(WaitStrategy::Sleep);
    let mut info = Vec::new();
    for trip in 0.. {
        mark(trip);
        for _ in 0..batch() {
            if !client.recv_info(&mut info).unwrap() {
                return;
            }
        }
        client.send_info(&info).unwrap();
    }
}

fn converse() {
    let options = ConnectOptions::new().wire(wire());
    let mut server = AnyConnection::connect_with(&address(), &options).unwrap();
    assert!(server.peer().uid.is_some());
    server.set_wait(WaitStrategy::Sleep);
    let batch = batch();
    for trip in 0..=WARM_UP + TRIPS {
        mark(trip);
        // No delimiter among them.
        let info = [b'a' + (trip % 26) as u8; 64];
        if batch == 1 {
            server.send_info(&info).unwrap();
        } else {
            (0..batch).for_each(|_| server.feed_info(&info).unwrap());
            server.flush_info().unwrap();
        }
        assert_eq!(server.recv_borrowed().unwrap(), Some(&info[..]));
    }
    server.disconnect_from().unwrap();
}

fn address() -> Address {
    env::var(ADDRESS).unwrap().parse().unwrap()
}

fn wire() -> Wire {
    env::var(WIRE).unwrap().parse().unwrap()
}

fn batch() -> usize {
    env::var(BATCH).unwrap().parse().unwrap()
}

/// The window that is counted lies between two calls of getppid(2), which nothing else makes.
fn mark(trip: usize) {
    if trip == WARM_UP || trip == WARM_UP + TRIPS {
        let _ = parent_id();
    }
}

/// Both sides in processes of their own, each under strace: the calls that each made in its window.
fn trace_both(name: &str, way: Way<'_>) -> [(&'static str, BTreeMap<String, usize>); 2] {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Traced::start(name, way, "server", dir.path());
    let said = BufReader::new(server.child.stdout.as_mut().unwrap()).lines().map_while(Result::ok);
    assert!({ said }.any(|line| line.contains("listening on")), "the server did not start");
    let mut client = Traced::start(name, way, "client", dir.path());
    [("client", client.calls()), ("server", server.calls())]
}

struct Traced {
    child: Child,
    log: PathBuf,
}

impl Traced {
    fn start(name: &str, way: Way<'_>, role: &str, dir: &Path) -> Self {
        let log = dir.join(role);
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o"]).arg(&log).arg(env::current_exe().unwrap());
        command.args([name, "--exact", "--nocapture", "--test-threads=1"]);
        command
            .env(ROLE, role)
            .env(ADDRESS, way.address)
            .env(WIRE, way.wire)
            .env(BATCH, way.batch.to_string())
            .env(hobnob::VARIABLE, dir.join("names"));
        Self { child: command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap(), log }
    }

    /// Lets it end, and counts.
    fn calls(&mut self) -> BTreeMap<String, usize> {
        let mut said = String::new();
        self.child.stdout.as_mut().unwrap().read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        count(&fs::read_to_string(&self.log).unwrap())
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
