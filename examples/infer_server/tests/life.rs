//! How the server begins and ends.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../tests/house/mod.rs"]
mod house;
mod stage;

use std::process::Output;

use conformance::watched;
use house::{Program, complaint};
use nix::sys::signal::Signal;
use stage::{Answer, Stage, large, request};

#[test]
fn a_killed_servers_socket_is_taken_over_and_a_live_ones_never() {
    watched("a_killed_servers_socket_is_taken_over_and_a_live_ones_never", || {
        let stage = Stage::new();
        let mut first = stage.serve(&[]);
        first.signal(Signal::SIGKILL);
        assert_eq!(first.ended(), (None, Some(9)));
        assert!(stage.socket().exists(), "there is something to take over");
        let mut second = stage.serve(&[]);
        let refused = complaint(&stage.at_home(&[]).output().unwrap());
        assert!(refused.starts_with("infer_server: ") && refused.contains("in use"), "{refused}");
        assert!(matches!(stage.client().ask("7-1.png"), Answer::Digit(7, _)), "the second goes on");
        stage::end(&mut second);
        assert!(!stage.socket().exists());
    });
}

/// Sends requests for an image to a stopped server, and has it go on with a signal to end.
fn ended_with_work(stage: &Stage, server: &mut Program, signal: Signal, image: &str) {
    let client = stage.client();
    server.signal(Signal::SIGSTOP);
    (0..8).for_each(|id| client.send(&request(id, image.as_bytes(), b"")));
    server.signal(signal);
    server.signal(Signal::SIGCONT);
    for id in 0..8 {
        let (of, answer) = client.next();
        assert_eq!(of, id);
        assert!(matches!(answer, Answer::Digit(7, _)), "{answer:?}");
    }
    assert_eq!(server.ended(), (Some(0), None));
    assert!(!stage.socket().exists());
}

#[test]
fn what_is_there_when_it_is_told_to_end_is_answered() {
    watched("what_is_there_when_it_is_told_to_end_is_answered", || {
        let stage = Stage::new();
        stage.hang("large.png", &large(12));
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            for image in ["7-1.png", "large.png"] {
                ended_with_work(&stage, &mut stage.serve(&[]), signal, image);
            }
        }
    });
}

#[test]
fn the_path_comes_from_the_environment_and_the_argument_comes_first() {
    watched("the_path_comes_from_the_environment_and_the_argument_comes_first", || {
        let stage = Stage::new();
        let (socket, elsewhere) = (stage.socket(), stage.house.place("elsewhere.sock"));
        let with = |arguments: &[&str], path: &std::path::Path| {
            let mut command = stage.command(arguments);
            command.env("SOCKET_PATH", path).current_dir(stage.house.place(""));
            stage::end(&mut stage.started(&mut command));
        };
        with(&[], &socket);
        with(&[socket.to_str().unwrap()], &elsewhere);
        with(&[&format!("dgram:{}", socket.display())], &elsewhere);
        // Relative, as clients would give it.
        with(&[], "infer.sock".as_ref());
    });
}

fn failed(stage: &Stage, arguments: &[&str], status: i32, because: &str) {
    let ended: Output = stage.command(arguments).env_remove("SOCKET_PATH").output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(status), "{arguments:?}: {said}");
    assert!(said.contains(because) && ended.stdout.is_empty(), "{arguments:?}: {said}");
    assert!(status == 2 || (said.starts_with("infer_server: ") && said.lines().count() == 1), "{said}");
}

#[test]
fn what_is_wrong_at_the_start_is_said() {
    watched("what_is_wrong_at_the_start_is_said", || {
        let stage = Stage::new();
        let at = stage.socket();
        let at = at.to_str().unwrap();
        let long = format!("/tmp/{}", "x".repeat(120));
        failed(&stage, &[at, "--root", "/nowhere/at all"], 1, "/nowhere/at all: ENOENT");
        failed(&stage, &[at, "--root", "/etc/passwd"], 1, "expected a directory");
        failed(&stage, &["/nowhere/at/all.sock"], 1, "/nowhere/at/all.sock");
        failed(&stage, &[&long], 1, "107 bytes");
        failed(&stage, &["unix:/tmp/infer.sock"], 1, "dgram");
        failed(&stage, &["/etc/passwd"], 1, "no socket");
        failed(&stage, &[], 2, "<ADDRESS>");
        failed(&stage, &[at, "--rate", "0"], 2, "--rate");
        failed(&stage, &["dgram:/x/../y"], 2, "..");
        assert!(!stage.socket().exists());
    });
}
