//! F16: SIGSTOP of a client and of a server: in the handshake, inside a message, and idle. `HOBNOB_F16` is how many
//! milliseconds they stand still, at least.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::Write,
    os::{fd::AsFd, unix::fs::MetadataExt},
    thread,
    time::{Duration, Instant},
};

use faults::{
    House, Program, budget, each_rendezvous, each_road, kind_of, roles::lingering::PLACES, saw, settles,
};
use hobnob::{
    AnyConnection, AnyServer, Deadline, ErrorKind, IpcReceiver, IpcSender, IpcServer, Refusal, Result,
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::Signal,
};

/// What every call gets while its peer stands still.
fn span() -> Duration {
    Duration::from_millis(budget("HOBNOB_F16", 50))
}

/// How late a call may return on a loaded machine.
const MARGIN: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3600);
const STARTERS: usize = 100;
/// More than fits between two processes.
const LARGE: usize = 16 << 20;
/// With its header, a part of what fits: then there is no room for a goodbye either.
const SMALL: usize = 1024 - 8;

#[test]
fn a_client_stopped_in_its_handshake_holds_up_nobody_and_comes_in_later() {
    each_road("a_client_stopped_in_its_handshake_holds_up_nobody_and_comes_in_later", |house, scheme| {
        let mut server = house.serve_with(scheme, |options| options.hello_within(HOUR)).unwrap();
        let mut client = stopped_on_its_way(house, scheme, &server);
        must_time_out(|deadline| server.accept_client_by(deadline));
        others_are_served(house, scheme, &mut server);
        client.signal(Signal::SIGCONT);
        faults::roles::echo(server.accept_client().unwrap()).unwrap();
        assert_eq!(client.wait_for("t"), "talked", "{scheme}");
        saw(
            "F16",
            scheme,
            format!("a client stopped {:?} in the handshake", span()),
            "others served; it came in",
        );
    });
}

/// Each of them is half-open, and the server is in `accept_client` all the time.
#[test]
fn clients_stopped_at_each_place_of_their_handshakes_hold_up_nobody() {
    each_rendezvous("clients_stopped_at_each_place_of_their_handshakes_hold_up_nobody", |house, scheme| {
        let mut server = Program::start(&mut house.actor("serve-patiently", &[&House::address(scheme)]));
        server.wait_for("listening");
        let mut stopped = PLACES.map(|place| {
            let mut client = Program::start(&mut house.actor("linger", &[scheme, place]));
            client.wait_for("there");
            stop(&client);
            echoes(&mut house.connect(scheme));
            client
        });
        for client in &mut stopped {
            client.signal(Signal::SIGCONT);
            client.stdin.write_all(b"!").unwrap();
            assert_eq!(client.wait_for("t"), "talked", "{scheme}");
            assert_eq!(client.ended(), (Some(0), None));
        }
        let tries = format!("{} clients stopped at one place each of the handshake", PLACES.len());
        saw("F16", scheme, tries, "others served at once; they came in later");
    });
}

#[test]
fn a_client_stopped_too_long_in_its_handshake_is_told() {
    each_road("a_client_stopped_too_long_in_its_handshake_is_told", |house, scheme| {
        let mut server = house.serve_with(scheme, |options| options.hello_within(span() / 2)).unwrap();
        let mut client = stopped_on_its_way(house, scheme, &server);
        must_time_out(|deadline| server.accept_client_by(deadline));
        settles("turned away as silent", &1, || {
            let _ = server.try_accept_client();
            server.stats().refused(Refusal::Silent)
        });
        client.signal(Signal::SIGCONT);
        let told = client.wait_for("t");
        // It had been let in but for its last word, or it had said nothing yet.
        let clean = ["the peer is gone", "refused by the server: said nothing in time"];
        assert!(told.starts_with("told: ") && clean.iter().any(|end| told.contains(end)), "{scheme}: {told}");
        saw("F16", scheme, "a client stopped longer than its handshake may take", told);
    });
}

#[test]
fn a_stopped_server_keeps_its_name_and_no_client_past_a_deadline() {
    each_rendezvous("a_stopped_server_keeps_its_name_and_no_client_past_a_deadline", |house, scheme| {
        let server = house.serve(scheme);
        let was = files(house);
        stop(&server);
        let options = house.client_options();
        let connect = |deadline| {
            AnyConnection::connect_with(
                &House::address(scheme).parse().unwrap(),
                &options.clone().deadline(deadline),
            )
        };
        must_time_out(connect);
        assert_eq!(files(house), was, "{scheme}: the client left its files, or took the server's");
        for _ in 0..STARTERS {
            let started = house.serve_with(scheme, |options| options);
            match kind_of(&started) {
                Some(ErrorKind::NameInUse { holder: Some(holder), .. }) => {
                    assert_eq!(holder.pid, server.child.id(), "{scheme}");
                }
                other => panic!("{scheme}: a starter got {other:?}"),
            }
        }
        assert_eq!(files(house), was, "{scheme}: starters touched the name");
        thread::scope(|scope| {
            let patient = scope.spawn(|| echoes(&mut connect(Deadline::Forever).unwrap()));
            settles("the patient client is on its way", &true, || files(house).len() > was.len());
            server.signal(Signal::SIGCONT);
            patient.join().unwrap();
        });
        echoes(&mut house.connect(scheme));
        let seen =
            format!("{STARTERS} starters got NameInUse, clients TimedOut, a patient one came in later");
        saw("F16", scheme, format!("a server stopped {:?}", span()), seen);
    });
}

