//! F23: a fork without exec, in a server and in a client. What the child has it shares with its parent: the lock on
//! the name, the listener and the connection. What it drops is still the parent's.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    os::unix::fs::MetadataExt,
    sync::{
        Mutex,
        mpsc::{self, Sender},
    },
    thread,
    time::Duration,
};

use faults::{House, Program, each_rendezvous, kind_of, roles::forked::DEEDS, saw, settles};
use hobnob::{
    AnyConnection, Deadline, ErrorKind, EventHandler, EventOptions, IpcReceiver, IpcSender, IpcServer, Left,
    Mailbox, Reply,
};

/// How long a promised silence is listened to.
const SILENCE: Deadline = Deadline::Within(Duration::from_millis(100));

#[test]
fn what_the_child_of_a_server_drops_is_still_the_parents() {
    each_rendezvous("what_the_child_of_a_server_drops_is_still_the_parents", |house, scheme| {
        for deed in DEEDS {
            let mut server =
                Program::start(&mut house.actor("fork-server", &[&House::address(scheme), deed]));
            server.wait_for("listening");
            // One is in the middle of its handshake at the fork.
            let mut half_open = house.knock(scheme);
            let mut first = house.connect(scheme);
            let child = child_of(&mut server);
            let was = files(house);
            if deed == "drops and ends" {
                settles("the child is gone", &true, || is_gone(child));
            }
            assert_eq!(half_open.shake().unwrap(), 0, "{scheme}, {deed}: the one in its handshake");
            for _ in 0..3 {
                echoes(&mut first, deed);
                echoes(&mut house.connect(scheme), deed);
            }
            must_be_held(house, scheme, server.child.id(), deed);
            assert_eq!(files(house), was, "{scheme}, {deed}: files of the parent");
            server.kill();
            if deed != "drops and ends" {
                must_be_held(house, scheme, server.child.id(), "the child has the lock, whatever it dropped");
            }
            end_child_of(server);
            next_start_works(house, scheme);
        }
        saw("F23", scheme, format!("{} kinds of child of a server", DEEDS.len()), "the parent served on");
    });
}

#[test]
fn what_the_child_of_a_client_drops_is_still_the_parents() {
    each_rendezvous("what_the_child_of_a_client_drops_is_still_the_parents", |house, scheme| {
        let mut server = house.serve_here(scheme);
        for deed in DEEDS {
            let mut client =
                Program::start(&mut house.actor("fork-client", &[&House::address(scheme), deed]));
            let mut road = server.accept_client().unwrap();
            let child = child_of(&mut client);
            if deed == "drops and ends" {
                settles("the child is gone", &true, || is_gone(child));
            }
            (0..3).for_each(|_| echoes(&mut road, deed));
            road.disconnect_from().unwrap();
            assert!(!road.recv_info(&mut Vec::new()).unwrap(), "{scheme}, {deed}: no goodbye of the parent");
            assert_eq!(client.ended(), (Some(0), None), "{scheme}, {deed}");
            end_child_of(client);
        }
        saw("F23", scheme, format!("{} kinds of child of a client", DEEDS.len()), "the parent talked on");
    });
}

#[test]
fn the_child_of_a_killed_server_holds_its_name_and_its_connections() {
    each_rendezvous("the_child_of_a_killed_server_holds_its_name_and_its_connections", |house, scheme| {
        let mut server = Program::start(&mut house.actor("fork-server", &[&House::address(scheme), "keeps"]));
        server.wait_for("listening");
        let mut road = house.connect(scheme);
        server.wait_for("child ");
        echoes(&mut road, "keeps");
        server.kill();
        let silence = road.recv_info_by(&mut Vec::new(), SILENCE);
        assert_eq!(kind_of(&silence), Some(&ErrorKind::TimedOut), "{scheme}: the child holds the connection");
        must_be_held(house, scheme, server.child.id(), "the server was killed");
        let options = house.client_options().deadline(SILENCE);
        let unheard = AnyConnection::connect_with(&House::address(scheme).parse().unwrap(), &options);
        assert_eq!(kind_of(&unheard), Some(&ErrorKind::TimedOut), "{scheme}: nobody accepts");
        end_child_of(server);
        assert_eq!(kind_of(&road.recv_info(&mut Vec::new())), Some(&ErrorKind::PeerGone), "{scheme}");
        next_start_works(house, scheme);
        let seen =
            "NameInUse, naming the dead parent, and no end of file while the child lives; both at its end";
        saw("F23", scheme, "a server killed whose child lives", seen);
    });
}

