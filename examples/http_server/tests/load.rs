//! Many requests at once: each is answered, and to the last byte.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../tests/house/mod.rs"]
mod house;
mod site;

use std::{process::Command, thread};

use conformance::watched;
use house::{said, skipped};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use site::{GET, RUNNING, Site, asked, each_site};

/// Runs this while somebody reads what the server prints, for a full pipe would stop it; says how many have come.
fn newcomers_during(site: &mut Site, load: impl FnOnce(&str)) -> usize {
    let Site { server, address, .. } = site;
    let server_is = Pid::from_raw(server.child.id().cast_signed());
    let newcomers = thread::scope(|scope| {
        let newcomers = scope.spawn(|| server.lines().filter(|line| line.starts_with("New ")).count());
        load(address);
        kill(server_is, Signal::SIGTERM).unwrap();
        newcomers.join().unwrap()
    });
    assert_eq!(server.ended(), (Some(0), None));
    newcomers
}

#[test]
fn every_request_of_many_clients_at_once_is_answered() {
    each_site("every_request_of_many_clients_at_once_is_answered", &[], |site| {
        let newcomers = newcomers_during(site, |address| {
            thread::scope(|scope| {
                for _ in 0..32 {
                    scope.spawn(|| (0..50).for_each(|_| assert_eq!(asked(address, GET.as_bytes()), RUNNING)));
                }
            });
        });
        assert_eq!(newcomers, 32 * 50);
    });
}

#[test]
fn a_load_tool_finds_no_request_that_failed() {
    watched("a_load_tool_finds_no_request_that_failed", || {
        if Command::new("wrk").arg("--version").output().is_err() {
            return skipped("there is no wrk");
        }
        // It knows no AF_UNIX.
        newcomers_during(&mut Site::open("tcp", &[]), |address| {
            let url = format!("http://{}/", address.trim_start_matches("tcp:"));
            let told = said(&Command::new("wrk").args(["-t1", "-c16", "-d1s", &url]).output().unwrap());
            assert!(told.contains("Requests/sec") && !told.contains(" 0 requests in"), "{told}");
            assert!(!told.contains("Socket errors") && !told.contains("Non-2xx"), "{told}");
        });
    });
}
