//! Methods that are the same on both transports.

use faults::{ATTACKER, OTHER};
use hobnob::Refusal;

use super::stage::{Method, Stage};

pub const METHODS: &[Method] = &[
    ("nothing at all", nothing),
    ("a descriptor handed on after connecting", handed_on),
    ("another user after connecting", another_user_after_connecting),
    ("a name that was used before", reused_name),
    ("the victim's name in a mount namespace", mount_namespace),
];

/// The victim and the attacker as themselves: the test can tell them apart.
fn nothing(stage: &Stage<'_>) {
    for (puppet, uid) in [(&stage.victim, OTHER), (&stage.attacker, ATTACKER)] {
        stage.join(puppet);
        stage.says(puppet, uid);
    }
}

/// The connection stays whose it was, though somebody else writes to it.
fn handed_on(stage: &Stage<'_>) {
    stage.join(&stage.victim);
    stage.attacker.does("await-hand clients/hand");
    stage.victim.does("hand-road clients/hand");
    stage.attacker.does("take-hand");
    stage.attacker.does(&format!("say-through {OTHER}"));
    assert_eq!(stage.victim.does("hear"), OTHER.to_string());
    stage.heard.update(|count| count + 1);
}

/// Root connects, and says hello as somebody else.
fn another_user_after_connecting(stage: &Stage<'_>) {
    let fallen = stage.another(0);
    let name = fallen.fresh_name();
    stage.knock(&fallen, &name);
    fallen.does(&format!("become {ATTACKER}"));
    assert_eq!(fallen.does("shake"), "0");
    stage.says(&fallen, 0);
}

/// The attacker comes under the name that the victim came under.
fn reused_name(stage: &Stage<'_>) {
    let name = stage.victim.fresh_name();
    stage.knock(&stage.victim, &name);
    assert_eq!(stage.victim.does("shake"), "0");
    stage.knock(&stage.attacker, &name);
    if stage.scheme == "unix" {
        // The pid in it is not the attacker's.
        stage.keep(&name);
        stage.is_refused(&stage.attacker, Refusal::BadClientFile);
    } else {
        assert_eq!(stage.attacker.does("shake"), "0");
        stage.says(&stage.attacker, ATTACKER);
    }
    stage.says(&stage.victim, OTHER);
}

/// Where the server sees the victim's file, the attacker sees one of its own.
fn mount_namespace(stage: &Stage<'_>) {
    let attacker = stage.another(ATTACKER);
    let name = attacker.fresh_name();
    attacker.does("cover clients");
    if stage.scheme == "unix" {
        stage.victim.does(&format!("bind {name}"));
        stage.keep(&name);
        stage.knock(&attacker, &name);
        stage.is_refused(&attacker, Refusal::BadClientFile);
    } else {
        stage.victim.does(&format!("pair {name}"));
        stage.knock(&attacker, &name);
        stage.is_ignored(&attacker);
        // The server listens to the victim now, and expects the attacker's nonce.
        stage.is_refused(&stage.victim, Refusal::Malformed);
    }
}
