//! F3: SIGKILL inside the handshake, of clients and of servers. `HOBNOB_F3` is the number of clients killed over each
//! transport, and three times that of servers; `HOBNOB_DICE` sets the instants.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

use faults::{
    Dice, House, Program, budget, each_rendezvous, kind_of, live_for, roles::dying::PLACES, saw, settles,
    wire,
};
use hobnob::{AnyConnection, ErrorKind, IpcReceiver, IpcSender, Result};

/// Far above 20 s, at which a dead client's file is old, and 10 s, until the server looks for it.
const SWEPT: Duration = Duration::from_secs(90);

fn clients_killed() -> u64 {
    budget("HOBNOB_F3", 150)
}

fn servers_killed() -> u64 {
    clients_killed().div_ceil(3)
}

/// The server gives each client an hour, so what goes sooner goes because of the death.
#[test]
fn a_client_killed_anywhere_in_the_handshake_costs_its_server_nothing() {
    each_rendezvous("a_client_killed_anywhere_in_the_handshake_costs_its_server_nothing", |house, scheme| {
        let mut server = Program::start(&mut house.actor("serve-patiently", &[&House::address(scheme)]));
        server.wait_for("listening");
        let process = server.process();
        echoes(&mut house.connect(scheme));
        settles("threads at first", &1, || process.threads());
        let baseline = process.descriptors();
        let (mut dice, mut most_left) = (Dice::of_run(), 0);
        for number in 0..clients_killed() {
            let place = kill_one(house, scheme, number, &mut dice);
            let after = format!("{scheme}, kill {number}, {place}, HOBNOB_DICE={}", Dice::of_run().seed());
            assert_eq!(server.child.try_wait().unwrap(), None, "{after}: accept failed");
            echoes(&mut house.connect(scheme));
            settles(&format!("{after}: descriptors"), &baseline, || process.descriptors());
            settles(&format!("{after}: threads"), &1, || process.threads());
            let left = files_of_clients(house);
            assert!(left as u64 <= 2 * (number + 1), "{after}: {left} files of clients");
            assert!(
                oldest_file_of_a_client(house) < SWEPT,
                "{after}: a file of a dead client is still there"
            );
            most_left = most_left.max(left);
        }
        server.kill();
        drop(house.serve_here(scheme));
        assert!(house.left_over().is_empty(), "{:?}", house.left_over());
        let seen = format!(
            "the next client served each time, descriptors and threads as before; at most {most_left} files of \
             dead clients at once, none after the next start"
        );
        saw("F3", scheme, format!("{} clients killed", clients_killed()), seen);
    });
}

/// At each place in turn, and every second one at a random instant of a whole handshake.
fn kill_one(house: &House, scheme: &str, number: u64, dice: &mut Dice) -> &'static str {
    let places = PLACES.len() as u64;
    if number % 2 == 1 {
        let mut victim = Program::start(&mut house.actor("shake", &[&House::address(scheme)]));
        victim.wait_for("shaking");
        live_for(dice.below(Duration::from_millis(2)));
        victim.kill();
        assert_eq!(victim.ended(), (None, Some(9)), "it ended by itself: {}", victim.rest());
        return "at a random instant";
    }
    let place = PLACES[(number / 2 % places) as usize];
    let mut victim = Program::start(&mut house.actor("die", &[scheme, place]));
    assert_eq!(victim.ended(), (None, Some(9)), "{place}: it ended by itself: {}", victim.rest());
    place
}

