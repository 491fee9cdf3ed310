//! What a process killed with SIGKILL leaves to the others: the next server starts, and no part of a message is
//! ever taken for one.
#![cfg(feature = "_processes")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;

use std::{env, io::Write, os::fd::AsFd, path::PathBuf, process::Command};

use conformance::kind_of;
use hobnob::{ErrorKind, IpcReceiver, IpcSender, IpcServer};
use house::{Program, complaint, each_address, echoes};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::Signal,
};

#[test]
fn after_kill_9_the_next_server_starts_and_leaves_nothing() {
    each_address("after_kill_9_the_next_server_starts_and_leaves_nothing", |house, address| {
        for _ in 0..5 {
            let mut server = house.serve(address);
            let mut client = house.connect(address);
            echoes(&mut client, b"alive");
            server.signal(Signal::SIGKILL);
            assert_eq!(server.ended(), (None, Some(9)));
            assert_eq!(kind_of(&client.recv_borrowed()), Some(&ErrorKind::PeerGone));
            assert!(complaint(&house.client(&[address, "hello"], "")).contains("no such server"));
        }
        let mut server = house.serve(address);
        echoes(&mut house.connect(address), b"alive again");
        server.signal(Signal::SIGTERM);
        assert_eq!(server.ended(), (Some(0), None));
        assert_eq!(house.left_over(), Vec::<PathBuf>::new());
    });
}

#[test]
fn a_client_killed_in_mid_conversation_leaves_the_others_served() {
    each_address("a_client_killed_in_mid_conversation_leaves_the_others_served", |house, address| {
        let mut server = house.serve(address);
        let mut before = house.connect(address);
        let mut victim = Program::start(&mut house.command("echo_client", &[address]));
        writeln!(victim.stdin, "in the middle").unwrap();
        victim.wait_for("in the middle");
        victim.signal(Signal::SIGKILL);
        assert_eq!(victim.ended(), (None, Some(9)));
        echoes(&mut before, b"others live on");
        echoes(&mut house.connect(address), b"others still come");
        server.signal(Signal::SIGTERM);
        assert_eq!(server.ended(), (Some(0), None));
        assert_eq!(house.left_over(), Vec::<PathBuf>::new());
    });
}

/// Nobody reads, so the message is still leaving when its sender is killed.
#[test]
fn half_a_message_of_a_killed_client_is_truncated() {
    each_address("half_a_message_of_a_killed_client_is_truncated", |house, address| {
        let mut server = house.serve_here(address);
        let command = &mut house.command("echo_client", &[address, "--count", "1", "--size", "16000000"]);
        let mut victim = Program::start(command);
        let mut client = server.accept_client().unwrap();
        poll(&mut [PollFd::new(client.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
        victim.signal(Signal::SIGKILL);
        assert_eq!(victim.ended(), (None, Some(9)));
        assert_eq!(kind_of(&client.recv_borrowed()), Some(&ErrorKind::Truncated), "{address}");
    });
}

#[test]
fn the_queue_of_a_killed_client_is_whole_messages_in_order() {
    const NAME: &str = "the_queue_of_a_killed_client_is_whole_messages_in_order";
    let message = |i: usize| vec![i as u8; i * 10_000];
    if let Ok(address) = env::var("HOBNOB_TEST_FLOOD") {
        let mut server = hobnob::connect_to(&address).unwrap();
        for i in 0.. {
            server.send_info(&message(i)).unwrap();
        }
    }
    each_address(NAME, |house, address| {
        let mut server = house.serve_here(address);
        let mut again = Command::new(env::current_exe().unwrap());
        again.args([NAME, "--exact"]).env(hobnob::VARIABLE, house.names()).env("HOBNOB_TEST_FLOOD", address);
        let mut victim = Program::start(&mut again);
        let mut client = server.accept_client().unwrap();
        (0..10).for_each(|i| assert_eq!(client.recv_borrowed().unwrap(), Some(&message(i)[..])));
        victim.signal(Signal::SIGKILL);
        assert_eq!(victim.ended(), (None, Some(9)));
        let mut whole = 10;
        let mut info = Vec::new();
        let end = loop {
            match client.recv_info(&mut info) {
                Ok(true) => assert_eq!(info, message(whole), "{address}, message {whole}"),
                end => break end,
            }
            whole += 1;
        };
        assert!(
            matches!(kind_of(&end), Some(ErrorKind::PeerGone | ErrorKind::Truncated)),
            "{address}: {end:?}"
        );
    });
}
