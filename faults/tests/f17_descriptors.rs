//! F17: a server that may have 32 descriptors and 100 clients; and programs that have none left when they start.
//! `cargo test --release -p faults --test f17_descriptors -- --nocapture`
#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use faults::{
    House, NAME, Program,
    aftermath::{each_path, shown},
    become_again, each_road, listing, saw, wait_until,
};
use hobnob::{AnyConnection, ErrorKind, IpcReceiver, IpcSender, IpcServer};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

const DESCRIPTORS: usize = 32;
const CLIENTS: usize = 100;

#[test]
fn a_server_without_descriptors_rests_and_goes_on_when_some_are_free() {
    each_road("a_server_without_descriptors_rests_and_goes_on_when_some_are_free", |house, scheme| {
        let mut actor = house.actor("serve-scarce", &[&House::address(scheme), &DESCRIPTORS.to_string()]);
        let mut server = Program::start(&mut actor);
        server.wait_for("listening");
        let idle = server.process().descriptors();
        let crowd = Crowd::default();
        let (let_go, leave) = mpsc::channel::<()>();
        let leave = Mutex::new(leave);
        let (inside, late, cpu) = thread::scope(|scope| {
            // Kept in here, so that a failed assertion below lets the crowd go.
            let let_go = let_go;
            for _ in 0..CLIENTS {
                scope.spawn(|| crowd.come(house, scheme, &leave));
            }
            // Full is full: everybody else is told so, and does not wait until its own patience ends.
            wait_until(|| crowd.inside.load(SeqCst) + crowd.turned_away.load(SeqCst) == CLIENTS);
            let late = comes_too_late(house, scheme);
            let cpu = in_a_second(&server);
            let inside = crowd.inside.load(SeqCst);
            assert!(inside < CLIENTS && late == Some(ErrorKind::Busy), "{inside} inside, then {late:?}");
            drop(let_go);
            (inside, late, cpu)
        });
        let turned_away = crowd.turned_away.load(SeqCst);
        saw(
            "F17",
            scheme,
            format!("{DESCRIPTORS} descriptors, {CLIENTS} clients"),
            format!(
                "{inside} inside while full, then a client's answer {late:?} and CPU {cpu:?} in 1 s; {} served in \
                 all, {turned_away} told so",
                crowd.served.load(SeqCst),
            ),
        );
        // A spinning server takes all of the second, or its share of it.
        assert!(
            cpu <= Duration::from_millis(100),
            "{cpu:?} of processor time in a second of having nothing to do"
        );
        assert_eq!(crowd.served.load(SeqCst) + turned_away, CLIENTS, "served or told why not");
        assert_eq!(server.child.try_wait().unwrap(), None, "it ended");
        talks(&mut house.connect(scheme)).unwrap();
        wait_until(|| server.process().descriptors() == idle);
    });
}

/// Clients that come, have a message echoed, and stay until they are let go.
#[derive(Default)]
struct Crowd {
    inside: AtomicUsize,
    served: AtomicUsize,
    turned_away: AtomicUsize,
}

impl Crowd {
    fn come(&self, house: &House, scheme: &str, leave: &Mutex<mpsc::Receiver<()>>) {
        match house.try_connect(scheme).and_then(|mut client| talks(&mut client).map(|()| client)) {
            Ok(client) => {
                self.inside.fetch_add(1, SeqCst);
                // One after the other they learn that the sender is gone.
                let _ = leave.lock().unwrap().recv();
                self.served.fetch_add(1, SeqCst);
                drop(client);
            }
            Err(error) if *error.kind() == ErrorKind::Busy => {
                self.turned_away.fetch_add(1, SeqCst);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// What one more client is told that would wait for ever.
fn comes_too_late(house: &House, scheme: &str) -> Option<ErrorKind> {
    house.try_connect(scheme).err().map(|error| error.kind().clone())
}

/// The processor time that the server uses in a second.
fn in_a_second(server: &Program) -> Duration {
    let before = server.process().cpu();
    thread::sleep(Duration::from_secs(1));
    server.process().cpu() - before
}

fn talks(client: &mut AnyConnection) -> hobnob::Result<()> {
    client.send_info(b"hello")?;
    assert_eq!(client.recv_borrowed()?, Some(&b"hello"[..]));
    Ok(())
}

#[test]
fn connect_to_without_descriptors_says_so_and_leaves_no_file() {
    alone("connect_to_without_descriptors_says_so_and_leaves_no_file", |house, scheme| {
        let _server = house.serve(scheme);
        with_ever_more_descriptors(scheme, "connect_to", house, || house.try_connect(scheme).map(drop));
        if !scheme.contains(':') {
            let any =
                || AnyConnection::connect_with(&NAME.parse().unwrap(), &house.client_options()).map(drop);
            with_ever_more_descriptors(scheme, "connect_to over any transport", house, any);
        }
    });
}

#[test]
fn new_server_without_descriptors_says_so_and_leaves_no_file() {
    alone("new_server_without_descriptors_says_so_and_leaves_no_file", |house, scheme| {
        let server =
            || house.serve_with(scheme, |options| options).and_then(|mut server| server.destroy_server());
        // The directory of names itself stays.
        server().unwrap();
        with_ever_more_descriptors(scheme, "new_server", house, server);
    });
}

/// In a process of its own: the limit is the process's.
fn alone(name: &'static str, test: impl Fn(&House, &str)) {
    const VARIABLE: &str = "HOBNOB_F17_ALONE";
    if std::env::var_os(VARIABLE).is_some() {
        each_road(name, &test);
        return each_path(name, &test);
    }
    assert!(become_again(name, VARIABLE).status().unwrap().success());
}

/// Calls under ever higher limits, until it succeeds.
fn with_ever_more_descriptors(
    scheme: &str,
    word: &str,
    house: &House,
    call: impl Fn() -> hobnob::Result<()>,
) {
    let (usual, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let before = listing(house.path());
    let mut failures = 0;
    for limit in 0.. {
        setrlimit(Resource::RLIMIT_NOFILE, limit, most).unwrap();
        let called = call();
        setrlimit(Resource::RLIMIT_NOFILE, usual, most).unwrap();
        assert_eq!(listing(house.path()), before, "left by {word} under a limit of {limit}");
        match called {
            Ok(()) => break,
            Err(error) => {
                assert_eq!(*error.kind(), ErrorKind::TooManyOpen, "{error} under a limit of {limit}")
            }
        }
        failures += 1;
    }
    assert!(failures > 3, "it was never without descriptors");
    saw(
        "F17",
        shown(scheme),
        format!("{word} under {failures} limits that are too low"),
        "TooManyOpen, no file left",
    );
}
