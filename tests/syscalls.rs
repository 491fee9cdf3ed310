//! In steady state a message costs one system call to send and one to receive, and nothing else: as strace sees
//! it. Both sides wait asleep, for ever and without a `StopHandle`; that is what lets a transport sleep in its own
//! call.
#![cfg(all(target_os = "linux", any(feature = "unix", feature = "fifo")))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::parent_id,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use conformance::watched;
use hobnob::{IpcConnection, IpcReceiver, IpcSender, IpcServer, WaitStrategy};

const ROLE: &str = "HOBNOB_TEST_ROLE";
const ADDRESS: &str = "HOBNOB_TEST_ADDRESS";
const WARM_UP: usize = 10;
const TRIPS: usize = 1000;

#[test]
#[cfg(feature = "unix")]
fn a_message_over_unix_is_one_sendmsg_and_one_recvfrom() {
    check("a_message_over_unix_is_one_sendmsg_and_one_recvfrom", "unix:calc", &["sendmsg"], "recvfrom");
}

#[test]
#[cfg(feature = "fifo")]
fn a_message_over_fifo_is_one_write_and_one_read() {
    check("a_message_over_fifo_is_one_write_and_one_read", "fifo:calc", &["pwritev2", "writev"], "read");
}

fn check(name: &'static str, address: &str, sends: &[&str], receive: &str) {
    watched(name, || match env::var(ROLE).as_deref() {
        Ok("server") => serve(),
        Ok(_) => converse(),
        Err(_) if !can_trace() => skipped(name),
        Err(_) => {
            for (side, calls) in trace_both(name, address) {
                println!("{address}, {side}: {calls:?}");
                let send = sends.iter().find(|send| calls.contains_key(**send)).expect("no send was seen");
                let mut expected = BTreeMap::from([((*send).to_owned(), TRIPS), (receive.to_owned(), TRIPS)]);
                if *send == "writev" {
                    // A kernel before 6.18 has no RWF_NOSIGNAL: SIGPIPE is held back around each write.
                    expected.extend(calls.clone().into_iter().filter(|(call, _)| call.starts_with("rt_sig")));
                }
                assert_eq!(calls, expected, "{address}, {side}: system calls in {TRIPS} round trips");
            }
        }
    });
}

fn serve() {
    let mut server = hobnob::new_server(&env::var(ADDRESS).unwrap()).unwrap();
    println!("listening on {}", server.address());
    let mut client = server.accept_client().unwrap();
    client.set_wait(WaitStrategy::Sleep);
    let mut info = Vec::new();
    for trip in 0.. {
        mark(trip);
        if !client.recv_info(&mut info).unwrap() {
            break;
        }
        client.send_info(&info).unwrap();
    }
}

fn converse() {
    let mut server = hobnob::connect_to(&env::var(ADDRESS).unwrap()).unwrap();
    assert!(server.peer().uid.is_some());
    server.set_wait(WaitStrategy::Sleep);
    for trip in 0..=WARM_UP + TRIPS {
        mark(trip);
        server.send_info(&[trip as u8; 64]).unwrap();
        assert_eq!(server.recv_borrowed().unwrap(), Some(&[trip as u8; 64][..]));
    }
    server.disconnect_from().unwrap();
}

/// The window that is counted lies between two calls of getppid(2), which nothing else makes.
fn mark(trip: usize) {
    if trip == WARM_UP || trip == WARM_UP + TRIPS {
        let _ = parent_id();
    }
}

fn can_trace() -> bool {
    let tried = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// Past the test harness, which keeps what a passing test prints.
fn skipped(name: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {name}: strace is not installed or may not trace here");
}

/// Both sides in processes of their own, each under strace: the calls that each made in its window.
fn trace_both(name: &str, address: &str) -> [(&'static str, BTreeMap<String, usize>); 2] {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Traced::start(name, address, "server", dir.path());
    let said = BufReader::new(server.child.stdout.as_mut().unwrap()).lines().map_while(Result::ok);
    assert!({ said }.any(|line| line.contains("listening on")), "the server did not start");
    let mut client = Traced::start(name, address, "client", dir.path());
    [("client", client.calls()), ("server", server.calls())]
}

struct Traced {
    child: Child,
    log: PathBuf,
}

impl Traced {
    fn start(name: &str, address: &str, role: &str, dir: &Path) -> Self {
        let log = dir.join(role);
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o"]).arg(&log).arg(env::current_exe().unwrap());
        command.args([name, "--exact", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, role).env(ADDRESS, address).env(hobnob::VARIABLE, dir.join("names"));
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

/// What the thread that set the two marks did between them, by the names of the calls.
fn count(log: &str) -> BTreeMap<String, usize> {
    let line = |line: &str| -> Option<(u32, String)> {
        let (thread, event) = line.split_once(' ')?;
        // The end of a call that was interrupted by another thread's line has no name before a bracket.
        let (call, _) = event.trim_start().split_once('(')?;
        Some((thread.parse().ok()?, call.to_owned())).filter(|_| !call.contains(' '))
    };
    let calls: Vec<_> = log.lines().filter_map(line).collect();
    let marks: Vec<_> = calls.iter().enumerate().filter(|(_, (_, call))| call == "getppid").collect();
    let [(from, (thread, _)), (to, _)] = marks[..] else { panic!("{} marks and not two", marks.len()) };
    let mut counted = BTreeMap::new();
    for (_, call) in calls[from + 1..to].iter().filter(|(by, _)| by == thread) {
        *counted.entry(call.clone()).or_default() += 1;
    }
    counted
}
