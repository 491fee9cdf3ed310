//! F7 at a path, in a directory where everybody may make files, as /tmp is. There the rendezvous can be seen, and its
//! mode says who may knock. It needs root, to act as other users.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt, chown},
};

use conformance::watched;
use faults::{House, OTHER, Program, aftermath::shown, is_root, saw};

/// A user that is neither root nor a client's, and runs a server.
const SERVER: u32 = 1500;

const DENIED: &str = "Denied";
const NOT_ADMITTED: &str = "Refused { reason: NotAdmitted }";
const UNTRUSTED: &str = "ServerUntrusted { uid: 1500 }";
const IN: &str = "in";

/// The server's user, the client's, whether the server is shared, whether its policy admits the other user, whether the
/// client trusts the server's user by option: and what comes of it.
type Row = (u32, u32, bool, bool, bool, &'static str);

const TABLE: [Row; 11] = [
    (0, 0, false, false, false, IN),
    (SERVER, SERVER, false, false, false, IN),
    (SERVER, SERVER, true, true, false, IN),
    (0, OTHER, false, true, false, DENIED),
    (SERVER, OTHER, false, true, true, DENIED),
    (0, OTHER, true, true, false, IN),
    (0, OTHER, true, false, false, NOT_ADMITTED),
    (SERVER, OTHER, true, true, true, IN),
    (SERVER, OTHER, true, true, false, UNTRUSTED),
    (SERVER, 0, true, true, false, UNTRUSTED),
    (SERVER, 0, true, true, true, NOT_ADMITTED),
];

#[test]
fn the_table_of_users_is_exact_at_a_path() {
    if !is_root("F7, the table of users at a path") {
        return;
    }
    watched("the_table_of_users_is_exact_at_a_path", || {
        for scheme in ["unix", "fifo"] {
            TABLE.into_iter().for_each(|row| is_exact(scheme, row));
        }
    });
}

fn is_exact(scheme: &str, (server, client, shared, admits, trusts, expected): Row) {
    let house = House::new();
    fs::DirBuilder::new().mode(0o700).create(house.names()).unwrap();
    chown(house.names(), Some(server), Some(server)).unwrap();
    let place = house.path().join("place");
    fs::create_dir(&place).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o1777)).unwrap();
    let address = format!("{scheme}:{}", place.join("calc").display());

    let sharing = if shared { "shared" } else { "private" };
    let admitted = if admits { OTHER.to_string() } else { "nobody".to_owned() };
    let mut serving =
        Program::start(&mut house.actor_as(server, "matrix-server", &[&address, sharing, &admitted]));
    serving.wait_for("listening");
    let trusted = if trusts { server } else { client };
    let mut visiting =
        Program::start(&mut house.actor_as(client, "visit", &[&address, &trusted.to_string()]));
    let outcome = visiting.wait_for("outcome");
    let outcome = outcome.trim_start_matches("outcome ");

    let what =
        format!("server {server}, {sharing}, admits {admitted}; client {client} that trusts {trusted}");
    assert!(outcome.starts_with(expected), "{address}, {what}: {outcome}, and not {expected}");
    saw("F7", shown(&address), what, expected);
}