#[test]
fn the_child_of_a_killed_client_holds_its_connection_and_nothing_else() {
    each_rendezvous("the_child_of_a_killed_client_holds_its_connection_and_nothing_else", |house, scheme| {
        let mut server = house.serve_here(scheme);
        for deed in ["keeps", "drops"] {
            let mut client =
                Program::start(&mut house.actor("fork-client", &[&House::address(scheme), deed]));
            let mut road = server.accept_client().unwrap();
            client.wait_for("child ");
            echoes(&mut road, deed);
            client.kill();
            if deed == "keeps" {
                let silence = road.recv_info_by(&mut Vec::new(), SILENCE);
                assert_eq!(kind_of(&silence), Some(&ErrorKind::TimedOut), "{scheme}: the child holds it");
                let mut other = Program::start(&mut house.actor("tell", &[&House::address(scheme)]));
                faults::roles::echo(server.accept_client().unwrap()).unwrap();
                assert_eq!(other.wait_for("t"), "talked", "{scheme}");
                end_child_of(client);
            }
            assert_eq!(
                kind_of(&road.recv_info(&mut Vec::new())),
                Some(&ErrorKind::PeerGone),
                "{scheme}, {deed}"
            );
        }
        let seen = "no end of file while the child has the connection; PeerGone once it has not";
        saw("F23", scheme, "a client killed whose child lives", seen);
    });
}

#[test]
fn a_watched_peer_is_gone_with_its_process_though_its_child_lives() {
    each_rendezvous("a_watched_peer_is_gone_with_its_process_though_its_child_lives", |house, scheme| {
        for word in ["recv_info", "try_recv_info", "send_info"] {
            let mut server =
                Program::start(&mut house.actor("fork-server", &[&House::address(scheme), "keeps"]));
            server.wait_for("listening");
            let options = house.client_options().watch_peer(true);
            let mut road =
                AnyConnection::connect_with(&House::address(scheme).parse().unwrap(), &options).unwrap();
            server.wait_for("child ");
            echoes(&mut road, word);
            let lived = thread::scope(|scope| {
                let waits = scope.spawn(|| until_it_ends(&mut road, word));
                server.kill();
                waits.join().unwrap()
            });
            assert_eq!(kind_of(&lived), Some(&ErrorKind::PeerGone), "{scheme}: a server, {word}");
            end_child_of(server);
            next_start_works(house, scheme);

            let mut server = house.serve_with(scheme, |options| options.watch_peer(true)).unwrap();
            let mut client =
                Program::start(&mut house.actor("fork-client", &[&House::address(scheme), "keeps"]));
            let mut road = server.accept_client().unwrap();
            client.wait_for("child ");
            echoes(&mut road, word);
            let lived = thread::scope(|scope| {
                let waits = scope.spawn(|| until_it_ends(&mut road, word));
                client.kill();
                waits.join().unwrap()
            });
            assert_eq!(kind_of(&lived), Some(&ErrorKind::PeerGone), "{scheme}: a client, {word}");
            end_child_of(client);
        }
        saw(
            "F23",
            scheme,
            "a watched peer killed whose child lives",
            "PeerGone at once, in a wait and without",
        );
    });
}

/// Tells who has come, and why they have left.
struct Telling(Mutex<Sender<(Option<Mailbox>, Option<ErrorKind>)>>);

impl EventHandler for Telling {
    type Client = ();

    fn joined(&self, reply: &mut Reply<'_>) -> hobnob::Result<()> {
        self.0.lock().unwrap().send((Some(reply.mailbox().clone()), None)).unwrap();
        Ok(())
    }

    fn message(&self, (): &mut (), _: &[u8], _: &mut Reply<'_>) -> hobnob::Result<()> {
        self.0.lock().unwrap().send((None, None)).unwrap();
        Ok(())
    }

    fn left(&self, (): (), why: Left) {
        let Left::Failed(error) = why else { panic!("{why:?}") };
        self.0.lock().unwrap().send((None, Some(error.kind().clone()))).unwrap();
    }
}