#[test]
fn a_peer_stopped_inside_a_message_loses_nothing() {
    each_peer("a_peer_stopped_inside_a_message_loses_nothing", |peer, road, others| {
        let message = (0..251).collect::<Vec<u8>>().repeat(LARGE / 251);
        stop(peer);
        road.send_info_by(&message, span().into()).unwrap();
        must_time_out(|deadline| road.flush_info_by(deadline));
        must_time_out(|deadline| road.send_info_by(b"not one byte of it", deadline));
        must_time_out(|deadline| road.recv_info_by(&mut Vec::new(), deadline));
        others();
        peer.signal(Signal::SIGCONT);
        road.flush_info().unwrap();
        // Now it is the peer that is inside a message, which is far too large to be on its way already.
        readable(road);
        stop(peer);
        must_time_out(|deadline| road.recv_info_by(&mut Vec::new(), deadline));
        others();
        peer.signal(Signal::SIGCONT);
        assert!(road.recv_borrowed().unwrap() == Some(&message[..]), "the message came back wrong");
        echoes(road);
        "16 MiB there and back, stopped in the middle of each: nothing lost"
    });
}

#[test]
fn a_peer_stopped_while_idle_gets_everything_that_was_accepted() {
    each_peer("a_peer_stopped_while_idle_gets_everything_that_was_accepted", |peer, road, others| {
        stop(peer);
        let message = |number: usize| [number as u8; SMALL];
        let accepted = (0..).take_while(|number| road.try_send_info(&message(*number)).is_ok()).count();
        must_time_out(|deadline| road.send_info_by(&message(accepted), deadline));
        must_time_out(|deadline| road.recv_info_by(&mut Vec::new(), deadline));
        let parting = in_time(|deadline| road.disconnect_from_by(deadline));
        assert!(matches!(kind_of(&parting), Some(ErrorKind::Undelivered { .. })), "{parting:?}");
        others();
        peer.signal(Signal::SIGCONT);
        for number in 0..accepted {
            assert_eq!(road.recv_borrowed().unwrap(), Some(&message(number)[..]), "message {number}");
        }
        echoes(road);
        "everything accepted meanwhile came, in order"
    });
}

/// A server that is stopped and a client here; then a client that is stopped and a server here, with other clients.
/// Either peer echoes.
fn each_peer(
    name: &'static str,
    test: impl Fn(&Program, &mut AnyConnection, &mut dyn FnMut()) -> &'static str,
) {
    each_rendezvous(name, |house, scheme| {
        let peer = house.serve(scheme);
        let seen = test(&peer, &mut house.connect(scheme), &mut || {});
        saw("F16", scheme, format!("a server stopped {:?}, again and again", span()), seen);
    });
    each_rendezvous(name, |house, scheme| {
        let mut server = house.serve_here(scheme);
        let peer = Program::start(&mut house.actor("echo-back", &[&House::address(scheme)]));
        let mut road = server.accept_client().unwrap();
        let seen = test(&peer, &mut road, &mut || others_are_served(house, scheme, &mut server));
        saw("F16", scheme, format!("a client stopped {:?}, others served", span()), seen);
    });
}

/// A client that has come to the server, which has not answered it yet.
fn stopped_on_its_way(house: &House, scheme: &str, server: &AnyServer) -> Program {
    let client = Program::start(&mut house.actor("tell", &[&House::address(scheme)]));
    readable(server);
    stop(&client);
    client
}

fn stop(program: &Program) {
    program.signal(Signal::SIGSTOP);
    settles("stopped", &'T', || program.process().state());
}

fn readable(on: &impl AsFd) {
    poll(&mut [PollFd::new(on.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
}

/// The deadline passes, and then the call returns: neither early nor much later.
fn must_time_out<R>(call: impl FnOnce(Deadline) -> Result<R>) {
    let result = in_time(call).map(drop);
    assert_eq!(kind_of(&result), Some(&ErrorKind::TimedOut));
}

fn in_time<R>(call: impl FnOnce(Deadline) -> Result<R>) -> Result<R> {
    let began = Instant::now();
    let result = call(span().into());
    let took = began.elapsed();
    assert!(took >= span() && took < span() + MARGIN, "it took {took:?} and had {:?}", span());
    result
}

fn others_are_served(house: &House, scheme: &str, server: &mut AnyServer) {
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut other = house.connect(scheme);
            echoes(&mut other);
            other.disconnect_from().unwrap();
        });
        faults::roles::echo(server.accept_client().unwrap()).unwrap();
        other.join().unwrap();
    });
}

fn echoes(road: &mut AnyConnection) {
    road.send_info(b"still there?").unwrap();
    assert_eq!(road.recv_borrowed().unwrap(), Some(&b"still there?"[..]));
}

/// What the files in the folder of the server are, whatever they are called.
fn files(house: &House) -> Vec<(u64, u64)> {
    let folder = house.folder();
    let entries = [&folder, &folder.join("clients")].map(|folder| fs::read_dir(folder).unwrap());
    let mut all: Vec<_> = entries.into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all.iter()
        .filter_map(|path| fs::symlink_metadata(path).ok())
        .map(|file| (file.dev(), file.ino()))
        .collect()
}
