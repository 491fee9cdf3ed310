//! Methods that belong to sockets: the file that the client shows, and the credentials that the kernel took.

use std::fs;

use faults::ATTACKER;
use hobnob::Refusal;

use super::stage::{Method, Stage};

pub const METHODS: &[Method] = &[
    ("its own file renamed away, the victim's in its place", renamed_away),
    ("the victim's file, its own in another directory", another_directory),
    ("the victim's bound socket, handed on", bound_by_the_victim),
    ("another user between bind and connect", another_user_before_connecting),
    ("a hard link of the victim's file", hard_link),
    ("its own file under two names", second_name),
    ("a symlink to the victim's file", symlink_to_the_victim),
    ("a symlink to its own file", symlink_to_its_own),
    ("the victim's pid in its own file's name", forged_pid),
    ("a file open to others", open_to_others),
    ("no file", no_file),
];

/// The attacker connects with the socket that it has bound, and must be refused for its file.
fn is_refused(stage: &Stage<'_>) {
    stage.attacker.does("connect");
    stage.is_refused(&stage.attacker, Refusal::BadClientFile);
}

/// Binds and takes the name away: the socket stays bound to it. It is a name that the attacker may choose.
fn bound_and_gone(stage: &Stage<'_>) -> String {
    let name = stage.attacker.fresh_name();
    stage.attacker.does(&format!("bind {name}"));
    stage.attacker.does(&format!("unlink {name}"));
    name
}

fn renamed_away(stage: &Stage<'_>) {
    let (name, away) = (stage.attacker.fresh_name(), stage.attacker.fresh_name());
    stage.attacker.does(&format!("bind {name}"));
    stage.attacker.does(&format!("rename {name} {away}"));
    stage.victim.does(&format!("bind {name}"));
    stage.keep_both(&name, &away);
    is_refused(stage);
}

fn another_directory(stage: &Stage<'_>) {
    let name = stage.attacker.fresh_name();
    stage.victim.does(&format!("bind {name}"));
    stage.attacker.does("make-directory clients/d");
    let elsewhere = name.replace("clients/", "clients/d/");
    stage.attacker.does(&format!("bind {elsewhere}"));
    stage.keep_both(&name, &elsewhere);
    is_refused(stage);
}

fn bound_by_the_victim(stage: &Stage<'_>) {
    let name = stage.attacker.fresh_name();
    stage.victim.does(&format!("bind {name}"));
    stage.keep(&name);
    stage.attacker.does("await-hand clients/hand");
    stage.victim.does("hand-socket clients/hand");
    stage.attacker.does("take-socket");
    is_refused(stage);
}

fn another_user_before_connecting(stage: &Stage<'_>) {
    let fallen = stage.another(0);
    let name = fallen.fresh_name();
    fallen.does(&format!("bind {name}"));
    stage.keep(&name);
    fallen.does(&format!("become {ATTACKER}"));
    fallen.does("connect");
    stage.is_refused(&fallen, Refusal::BadClientFile);
}

/// Root makes the link: as an attacker could where fs.protected_hardlinks is 0.
fn hard_link(stage: &Stage<'_>) {
    let (name, victims) = (bound_and_gone(stage), stage.victim.fresh_name());
    stage.victim.does(&format!("bind {victims}"));
    fs::hard_link(stage.path(&victims), stage.path(&name)).unwrap();
    stage.keep_both(&name, &victims);
    is_refused(stage);
}

fn second_name(stage: &Stage<'_>) {
    let (name, second) = (stage.attacker.fresh_name(), stage.attacker.fresh_name());
    stage.attacker.does(&format!("bind {name}"));
    stage.attacker.does(&format!("link {name} {second}"));
    stage.keep_both(&name, &second);
    is_refused(stage);
}

fn symlink_to_the_victim(stage: &Stage<'_>) {
    let (name, victims) = (bound_and_gone(stage), stage.victim.fresh_name());
    stage.victim.does(&format!("bind {victims}"));
    stage.attacker.does(&format!("symlink {} {name}", stage.path(&victims).display()));
    stage.keep_both(&name, &victims);
    is_refused(stage);
}

fn symlink_to_its_own(stage: &Stage<'_>) {
    let (name, away) = (stage.attacker.fresh_name(), stage.attacker.fresh_name());
    stage.attacker.does(&format!("bind {name}"));
    stage.attacker.does(&format!("rename {name} {away}"));
    stage.attacker.does(&format!("symlink {} {name}", stage.path(&away).display()));
    stage.keep_both(&name, &away);
    is_refused(stage);
}

fn forged_pid(stage: &Stage<'_>) {
    let name = stage.victim.fresh_name();
    stage.attacker.does(&format!("bind {name}"));
    stage.keep(&name);
    is_refused(stage);
}

fn open_to_others(stage: &Stage<'_>) {
    for mode in ["600", "755", "722", "4700", "1700"] {
        let name = stage.attacker.fresh_name();
        stage.attacker.does(&format!("bind {name} {mode}"));
        stage.keep(&name);
        is_refused(stage);
    }
}

fn no_file(stage: &Stage<'_>) {
    stage.attacker.does("bind-nothing");
    is_refused(stage);
}