/// The first word of a server may be cut at any byte.
#[test]
fn a_verdict_cut_by_death_at_any_byte_is_told_as_such() {
    each_rendezvous("a_verdict_cut_by_death_at_any_byte_is_told_as_such", |house, scheme| {
        let whole = wire::yes(scheme, [0; 16]).len();
        for bytes in 0..=whole {
            let arguments = [&House::address(scheme), &bytes.to_string()[..]];
            let mut server = Program::start(&mut house.actor("die-as-host", &arguments));
            server.wait_for("listening");
            let connected = house.try_connect(scheme);
            let told = kind_of(&connected);
            match bytes {
                0 => assert_eq!(told, Some(&ErrorKind::PeerGone), "{scheme}, before the verdict"),
                _ if bytes < whole => {
                    assert_eq!(told, Some(&ErrorKind::Truncated), "{scheme}, {bytes} bytes")
                }
                // It may be gone before it is told that we are ready, or after.
                _ => {
                    let end = connected.and_then(|mut server| server.recv_info(&mut Vec::new()));
                    assert_eq!(kind_of(&end), Some(&ErrorKind::PeerGone), "{scheme}, after the verdict");
                }
            }
            assert_eq!(server.ended(), (None, Some(9)));
            assert_eq!(files_of_clients(house), 0, "{scheme}, {bytes} bytes: the client left its files");
        }
        saw("F3", scheme, format!("{} verdicts cut", whole + 1), "PeerGone or Truncated, each as it was");
    });
}

/// None of the clients has a deadline: one that is not told waits for ever.
#[test]
fn clients_of_a_server_killed_in_their_handshakes_are_told_at_once() {
    each_rendezvous("clients_of_a_server_killed_in_their_handshakes_are_told_at_once", |house, scheme| {
        let (mut dice, mut told, mut slowest) = (Dice::of_run(), BTreeMap::new(), Duration::ZERO);
        for number in 0..servers_killed() {
            let role = if number % 2 == 0 { "serve-patiently" } else { "deaf" };
            let mut server = Program::start(&mut house.actor(role, &[&House::address(scheme)]));
            server.wait_for("listening");
            let span = dice.below(Duration::from_millis(3));
            let (kinds, took) = thread::scope(|scope| {
                let clients = [(); 4].map(|()| scope.spawn(|| connects_until_told(house, scheme)));
                live_for(span);
                server.kill();
                let killed = Instant::now();
                (clients.map(|client| client.join().unwrap()), killed.elapsed())
            });
            kinds.into_iter().for_each(|kind| *told.entry(kind).or_insert(0) += 1);
            slowest = slowest.max(took);
            assert_eq!(files_of_clients(house), 0, "{scheme}: a client left its files");
        }
        let seen = format!("all four clients told each time, within {slowest:.0?}: {told:?}");
        saw("F3", scheme, format!("{} servers killed", servers_killed()), seen);
    });
}

/// Makes connections until one fails, and says how.
fn connects_until_told(house: &House, scheme: &str) -> &'static str {
    let end = loop {
        match house.try_connect(scheme).and_then(|mut server| talks(&mut server)) {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    match (end.doing().unwrap(), end.kind()) {
        ("connect_to", ErrorKind::NoSuchServer { .. }) => "no such server",
        ("connect_to", ErrorKind::PeerGone) => "gone in the handshake",
        (_, ErrorKind::PeerGone) => "gone after it",
        _ => panic!("{scheme}: {end}"),
    }
}

fn talks(server: &mut AnyConnection) -> Result<()> {
    server.send_info(b"hello")?;
    assert!(server.recv_info(&mut Vec::new())?);
    Ok(())
}

fn echoes(server: &mut AnyConnection) {
    server.send_info(b"still there?").unwrap();
    assert_eq!(server.recv_borrowed().unwrap(), Some(&b"still there?"[..]));
    server.disconnect_from().unwrap();
}

/// How many files lie in the folder of clients.
fn files_of_clients(house: &House) -> usize {
    fs::read_dir(house.folder().join("clients")).unwrap().count()
}

fn oldest_file_of_a_client(house: &House) -> Duration {
    let files = fs::read_dir(house.folder().join("clients")).unwrap();
    // The server may be taking it away.
    let modified = files.filter_map(|file| file.unwrap().metadata().ok()?.modified().ok());
    modified.min().and_then(|oldest| oldest.elapsed().ok()).unwrap_or_default()
}
