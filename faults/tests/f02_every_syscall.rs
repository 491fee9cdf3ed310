//! F2: death at every system call of start, stop, accept, connect, send and disconnect: at its entry, where the
//! kernel has not begun with it, and at its exit, where it has done it.
#![allow(clippy::unwrap_used)]

use std::{fs, thread};

use faults::{
    House,
    aftermath::{PATIENCE, StopAtEnd, each_address, nothing_is_left, reaches_a_server},
    each_rendezvous,
    roles::{MESSAGE, MESSAGES, echo},
    stage::{Stage, at_every_stop},
    traced::Fate,
    wire,
};
use hobnob::{AnyConnection, AnyServer, Error, ErrorKind, IpcConnection, IpcReceiver, IpcServer, Result};

#[test]
fn a_server_that_dies_at_any_system_call_of_its_start_stops_no_other() {
    each_address("a_server_that_dies_at_any_system_call_of_its_start_stops_no_other", |house, scheme| {
        at_every_stop(house, scheme, "start", |stage| stage.kill(stage.victim()));
    });
}

#[test]
fn a_server_that_dies_at_any_system_call_of_clearing_up_after_a_dead_one_stops_no_other() {
    let name = "a_server_that_dies_at_any_system_call_of_clearing_up_after_a_dead_one_stops_no_other";
    each_address(name, |house, scheme| {
        at_every_stop(house, scheme, "take-over", |stage| {
            house.serve(scheme).kill();
            let clients = house.folder().join("clients");
            if clients.exists() {
                fs::write(clients.join(wire::stem(1, wire::fresh())), "").unwrap();
            }
            stage.kill(stage.victim())
        });
    });
}

#[test]
fn a_server_that_dies_at_any_system_call_of_its_stop_stops_no_other() {
    each_address("a_server_that_dies_at_any_system_call_of_its_stop_stops_no_other", |house, scheme| {
        at_every_stop(house, scheme, "stop", |stage| stage.kill(stage.victim()));
    });
}

#[test]
fn a_client_is_told_when_its_server_dies_at_any_system_call_of_accepting_it() {
    let name = "a_client_is_told_when_its_server_dies_at_any_system_call_of_accepting_it";
    each_rendezvous(name, |house, scheme| {
        at_every_stop(house, scheme, "accept", |stage| {
            let victim = stage.victim();
            thread::scope(|scope| {
                let client = scope.spawn(|| connect_and_listen(house, scheme));
                let fate = stage.kill(victim);
                let told = client.join().unwrap();
                assert!(told.as_ref().is_err_and(is_of_the_dead), "{}: its client: {told:?}", stage.after);
                fate
            })
        });
    });
}

#[test]
fn a_client_that_dies_at_any_system_call_of_its_connect_stops_nobody() {
    each_rendezvous("a_client_that_dies_at_any_system_call_of_its_connect_stops_nobody", |house, scheme| {
        at_every_stop(house, scheme, "connect", |stage| {
            with_a_server(house, scheme, stage, |whole, end| whole == 0 && *end == Err(ErrorKind::PeerGone))
        });
    });
}

#[test]
fn a_receiver_gets_whole_messages_from_a_sender_that_dies_at_any_system_call() {
    let name = "a_receiver_gets_whole_messages_from_a_sender_that_dies_at_any_system_call";
    each_rendezvous(name, |house, scheme| {
        at_every_stop(house, scheme, "send", |stage| {
            with_a_server(house, scheme, stage, |whole, end| match end {
                Err(ErrorKind::Truncated) => whole < MESSAGES,
                end => *end == Err(ErrorKind::PeerGone),
            })
        });
    });
}

#[test]
fn a_receiver_sees_a_goodbye_or_a_death_when_its_peer_dies_at_any_system_call_of_leaving() {
    let name = "a_receiver_sees_a_goodbye_or_a_death_when_its_peer_dies_at_any_system_call_of_leaving";
    each_rendezvous(name, |house, scheme| {
        at_every_stop(house, scheme, "disconnect", |stage| {
            with_a_server(house, scheme, stage, |_, end| matches!(end, Ok(()) | Err(ErrorKind::PeerGone)))
        });
    });
}

/// What a client is told whose server dies before or after it was taken in.
fn connect_and_listen(house: &House, scheme: &str) -> Result<()> {
    let options = house.client_options().deadline(PATIENCE);
    let mut server = AnyConnection::connect_with(&House::address(scheme).parse()?, &options)?;
    server.recv_borrowed_by(PATIENCE).map(drop)
}

fn is_of_the_dead(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::PeerGone | ErrorKind::NoSuchServer { .. })
}

/// Has a client die that a server in this process takes in. If it was taken in, so many whole messages came from
/// it, and this end; `right` says whether they may. Another client is served afterwards.
fn with_a_server(
    house: &House,
    scheme: &str,
    stage: &Stage<'_>,
    right: impl Fn(u8, &std::result::Result<(), ErrorKind>) -> bool + Sync,
) -> Fate {
    let mut server = house.serve_here(scheme);
    let stop = server.stop_handle().unwrap();
    let fate = thread::scope(|scope| {
        scope.spawn(|| {
            while let Some(client) = next(&mut server) {
                if client.peer().pid.number() == Some(std::process::id()) {
                    echo(client).unwrap();
                } else {
                    let (whole, end) = receive_all(client);
                    assert!(right(whole, &end), "{}: {whole} messages and {end:?}", stage.after);
                }
            }
        });
        let _stop = StopAtEnd(stop);
        let fate = stage.kill(stage.victim());
        reaches_a_server(house, scheme, &stage.after);
        fate
    });
    server.destroy_server().unwrap();
    nothing_is_left(house, &stage.after);
    fate
}

fn next(server: &mut AnyServer) -> Option<AnyConnection> {
    match server.accept_client() {
        Ok(client) => Some(client),
        Err(error) if *error.kind() == ErrorKind::Stopped => None,
        Err(error) => panic!("a dead client made accept fail: {error}"),
    }
}

/// How many messages came, each of which is as it was sent, and what came after them.
fn receive_all(mut client: AnyConnection) -> (u8, std::result::Result<(), ErrorKind>) {
    let mut info = Vec::new();
    for number in 0.. {
        match client.recv_info_by(&mut info, PATIENCE) {
            Ok(true) => assert!(info == vec![number; MESSAGE], "message {number} is not what was sent"),
            Ok(false) => return (number, Ok(())),
            Err(error) => return (number, Err(error.kind().clone())),
        }
    }
    unreachable!("so many messages were never sent")
}
