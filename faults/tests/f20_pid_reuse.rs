//! F20: a pid is used again. What a dead process of that number has left, its files or its record, neither stops nor
//! helps the new one. It runs in a PID namespace of its own, where the next pid can be chosen (ns_last_pid), as root.
//!
//! `HOBNOB_F20` is how often each is tried.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use faults::{
    ATTACKER, House, OTHER, Program, Puppet, become_again, budget, each_rendezvous, file, in_new_pids,
    is_root, kind_of, saw,
};
use hobnob::{AnyConnection, ErrorKind, Refusal};
use nix::sys::signal::Signal;

/// Tells the test that it runs in the namespace already.
const INSIDE: &str = "HOBNOB_F20_INSIDE";

/// Runs `test` in a PID namespace of its own, so many times over each transport.
fn in_a_namespace(name: &'static str, test: impl Fn(&House, &str)) {
    if std::env::var_os(INSIDE).is_some() {
        let tries = budget("HOBNOB_F20", 5);
        each_rendezvous(name, |house, scheme| {
            (0..tries).for_each(|_| test(house, scheme));
            saw("F20", scheme, format!("{tries} tries"), name.replace('_', " "));
        });
    } else if is_root("F20, pid reuse") {
        let mut inside = in_new_pids(&become_again(name, INSIDE), 0);
        // What went wrong is on its standard error; the other says that a test has begun.
        assert!(inside.stdout(Stdio::null()).status().unwrap().success());
    }
}

/// Starts a program under this pid. Threads that begin at the same time may take it; then it is tried again.
fn start_as(pid: u32, command: &mut Command) -> Program {
    for _ in 0..100 {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
        let program = Program::start(command);
        if program.child.id() == pid {
            return program;
        }
    }
    panic!("pid {pid} is never free");
}

fn puppet_as(pid: u32, house: &House, uid: u32) -> Puppet {
    let puppet =
        Puppet::of(start_as(pid, &mut house.actor_as(uid, "puppet", &[house.folder().to_str().unwrap()])));
    assert_eq!(puppet.pid, pid);
    puppet
}

/// A number that nobody has, for this test.
const PID: u32 = 5000;

fn witness(house: &House, scheme: &str) -> Program {
    let mut server = Program::start(&mut house.actor("witness", &[&House::address(scheme)]));
    server.wait_for("listening");
    server
}

/// What a client leaves that is killed before the server has looked at it. Gives one of the names.
fn leave_files(client: Puppet, scheme: &str) -> String {
    let name = client.fresh_name();
    client.does(&format!("{} {name}", if scheme == "unix" { "bind" } else { "pair" }));
    client.kill();
    if scheme == "unix" { name } else { format!("{name}.c2s") }
}

#[test]
fn files_of_a_dead_client_do_not_stop_a_new_one_with_its_pid() {
    in_a_namespace("files_of_a_dead_client_do_not_stop_a_new_one_with_its_pid", |house, scheme| {
        let _server = witness(house, scheme);
        let left = leave_files(puppet_as(PID, house, 0), scheme);
        let left = house.folder().join(left);
        let before = file(&left);
        assert!(before.is_some(), "the dead client has left no file");
        let mut client = start_as(PID, &mut house.actor("talk", &[&House::address(scheme), "1"]));
        client.wait_for("done");
        assert_eq!(file(&left), before, "the new client has touched what is not its own");
    });
}

/// The same with hobnob's own clients: the first is killed while it waits for a server that does not look, and the second
/// comes before the server goes on.
#[test]
fn a_client_can_come_beside_what_its_predecessor_has_left() {
    in_a_namespace("a_client_can_come_beside_what_its_predecessor_has_left", |house, scheme| {
        let server = house.serve(scheme);
        server.signal(Signal::SIGSTOP);
        let files = || fs::read_dir(house.folder().join("clients")).unwrap().count();
        let each = if scheme == "unix" { 1 } else { 2 };
        let mut clients = [1, 2].map(|nth| {
            let mut client = start_as(PID, &mut house.actor("talk", &[&House::address(scheme), "1"]));
            while files() < nth * each {
                assert!(client.child.try_wait().unwrap().is_none(), "client {nth} has given up");
                std::thread::yield_now();
            }
            if nth == 1 {
                client.kill();
            }
            client
        });
        server.signal(Signal::SIGCONT);
        clients[1].wait_for("done");
    });
}

