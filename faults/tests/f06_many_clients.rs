//! F6: 1,000 clients over unix and 600 over fifo at the same time, 100 messages each; then 10,000 connect cycles.
//! `HOBNOB_F6` is how many per cent of that. Server and clients are one user who is not root: root's pipes have no
//! limit.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, chown},
    process::Command,
};

use faults::{House, OTHER, Process, Program, budget, each_road, saw, settles};

const MESSAGES: u64 = 100;
const CYCLES: u64 = 10_000;
/// How many processes make the cycles.
const VISITORS: u64 = 4;
/// By how many KiB the server's memory may be above what it was when warm: what malloc keeps varies so much.
const SLACK: u64 = 512;

#[test]
fn many_clients_at_once_are_all_answered_and_leave_nothing() {
    each_road("many_clients_at_once_are_all_answered_and_leave_nothing", |house, scheme| {
        let percent = budget("HOBNOB_F6", 10);
        let clients = (if scheme == "fifo" { 600 } else { 1000 }) * percent / 100;
        let cycles = CYCLES * percent / 100;
        let mut server = start(house, "serve-crowd", &[&House::address(scheme)]);
        server.wait_for("listening");
        let process = server.process();
        let at_first = process.descriptors();
        // Warm: malloc has its pools, and the kernel its caches.
        crowd(house, scheme, clients, &process, at_first);
        visits(house, scheme, cycles / 10);
        is_as_at_first(&process, at_first);
        let warm = memory(house, scheme, &process);
        crowd(house, scheme, clients, &process, at_first);
        is_as_at_first(&process, at_first);
        let after_crowd = memory(house, scheme, &process);
        visits(house, scheme, cycles);
        is_as_at_first(&process, at_first);
        let end = memory(house, scheme, &process);
        let memory = format!("{warm}, {after_crowd} and {end} KiB after warming up, a crowd and the cycles");
        assert!(after_crowd.max(end) <= warm + SLACK, "{scheme}: {memory}");
        let tries = format!("{clients} clients with {MESSAGES} messages each, twice, and {cycles} cycles");
        saw(
            "F6",
            scheme,
            tries,
            format!("every answer right; descriptors and threads as at first; {memory}"),
        );
    });
}

/// Above its soft limit of pipe pages a user gets pipes of 8 KiB, or of one page, which cannot be enlarged.
#[test]
fn fifo_clients_of_a_user_who_has_too_many_pipes_are_served_through_small_ones() {
    let name = "fifo_clients_of_a_user_who_has_too_many_pipes_are_served_through_small_ones";
    faults::watched(name, || {
        let house = House::new();
        let mut server = start(&house, "serve-crowd", &["fifo:calc"]);
        server.wait_for("listening");
        let mut hoarder = start(&house, "hoard", &[]);
        hoarder.wait_for("full");
        let mut client = start(&house, "squeeze", &["fifo:calc"]);
        let done = client.wait_for("done");
        assert!(["4096", "8192"].iter().any(|size| done.contains(size)), "the pipes are not small: {done}");
        saw("F6", "fifo", "1 MB there and back, above the limit of pipes", done);
    });
}

/// All at the same time: the server has a descriptor for each at least.
fn crowd(house: &House, scheme: &str, clients: u64, server: &Process, at_first: usize) {
    let arguments = [House::address(scheme), clients.to_string(), MESSAGES.to_string()];
    let mut crowd = start(house, "crowd", &arguments.each_ref().map(String::as_str));
    crowd.wait_for("all there");
    settles("a descriptor for each", &true, || server.descriptors() >= at_first + clients as usize);
    crowd.stdin.write_all(b"!").unwrap();
    crowd.wait_for("done");
}

fn visits(house: &House, scheme: &str, cycles: u64) {
    let times = cycles.div_ceil(VISITORS).to_string();
    let visitor = |_| start(house, "talk", &[&House::address(scheme), &times]);
    let mut visitors: Vec<_> = (0..VISITORS).map(visitor).collect();
    visitors.iter_mut().for_each(|visitor| drop(visitor.wait_for("done")));
}

/// The least of a few looks, a few clients apart: of what ended threads had, malloc gives some back at a later call.
/// What is lost never comes back.
fn memory(house: &House, scheme: &str, server: &Process) -> u64 {
    let look = |_| {
        visits(house, scheme, VISITORS);
        server.memory()
    };
    (0..5).map(look).min().unwrap()
}

fn is_as_at_first(server: &Process, descriptors: usize) {
    settles("threads", &1, || server.threads());
    settles("descriptors", &descriptors, || server.descriptors());
}

/// Root acts as another user here.
fn start(house: &House, role: &str, arguments: &[&str]) -> Program {
    let mut command: Command = if nix::unistd::geteuid().is_root() {
        if !house.names().exists() {
            fs::create_dir(house.names()).unwrap();
            fs::set_permissions(house.names(), fs::Permissions::from_mode(0o700)).unwrap();
            chown(house.names(), Some(OTHER), Some(OTHER)).unwrap();
        }
        house.actor_as(OTHER, role, arguments)
    } else {
        house.actor(role, arguments)
    };
    // With a heap for each thread, what malloc keeps depends on which threads met.
    Program::start(command.env("MALLOC_ARENA_MAX", "1"))
}
