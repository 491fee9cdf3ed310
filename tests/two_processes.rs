//! The two example programs as real processes: what they print, how they end, and what a killed one leaves.
//! inproc has no second process, so nothing of this is for it.
#![cfg(feature = "_processes")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt, chown},
    path::PathBuf,
};

use conformance::watched;
use hobnob::IpcReceiver;
use house::{House, Program, addresses, complaint, each_address, echoes, said, skipped};
use nix::sys::signal::Signal;

#[test]
fn the_client_prints_what_came_back() {
    each_address("the_client_prints_what_came_back", |house, address| {
        let _server = house.serve(address);
        assert_eq!(said(&house.client(&[address, "one", "", "two words"], "")), "one\n\ntwo words\n");
        assert_eq!(said(&house.client(&[address], "from\n\nstandard input\n")), "from\n\nstandard input\n");
        let measured = said(&house.client(&[address, "--count", "100", "--size", "100000"], ""));
        assert!(measured.starts_with("100 messages of 100000 B: p50 "), "{measured}");
    });
}

#[test]
fn a_failure_is_exit_code_1_and_one_line_with_the_address_and_the_cause() {
    each_address("a_failure_is_exit_code_1_and_one_line_with_the_address_and_the_cause", |house, address| {
        let nobody = complaint(&house.client(&[address, "hello"], ""));
        assert!(nobody.contains(address) && nobody.contains("no such server"), "{nobody}");
        assert!(nobody.contains(house.names().to_str().unwrap()), "{nobody}");
        fs::DirBuilder::new().mode(0o755).create(house.names()).unwrap();
        let open_to_all = complaint(&house.command("echo_server", &[address]).output().unwrap());
        assert!(open_to_all.contains(address) && open_to_all.contains("mode 0755"), "{open_to_all}");
    });
}

#[test]
fn bad_arguments_are_exit_code_2() {
    watched("bad_arguments_are_exit_code_2", || {
        let house = House::new();
        let bad: [&[&str]; 6] = [
            &[],
            &["UNIX:calc"],
            &["unix:a/b"],
            &["calc", "--size", "9"],
            &["calc", "--count", "0"],
            &["calc", "-x"],
        ];
        for arguments in bad {
            for program in ["echo_client", "echo_server"] {
                let ended = house.command(program, arguments).output().unwrap();
                assert_eq!(ended.status.code(), Some(2), "{program} {arguments:?}: {ended:?}");
                assert!(
                    ended.stdout.is_empty() && !ended.stderr.is_empty(),
                    "{program} {arguments:?}: {ended:?}"
                );
            }
        }
    });
}

#[test]
fn sigterm_and_sigint_are_a_goodbye_to_every_client_and_a_clean_end() {
    each_address("sigterm_and_sigint_are_a_goodbye_to_every_client_and_a_clean_end", |house, address| {
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let mut server = house.serve(address);
            let mut clients = [house.connect(address), house.connect(address)];
            clients.iter_mut().for_each(|client| echoes(client, b"alive"));
            server.signal(signal);
            for client in &mut clients {
                assert_eq!(client.recv_borrowed().unwrap(), None, "{address}, {signal}");
            }
            assert_eq!(server.ended(), (Some(0), None), "{address}, {signal}");
            assert_eq!(house.left_over(), Vec::<PathBuf>::new());
            assert!(complaint(&house.client(&[address, "hello"], "")).contains("no such server"));
        }
    });
}

#[test]
fn a_second_live_server_is_refused_and_told_the_pid_of_the_first() {
    each_address("a_second_live_server_is_refused_and_told_the_pid_of_the_first", |house, address| {
        let first = house.serve(address);
        // Over another transport it is the same name.
        for second in addresses() {
            let refused = complaint(&house.command("echo_server", &[&second]).output().unwrap());
            assert!(refused.contains(&format!("pid {} ", first.child.id())), "{refused}");
        }
        echoes(&mut house.connect(address), b"still here");
    });
}

#[test]
fn two_terminals_swap_the_transport_by_the_address_alone() {
    watched("two_terminals_swap_the_transport_by_the_address_alone", || {
        let house = House::new();
        for address in addresses() {
            let mut server = house.serve(&address);
            for wanted in [address.as_str(), "calc"] {
                assert_eq!(said(&house.client(&[wanted, "hello"], "")), "hello\n", "{wanted} at {address}");
            }
            server.signal(Signal::SIGTERM);
            assert_eq!(server.ended(), (Some(0), None));
        }
    });
}

#[test]
#[cfg(all(feature = "unix", feature = "fifo", feature = "tcp"))]
fn a_client_over_another_transport_is_told_at_once() {
    watched("a_client_over_another_transport_is_told_at_once", || {
        for (server, client) in [("unix", "fifo"), ("fifo", "unix")] {
            let house = House::new();
            let _server = house.serve(&format!("{server}:calc"));
            // One that waited would not come back before the watchdog.
            let told = complaint(&house.client(&[&format!("{client}:calc"), "x", "--timeout", "100000"], ""));
            assert!(told.contains(&format!("the server speaks {server}, the client {client}")), "{told}");
        }
    });
}

/// The first place where a client looks is not safe to believe; that is no reason not to look further.
#[test]
fn an_unsafe_place_does_not_hide_the_server_in_the_next() {
    watched("an_unsafe_place_does_not_hide_the_server_in_the_next", || {
        let house = House::new();
        let name = format!("two-processes-{}", std::process::id());
        let usual = |program, arguments: &[&str]| {
            let mut command = house.command(program, arguments);
            command.env_remove(hobnob::VARIABLE).env_remove("XDG_RUNTIME_DIR");
            command
        };
        let mut server = Program::start(&mut usual("echo_server", &[&name]));
        server.wait_for("listening on");
        let session = house.names();
        fs::DirBuilder::new().recursive(true).create(session.join("hobnob")).unwrap();
        let reach = || {
            said(&usual("echo_client", &[&name, "found"]).env("XDG_RUNTIME_DIR", &session).output().unwrap())
        };
        fs::set_permissions(session.join("hobnob"), fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(reach(), "found\n", "past a directory that anybody can write to");
        fs::set_permissions(session.join("hobnob"), fs::Permissions::from_mode(0o700)).unwrap();
        match chown(session.join("hobnob"), Some(65534), None) {
            Ok(()) => assert_eq!(reach(), "found\n", "past a directory of another user"),
            Err(error) => skipped(&format!("a directory of another user cannot be made: {error}")),
        }
        // This one was in a directory that is not ours alone.
        server.signal(Signal::SIGTERM);
        assert_eq!(server.ended(), (Some(0), None));
    });
}