#[test]
fn a_loop_that_watches_its_clients_notices_that_one_is_gone_though_its_child_lives() {
    let name = "a_loop_that_watches_its_clients_notices_that_one_is_gone_though_its_child_lives";
    each_rendezvous(name, |house, scheme| {
        let mut server = house.serve_with(scheme, |options| options.watch_peer(true)).unwrap();
        let stop = server.stop_handle().unwrap();
        let (tell, told) = mpsc::channel();
        let handler = Telling(Mutex::new(tell));
        let serving = thread::spawn(move || hobnob::serve_events(server, EventOptions::new(), handler));
        let mut client = Program::start(&mut house.actor("fork-client", &[&House::address(scheme), "keeps"]));
        let (mailbox, _) = told.recv().unwrap();
        client.wait_for("child ");
        mailbox.unwrap().send(b"echo this").unwrap();
        assert!(matches!(told.recv().unwrap(), (None, None)), "{scheme}: the echo");
        client.kill();
        assert_eq!(told.recv().unwrap().1, Some(ErrorKind::PeerGone), "{scheme}");
        end_child_of(client);
        stop.stop();
        assert_eq!(serving.join().unwrap().unwrap().abandoned, 0);
    });
}

#[test]
fn what_a_watched_peer_sent_before_it_was_killed_is_received() {
    each_rendezvous("what_a_watched_peer_sent_before_it_was_killed_is_received", |house, scheme| {
        let mut server = house.serve_with(scheme, |options| options.watch_peer(true)).unwrap();
        let (address, words) = (House::address(scheme), ["one", "two", "three"]);
        let mut client = Program::start(house.actor("hold", &[&address]).args(words));
        let mut road = server.accept_client().unwrap();
        client.wait_for("connected");
        client.kill();
        words.iter().for_each(|word| assert_eq!(road.recv_borrowed().unwrap(), Some(word.as_bytes())));
        assert_eq!(kind_of(&road.recv_borrowed()), Some(&ErrorKind::PeerGone), "{scheme}");
    });
}

/// Calls until a call fails for good. Nobody reads what is sent once the parent is dead.
fn until_it_ends(road: &mut AnyConnection, word: &str) -> hobnob::Result<()> {
    loop {
        let called = match word {
            "recv_info" => road.recv_info(&mut Vec::new()).map(drop),
            "try_recv_info" => road.try_recv_info(&mut Vec::new()).map(drop),
            _ => road.send_info(&[0; 10_000]),
        };
        match kind_of(&called) {
            None | Some(ErrorKind::WouldBlock) => {}
            Some(_) => return called,
        }
    }
}

/// A new server is refused, and told who has the name.
fn must_be_held(house: &House, scheme: &str, by: u32, when: &str) {
    let started = house.serve_with(scheme, |options| options);
    match kind_of(&started) {
        Some(ErrorKind::NameInUse { holder: Some(holder), .. }) => {
            assert_eq!(holder.pid, by, "{scheme}, {when}")
        }
        other => panic!("{scheme}, {when}: the name is not held: {other:?}"),
    }
}

fn next_start_works(house: &House, scheme: &str) {
    // The lock is freed when all of the child is gone.
    settles("the next start works", &true, || house.serve_with(scheme, |options| options).is_ok());
    assert!(house.left_over().is_empty(), "{scheme}: left over {:?}", house.left_over());
}

fn child_of(parent: &mut Program) -> u32 {
    let said = parent.wait_for("child ");
    said.trim_start_matches("child ").parse().unwrap()
}

/// The children are nobody's to wait for once their parents are dead.
fn is_gone(child: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
}

/// Its standard input was the parent's.
fn end_child_of(dead: Program) {
    drop(dead);
}

fn echoes(road: &mut AnyConnection, deed: &str) {
    road.send_info(b"still there?").unwrap();
    let came = road.recv_borrowed();
    assert!(matches!(came, Ok(Some(b"still there?"))), "the child {deed}: {came:?}");
}

/// What the files in the folder of the server are.
fn files(house: &House) -> Vec<(std::path::PathBuf, u64)> {
    let folder = house.folder();
    let entries = [house.names(), folder.clone(), folder.join("clients")]
        .map(|at| fs::read_dir(at).into_iter().flatten());
    let mut all: Vec<_> = entries.into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all.into_iter().map(|path| (path.clone(), fs::symlink_metadata(path).unwrap().ino())).collect()
}
