//! F7: which users get in, and what those who do not are told; and what a user can do who means harm and may reach the
//! directories of a shared server. It needs root, to act as other users.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, chown},
};

use faults::{ATTACKER, House, OTHER, Program, Puppet, each_transport, is_root, saw, skipped};

/// A user that is neither root nor a client's, and runs a server.
const SERVER: u32 = 1500;

const NOBODY: &str = "NoSuchServer";
const NOT_ADMITTED: &str = "Refused { reason: NotAdmitted }";
const UNTRUSTED: &str = "ServerUntrusted { uid: 1500 }";
const IN: &str = "in";

/// The server's user, the client's, whether the server is shared, whether its policy admits the other user, whether the
/// client trusts the server's user by option: and what comes of it.
type Row = (u32, u32, bool, bool, bool, &'static str);

const TABLE: [Row; 20] = [
    // Its own user always gets in.
    (0, 0, false, false, false, IN),
    (0, 0, false, true, false, IN),
    (0, 0, true, false, false, IN),
    (0, 0, true, true, false, IN),
    (SERVER, SERVER, false, false, false, IN),
    (SERVER, SERVER, false, true, false, IN),
    (SERVER, SERVER, true, false, false, IN),
    (SERVER, SERVER, true, true, false, IN),
    // Others do not even see a server that is not shared.
    (0, OTHER, false, false, false, NOBODY),
    (0, OTHER, false, true, false, NOBODY),
    (SERVER, OTHER, false, false, true, NOBODY),
    (SERVER, OTHER, false, true, true, NOBODY),
    // A shared one decides, and says so.
    (0, OTHER, true, false, false, NOT_ADMITTED),
    (0, OTHER, true, true, false, IN),
    (SERVER, OTHER, true, false, true, NOT_ADMITTED),
    (SERVER, OTHER, true, true, true, IN),
    // And a client decides whom it trusts, before it says a word.
    (SERVER, OTHER, true, false, false, UNTRUSTED),
    (SERVER, OTHER, true, true, false, UNTRUSTED),
    // Root is no exception in either.
    (SERVER, 0, true, true, false, UNTRUSTED),
    (SERVER, 0, true, true, true, NOT_ADMITTED),
];

#[test]
fn the_table_of_users_is_exact() {
    if !is_root("F7, the table of users") {
        return;
    }
    each_transport("the_table_of_users_is_exact", |_, scheme| {
        for (server, client, shared, admits, trusts, expected) in TABLE {
            let house = House::new();
            let what = format!(
                "server {server}{}{}, client {client}{}",
                if shared { ", shared" } else { "" },
                if admits { ", admits 1001" } else { "" },
                if trusts { " that trusts 1500" } else { "" },
            );
            let _server = serve(&house, scheme, server, shared, admits);
            let trusted = if trusts { server } else { client };
            let arguments = [House::address(scheme), trusted.to_string()];
            let mut client = Program::start(&mut house.actor_as(
                client,
                "visit",
                &arguments.each_ref().map(String::as_str),
            ));
            let outcome = client.wait_for("outcome");
            let outcome = outcome.trim_start_matches("outcome ");
            let kind = if outcome.starts_with(NOBODY) { NOBODY } else { outcome };
            assert_eq!(kind, expected, "{scheme}, {what}");
            saw("F7", scheme, what, kind);
        }
    });
}

fn serve(house: &House, scheme: &str, uid: u32, shared: bool, admits: bool) -> Program {
    fs::DirBuilder::new().mode(0o700).create(house.names()).unwrap();
    chown(house.names(), Some(uid), Some(uid)).unwrap();
    let address = House::address(scheme);
    let shared = if shared { "shared" } else { "private" };
    let admits = if admits { OTHER.to_string() } else { "nobody".to_owned() };
    let mut server = Program::start(&mut house.actor_as(uid, "matrix-server", &[&address, shared, &admits]));
    server.wait_for("listening");
    server
}

/// What the attacker tries; `V` is a file of the victim's that waits to be looked at, `A` one of its own, `R` the
/// rendezvous. Each must be forbidden.
const DEEDS: [&str; 33] = [
    "lock .",
    "lock ..",
    "lock clients",
    "list .",
    "list ..",
    "list clients",
    "unlink V",
    "rename V clients/x",
    "rename A V",
    "exchange A V",
    "set-mode V 777",
    "set-group V 1002",
    "read V",
    "write V",
    "unlink R",
    "rename A R",
    "rename R clients/x",
    "exchange A R",
    "set-mode R 777",
    "read R",
    "symlink /tmp R2",
    "unlink record",
    "rename A record",
    "write record",
    "write-file record",
    "write-file x",
    "write-file ../x",
    "make-directory ../calc2",
    "rename clients x",
    "rename ../calc ../x",
    "set-mode clients 777",
    "set-mode . 777",
    "set-mode .. 777",
];

#[test]
fn an_attacker_can_touch_nothing_of_a_shared_server() {
    if !is_root("F7, an attacker beside a shared server") {
        return;
    }
    each_transport("an_attacker_can_touch_nothing_of_a_shared_server", |_, scheme| {
        for uid in [0, SERVER] {
            let house = House::new();
            let _server = serve(&house, scheme, uid, true, true);
            let (victim, attacker) = (Puppet::start(&house, OTHER), Puppet::start(&house, ATTACKER));
            let names = [&victim, &attacker].map(|puppet| leave_file(puppet, scheme));
            for deed in DEEDS {
                must_be_forbidden(&attacker, deed, &names, scheme);
            }
            if fs::read_to_string("/proc/sys/fs/protected_hardlinks").is_ok_and(|text| text.trim() == "1") {
                must_be_forbidden(&attacker, "link V clients/x", &names, scheme);
            } else {
                skipped("F7, hard links of others' files: fs.protected_hardlinks is 0 here");
            }
            // As every client must, to find the server.
            attacker.does("read record");
            saw(
                "F7",
                scheme,
                format!("uid {ATTACKER} beside a server of {uid}"),
                format!("{} deeds forbidden", DEEDS.len()),
            );
        }
    });
}

/// What an honest client has made and the server has not looked at yet.
fn leave_file(puppet: &Puppet, scheme: &str) -> String {
    let name = puppet.fresh_name();
    if scheme == "unix" {
        puppet.does(&format!("bind {name}"));
        return name;
    }
    puppet.does(&format!("pair {name} 660"));
    format!("{name}.c2s")
}

fn must_be_forbidden(attacker: &Puppet, deed: &str, [victims, attackers]: &[String; 2], scheme: &str) {
    let words = deed.split(' ').map(|word| match word {
        "V" => victims.as_str(),
        "A" => attackers.as_str(),
        "R" if scheme == "unix" => "sock",
        "R" => scheme,
        word => word,
    });
    let done = attacker.tries(&words.collect::<Vec<_>>().join(" "));
    let why = done.err().unwrap_or_else(|| "it was not forbidden".to_owned());
    assert!(["EACCES", "EPERM"].contains(&why.as_str()), "{scheme}: {deed}: {why}");
    println!("F7 | {scheme} | {deed} | {why}");
}
