//! F1: SIGKILL at random instants of a server and of a client. `HOBNOB_F1` is the number of kills over each
//! transport; `HOBNOB_DICE` sets the instants.
#![allow(clippy::unwrap_used)]

use std::{
    thread,
    time::{Duration, Instant},
};

use faults::{
    Dice, House, Program,
    aftermath::{
        Neighbour, PATIENCE, StopAtEnd, each_address, identities, next_start_works, nothing_is_left,
        reaches_a_server, serves_a_client, shown,
    },
    budget, each_road, kind_of,
    roles::echo,
    saw,
};
use hobnob::{AnyConnection, Deadline, ErrorKind, IpcReceiver, IpcSender, IpcServer, Result};

/// The longest life of a victim, from its first word.
const LIFE: Duration = Duration::from_millis(4);
/// Each has its share of the kills.
const TESTS: u64 = 5;

#[test]
fn a_server_killed_while_it_starts_or_stops_leaves_nothing_in_the_way() {
    each_address("a_server_killed_while_it_starts_or_stops_leaves_nothing_in_the_way", |house, scheme| {
        kills(house, scheme, "of a server that starts and stops", |fate, after| {
            fate.strike(&mut restless("server", house, scheme), after);
        });
    });
}

#[test]
fn a_server_killed_in_handshakes_leaves_nothing_in_the_way_and_its_clients_are_told() {
    let name = "a_server_killed_in_handshakes_leaves_nothing_in_the_way_and_its_clients_are_told";
    each_road(name, |house, scheme| {
        kills(house, scheme, "of a server with clients on their way in", |fate, after| {
            let mut victim = house.serve(scheme);
            thread::scope(|scope| {
                let clients = [(); 2].map(|()| scope.spawn(|| visits(house, scheme)));
                fate.strike(&mut victim, after);
                for told in clients.map(|client| client.join().unwrap()) {
                    assert!(kind_of(&told) != Some(&ErrorKind::TimedOut), "{after}: a client waited in vain");
                }
            });
        });
    });
}

#[test]
fn a_client_killed_at_any_instant_stops_neither_its_server_nor_the_next() {
    each_road("a_client_killed_at_any_instant_stops_neither_its_server_nor_the_next", |house, scheme| {
        kills(house, scheme, "of a client that connects and leaves", |fate, after| {
            let mut server = house.serve_here(scheme);
            let stop = StopAtEnd(server.stop_handle().unwrap());
            thread::scope(|scope| {
                let _stop = stop;
                scope.spawn(|| hobnob::serve(server, Duration::from_secs(5), |client| echo(client)).unwrap());
                fate.strike(&mut restless("client", house, scheme), after);
                reaches_a_server(house, scheme, after);
            });
            nothing_is_left(house, after);
        });
    });
}

#[test]
fn a_client_killed_while_servers_come_and_go_does_not_stop_the_next() {
    each_road("a_client_killed_while_servers_come_and_go_does_not_stop_the_next", |house, scheme| {
        kills(house, scheme, "of a client while servers come and go", |fate, after| {
            let mut victim = restless("client", house, scheme);
            thread::scope(|scope| {
                let struck = scope.spawn(|| fate.strike(&mut victim, after));
                while !struck.is_finished() {
                    come_and_go(house, scheme);
                }
            });
        });
    });
}

#[test]
fn a_starter_killed_while_another_holds_the_name_takes_nothing_from_it() {
    each_road("a_starter_killed_while_another_holds_the_name_takes_nothing_from_it", |house, scheme| {
        kills(house, scheme, "of a starter whose name is held", |fate, after| {
            let mut holder = house.serve_here(scheme);
            let was = identities(&house.folder());
            fate.strike(&mut restless("loser", house, scheme), after);
            assert_eq!(identities(&house.folder()), was, "{after}: the holder lost a file");
            serves_a_client(house, scheme, &mut holder, after);
            holder.destroy_server().unwrap();
            nothing_is_left(house, after);
        });
    });
}

/// Kills so often, and looks after each whether the next server can start. Prints what was seen.
fn kills(house: &House, scheme: &str, of: &str, once: impl Fn(&mut Fate, &str)) {
    let neighbour = Neighbour::of(house, scheme);
    let mut fate = Fate(Dice::of_run());
    let (many, seed) = ((budget("HOBNOB_F1", 250) / TESTS).max(1), fate.0.seed());
    let mut slowest = Duration::ZERO;
    for number in 1..=many {
        let after = format!("kill {number} {of}, HOBNOB_DICE={seed}");
        once(&mut fate, &after);
        slowest = slowest.max(next_start_works(house, scheme, &after));
        neighbour.must_be_untouched(&after);
    }
    neighbour.must_still_serve(house);
    let seen =
        format!("every next start worked at the first try, the slowest in {slowest:.1?}; nothing left");
    saw("F1", shown(scheme), format!("{many} kills {of}"), seen);
}

/// The instants of death.
struct Fate(Dice);

impl Fate {
    /// Lets it live for a while and kills it. That it had not ended by itself is asserted.
    fn strike(&mut self, victim: &mut Program, after: &str) {
        let end = Instant::now() + self.0.below(LIFE);
        // Asleep, this would be late by the kernel's slack, and the first instants would never be met.
        while Instant::now() < end {
            thread::yield_now();
        }
        victim.kill();
        assert_eq!(victim.ended(), (None, Some(9)), "{after}: it ended by itself");
    }
}

/// Whoever does one thing over and over, and has just begun.
fn restless(who: &str, house: &House, scheme: &str) -> Program {
    let mut program = Program::start(&mut house.actor("restless", &[who, &House::address(scheme)]));
    program.wait_for("restless");
    program
}

/// Connects and has a message echoed, again and again, until that fails.
fn visits(house: &House, scheme: &str) -> Result<()> {
    let options = house.client_options().deadline(PATIENCE);
    let address = House::address(scheme).parse()?;
    loop {
        let mut server = AnyConnection::connect_with(&address, &options)?;
        server.send_info(b"hello")?;
        server.recv_borrowed_by(PATIENCE)?;
    }
}

/// A server that waits for a client only for a moment. That a client dies meanwhile is no failure of its own.
fn come_and_go(house: &House, scheme: &str) {
    let mut server = house.serve_here(scheme);
    match server.accept_client_by(Deadline::Within(Duration::from_micros(300))) {
        Ok(client) => drop(echo(client)),
        Err(error) => assert_eq!(*error.kind(), ErrorKind::TimedOut),
    }
    server.destroy_server().unwrap();
}
