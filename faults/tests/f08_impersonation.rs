//! F8: nobody is taken for another user, whatever is done to names, files and descriptors. Each method is a function
//! in a table; a server that lets everybody in says of every message whose it took it for, and every message says who
//! opened the connection that it came over.
//!
//! `HOBNOB_F8` is how often something is tried in all. The tests need root, to act as other users.
#![allow(clippy::unwrap_used)]

#[path = "f08_impersonation/by_fifos.rs"]
mod by_fifos;
#[path = "f08_impersonation/by_namespaces.rs"]
mod by_namespaces;
#[path = "f08_impersonation/by_socket.rs"]
mod by_socket;
#[path = "f08_impersonation/either_way.rs"]
mod either_way;
#[path = "f08_impersonation/stage.rs"]
mod stage;

use faults::{budget, each_rendezvous, is_root, saw, skipped};
use stage::{Method, Stage};

#[test]
fn nobody_is_taken_for_another_user() {
    if !is_root("F8, impersonation") {
        return;
    }
    let all = either_way::METHODS.len() * 2 + by_socket::METHODS.len() + by_fifos::METHODS.len();
    let tries = budget("HOBNOB_F8", 200).div_ceil(all as u64);
    each_rendezvous("nobody_is_taken_for_another_user", |house, scheme| {
        let stage = Stage::new(house, scheme);
        let of_its_own = if scheme == "unix" { by_socket::METHODS } else { by_fifos::METHODS };
        let methods: Vec<&Method> = either_way::METHODS.iter().chain(of_its_own).collect();
        for (name, method) in &methods {
            for _ in 0..tries {
                method(&stage);
                stage.settle(name);
            }
        }
        let seen = format!(
            "{} methods: 0 taken for another user ({} turned away, {} served as who they are)",
            methods.len(),
            stage.refused.get(),
            stage.heard.get()
        );
        saw("F8", scheme, format!("{} tries", tries * methods.len() as u64), seen);
    });
}

/// What is between a look and an opening is a few microseconds wide; here it is made wider.
#[test]
fn nobody_comes_between_looking_and_opening() {
    if !is_root("F8, names that change under the server's eyes") {
        return;
    }
    let tries = budget("HOBNOB_F8", 200).div_ceil(4);
    each_rendezvous("nobody_comes_between_looking_and_opening", |house, scheme| {
        // A socket's file is looked at and unlinked, and never opened.
        if scheme == "unix" {
            return;
        }
        let Some(stage) = Stage::slow(house, scheme) else {
            return skipped(
                "F8, names that change under the server's eyes: there is no strace to make it slow",
            );
        };
        for (name, method) in by_fifos::RACES {
            for _ in 0..tries {
                method(&stage);
                stage.settle(name);
            }
        }
        let seen = format!("0 taken for another user ({} served as who they are)", stage.heard.get());
        saw(
            "F8",
            scheme,
            format!("{} races with a server made slow", tries * by_fifos::RACES.len() as u64),
            seen,
        );
    });
}

#[test]
fn a_client_of_a_foreign_pid_namespace_has_no_pid_and_the_right_uid() {
    if !is_root("F8, a foreign PID namespace") {
        return;
    }
    each_rendezvous("a_client_of_a_foreign_pid_namespace_has_no_pid_and_the_right_uid", |house, scheme| {
        by_namespaces::foreign_client(house, scheme);
    });
}

/// On FIFOs a pid is only claimed; a socket's client file must have the number by which the server knows the client.
#[test]
fn a_client_of_an_inner_pid_namespace_is_never_taken_for_another() {
    if !is_root("F8, an inner PID namespace") {
        return;
    }
    each_rendezvous("a_client_of_an_inner_pid_namespace_is_never_taken_for_another", |house, scheme| {
        by_namespaces::inner_client(house, scheme);
    });
}