#[test]
fn a_new_process_does_not_inherit_the_identity_of_its_pid() {
    in_a_namespace("a_new_process_does_not_inherit_the_identity_of_its_pid", |house, scheme| {
        let mut server = witness(house, scheme);
        let pid = if scheme == "unix" { format!("verified:{PID}") } else { format!("claimed:{PID}") };
        for (uid, text) in [(OTHER, "first"), (ATTACKER, "second")] {
            let client = puppet_as(PID, house, uid);
            join(house, scheme, &client);
            client.does(&format!("say {text}"));
            assert_eq!(server.wait_for("heard"), format!("heard {uid} {pid} {text}"));
            client.kill();
        }
    });
}

/// The dead one's file is fresh and has the right pid in its name; but not the right owner.
#[test]
fn a_dead_clients_file_is_no_use_to_another_user_with_its_pid() {
    in_a_namespace("a_dead_clients_file_is_no_use_to_another_user_with_its_pid", |house, scheme| {
        let _server = witness(house, scheme);
        let left = leave_files(puppet_as(PID, house, OTHER), scheme);
        let before = file(&house.folder().join(&left));
        let thief = puppet_as(PID, house, ATTACKER);
        if scheme == "unix" {
            let elsewhere = thief.fresh_name();
            thief.does(&format!("make-directory {elsewhere}"));
            thief.does(&format!("bind {}", left.replace("clients", &elsewhere)));
            thief.does("connect");
            assert_eq!(thief.does("shake"), Refusal::BadClientFile.code().to_string());
            assert_eq!(file(&house.folder().join(&left)), before);
        } else {
            let name = left.trim_end_matches(".c2s");
            assert!(thief.tries(&format!("open-pair {name}")).is_err(), "it can open what is not its own");
            thief.does(&format!("knock {name}"));
            drop(house.connect(scheme));
        }
    });
}

/// The way in of an honest client; `connect` of hobnob's own sees to it that a FIFO server has looked at the record.
fn join(house: &House, scheme: &str, client: &Puppet) {
    let name = client.fresh_name();
    if scheme == "unix" {
        client.does(&format!("bind {name}"));
        client.does("connect");
    } else {
        client.does(&format!("pair {name}"));
        client.does(&format!("knock {name}"));
        drop(house.connect(scheme));
    }
    assert_eq!(client.does("shake"), "0");
}

/// A server that was killed, and its pid is somebody else's by now.
fn server_is_dead_and_its_pid_alive(house: &House, scheme: &str) -> Program {
    let mut server = start_as(PID, &mut house.actor("serve", &[&House::address(scheme)]));
    server.wait_for("listening");
    server.kill();
    let record = fs::read_to_string(house.folder().join("record")).unwrap();
    assert!(record.contains(&format!("pid={PID}\n")), "{record}");
    start_as(PID, Command::new("sleep").arg("1000"))
}

#[test]
fn a_dead_servers_record_with_a_live_pid_makes_no_client_wait() {
    in_a_namespace("a_dead_servers_record_with_a_live_pid_makes_no_client_wait", |house, scheme| {
        let _stranger = server_is_dead_and_its_pid_alive(house, scheme);
        for address in [House::address(scheme), "calc".to_owned()] {
            let options = house.client_options();
            let refused = AnyConnection::connect_with(&address.parse().unwrap(), &options);
            assert!(
                matches!(kind_of(&refused), Some(ErrorKind::NoSuchServer { .. })),
                "{address}: {:?}",
                kind_of(&refused)
            );
        }
        let other = if scheme == "unix" { "fifo" } else { "unix" };
        let refused = house.try_connect(other);
        let kind = kind_of(&refused);
        assert!(
            matches!(kind, Some(ErrorKind::NoSuchServer { .. } | ErrorKind::WrongTransport { .. })),
            "{other}: {kind:?}"
        );
        drop(house.serve(scheme));
    });
}

#[test]
fn a_dead_servers_record_with_a_live_pid_stops_no_starter() {
    in_a_namespace("a_dead_servers_record_with_a_live_pid_stops_no_starter", |house, scheme| {
        let stranger = server_is_dead_and_its_pid_alive(house, scheme);
        // Somebody waits for a server meanwhile, and finds the new one.
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let options = house.client_options().wait_for_server(true).deadline(Duration::from_secs(60));
                AnyConnection::connect_with(&House::address(scheme).parse().unwrap(), &options).map(drop)
            });
            let mut server = Program::start(&mut house.actor("serve", &[&House::address(scheme)]));
            server.wait_for("listening");
            waiting.join().unwrap().unwrap();
            server.kill();
        });
        drop(stranger);
        // And the very same pid can serve again.
        let mut server = start_as(PID, &mut house.actor("serve", &[&House::address(scheme)]));
        server.wait_for("listening");
        drop(house.connect(scheme));
        server.kill();
    });
}
