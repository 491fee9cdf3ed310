//! The page with real processes, over every transport, seen by curl through the relay.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../tests/house/mod.rs"]
mod house;

use std::{fs, process::Command};

use conformance::watched;
use house::{House, Program, complaint, each_address, said, skipped};
use nix::sys::signal::Signal;

fn program(house: &House, arguments: &[&str]) -> Command {
    house.inside(Command::new(env!("CARGO_BIN_EXE_http_over_any")), arguments)
}

/// A relay at a free port, and its URL.
fn started(house: &House, arguments: &[&str]) -> (Program, String) {
    let mut relay = Program::start(&mut program(house, arguments));
    let said = relay.lines().find(|line| line.starts_with("forwarding ")).expect("that it forwards");
    (relay, format!("http://{}", said.split(' ').nth(1).unwrap()))
}

/// None: there is no curl.
fn curl(house: &House) -> Option<Command> {
    let mut command = house.inside(Command::new("curl"), &["-sS", "--max-time", "100"]);
    if Command::new("curl").arg("--version").output().is_err() {
        skipped("there is no curl");
        return None;
    }
    command.env_remove("http_proxy");
    Some(command)
}

/// What is promised to curl at a URL.
fn visit(house: &House, url: &str, peer: u32) {
    let Some(mut keep_alive) = curl(house) else { return };
    let seen = said(&keep_alive.args([url, url, "-w", "%{num_connects} connection\n"]).output().unwrap());
    let lines: Vec<&str> = seen.lines().collect();
    assert!(lines[0].starts_with("hello, uid ") && lines[0].contains(&format!(" pid {peer} ")), "{seen}");
    assert_eq!(lines[1..], ["1 connection", lines[0], "0 connection"], "one connection is kept");
    let big: Vec<u8> = (0..20_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let (sent, back) = (house.place("sent"), house.place("back"));
    fs::write(&sent, &big).unwrap();
    let echo = ["--data-binary", &format!("@{}", sent.display()), "-o", back.to_str().unwrap()];
    said(&curl(house).unwrap().args(echo).arg(format!("{url}/echo")).output().unwrap());
    assert!(fs::read(back).unwrap() == big, "what came back is not what was sent");
    let unknown = curl(house).unwrap().args(["-w", "%{http_code}", &format!("{url}/x")]).output().unwrap();
    assert!(said(&unknown).ends_with("404"), "{unknown:?}");
}

#[test]
fn curl_sees_the_page_through_a_relay() {
    each_address("curl_sees_the_page_through_a_relay", |house, address| {
        let mut server = Program::start(&mut program(house, &["serve", address]));
        server.wait_for("listening on");
        let (mut relay, url) = started(house, &["forward", "127.0.0.1:0", address]);
        visit(house, &url, relay.child.id());
        for program in [&mut server, &mut relay] {
            program.signal(Signal::SIGTERM);
            assert_eq!(program.ended(), (Some(0), None));
        }
        assert!(house.left_over().is_empty());
    });
}

#[test]
fn in_one_process_the_relay_is_the_way_in() {
    watched("in_one_process_the_relay_is_the_way_in", || {
        let house = House::new();
        let (mut both, url) = started(&house, &["serve", "inproc:web", "--forward", "127.0.0.1:0"]);
        visit(&house, &url, both.child.id());
        both.signal(Signal::SIGINT);
        assert_eq!(both.ended(), (Some(0), None));
    });
}

#[test]
fn a_relay_may_listen_at_a_path_and_outlives_its_server() {
    each_address("a_relay_may_listen_at_a_path_and_outlives_its_server", |house, address| {
        let socket = house.place("http");
        let path = socket.to_str().unwrap();
        let (mut relay, _) = started(house, &["forward", path, address]);
        let Some(_) = curl(house) else { return };
        let visit = || curl(house).unwrap().args(["--unix-socket", path, "http://any/"]).output().unwrap();
        assert!(!visit().status.success(), "there is no server yet");
        for _ in 0..2 {
            let mut server = Program::start(&mut program(house, &["serve", address]));
            server.wait_for("listening on");
            assert!(said(&visit()).starts_with("hello, "));
            // Killed: the next one is reached by the same relay.
        }
        let taken = complaint(&program(house, &["forward", path, address]).output().unwrap());
        assert!(taken.contains("in use"), "{taken}");
        relay.signal(Signal::SIGTERM);
        assert_eq!(relay.ended(), (Some(0), None));
        assert!(!socket.exists());
    });
}
