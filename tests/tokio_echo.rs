//! The example on tokio as a real process: what it prints, and that what clients had sent is answered when it ends.
#![cfg(all(feature = "tokio", feature = "_processes"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;

use std::path::PathBuf;

use hobnob::{IpcReceiver, IpcSender};
use house::{House, Program, complaint, each_address, echoes, said};
use nix::sys::signal::Signal;

fn serve(house: &House, address: &str) -> Program {
    let mut server = Program::start(&mut house.command("tokio_echo", &["serve", address]));
    server.wait_for("listening on");
    server
}

#[test]
fn it_talks_to_itself_and_to_the_others() {
    each_address("it_talks_to_itself_and_to_the_others", |house, address| {
        let talk =
            || house.command("tokio_echo", &["talk", address, "one", "", "two words"]).output().unwrap();
        let nobody = complaint(&talk());
        assert!(nobody.contains(address) && nobody.contains("no such server"), "{nobody}");
        let server = serve(house, address);
        assert_eq!(said(&talk()), "one\n\ntwo words\n");
        assert_eq!(said(&house.client(&[address, "hello"], "")), "hello\n");
        drop(server);
        let _server = house.serve(address);
        assert_eq!(said(&talk()), "one\n\ntwo words\n");
    });
}

#[test]
fn when_it_ends_it_has_answered_all_that_was_sent() {
    each_address("when_it_ends_it_has_answered_all_that_was_sent", |house, address| {
        let mut server = serve(house, address);
        let mut clients = [house.connect(address), house.connect(address)];
        clients.iter_mut().for_each(|client| echoes(client, b"alive"));
        for client in &mut clients {
            (0..100_u8).for_each(|i| client.send_info(&[i]).unwrap());
        }
        server.signal(Signal::SIGINT);
        for client in &mut clients {
            (0..100_u8).for_each(|i| assert_eq!(client.recv_borrowed().unwrap(), Some(&[i][..])));
            assert_eq!(client.recv_borrowed().unwrap(), None);
        }
        server.wait_for("served 2 clients, left 0 behind");
        assert_eq!(server.ended(), (Some(0), None));
        assert_eq!(house.left_over(), Vec::<PathBuf>::new());
    });
}
