//! How the server comes, goes and is killed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../tests/house/mod.rs"]
mod house;
mod site;

use std::path::Path;

use conformance::watched;
use house::{House, complaint};
use nix::sys::signal::Signal;
use site::{GET, RUNNING, Site, each_site, program};

#[test]
fn the_place_of_a_killed_server_is_taken_over_and_that_of_a_live_one_never() {
    each_site("the_place_of_a_killed_server_is_taken_over_and_that_of_a_live_one_never", &[], |site| {
        for _ in 0..2 {
            let second = complaint(&program(&site.house, &[&site.address]).output().unwrap());
            assert!(second.starts_with("http_server: ") && second.contains("in use"), "{second}");
            site.serves_the_next();

            // One that is connected when the server dies, too.
            let _client = site.connect();
            site.server.signal(Signal::SIGKILL);
            assert_eq!(site.server.ended(), (None, Some(9)));
            assert!(!site.is_unix() || Path::new(site.place().1).exists(), "nothing is left to take over");
            let house = std::mem::replace(&mut site.house, House::new());
            *site = Site::open_at(house, &site.address, &[]);
            site.serves_the_next();
        }
    });
}

#[test]
fn on_a_signal_what_has_come_is_answered_and_the_socket_removed() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let name = "on_a_signal_what_has_come_is_answered_and_the_socket_removed";
        each_site(name, &["--timeout", "1000"], |site| {
            let mut asking: Vec<_> = (0..50).map(|_| site.connect()).collect();
            let mut silent: Vec<_> = (0..20).map(|_| site.connect()).collect();
            assert!(site.server.lines().take(70).all(|line| line.starts_with("New ")));
            silent.iter_mut().for_each(|client| client.write_all(b"GET / HTTP/1.1\r\nHo").unwrap());
            // The requests and the signal are there when it goes on.
            site.pause();
            asking.iter_mut().for_each(|client| client.write_all(GET.as_bytes()).unwrap());
            site.server.signal(signal);
            site.server.signal(Signal::SIGCONT);

            asking.iter_mut().for_each(|client| assert_eq!(client.told(), RUNNING));
            silent.iter_mut().for_each(|client| assert_eq!(client.told(), ""));
            assert_eq!(site.server.ended(), (Some(0), None));
            assert!(!site.is_unix() || !Path::new(site.place().1).exists());
        });
    }
}

#[test]
fn what_cannot_be_served_is_told_in_one_line() {
    watched("what_cannot_be_served_is_told_in_one_line", || {
        let house = House::new();
        for (address, expected) in [
            ("tcp:192.0.2.1:8080", "plaintext_beyond_loopback"),
            ("fifo:/tmp/http", "expected"),
            ("unix:/nowhere/at/all", "/nowhere/at/all"),
        ] {
            let told = complaint(&program(&house, &[address]).output().unwrap());
            assert!(told.starts_with("http_server: ") && told.contains(expected), "{told}");
        }
        let no_address = program(&house, &["/tmp/socket"]).output().unwrap();
        assert_eq!(no_address.status.code(), Some(2), "{no_address:?}");
    });
}
