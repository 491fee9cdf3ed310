//! Methods that belong to FIFOs: the record that a client writes, and the pair that it names.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use faults::{ATTACKER, OTHER};
use hobnob::Refusal;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::stage::{Method, Stage};

pub const METHODS: &[Method] = &[
    ("the victim's pid in the record", forged_pid),
    ("a record that names a victim's live pair", reflection),
    ("a record that names a pair before the victim does", too_early),
    ("hard links of the victim's pair", hard_links),
    ("symlinks to the victim's pair", symlinks),
    ("one FIFO of each", one_of_each),
    ("a pair open to others", open_to_others),
    ("a pair open to another group", open_to_a_group),
    RACES[0],
    RACES[1],
];

pub const RACES: &[Method] = &[
    ("a hard link that comes and goes while the pair is picked up", kept_link),
    ("names swapped while the pair is picked up", swapped),
];

/// The attacker's record for this pair comes to nothing.
fn is_ignored(stage: &Stage<'_>, name: &str) {
    stage.attacker.does(&format!("knock {name}"));
    stage.is_ignored(&stage.attacker);
}

/// The paths of a pair.
fn ends(stage: &Stage<'_>, name: &str) -> [PathBuf; 2] {
    ["c2s", "s2c"].map(|end| stage.path(&format!("{name}.{end}")))
}

fn keep(stage: &Stage<'_>, name: &str) {
    stage.keep_both(&format!("{name}.c2s"), &format!("{name}.s2c"));
}

/// It is what the attacker says, and the library says that it is no more than that.
fn forged_pid(stage: &Stage<'_>) {
    let name = stage.victim.fresh_name();
    stage.knock(&stage.attacker, &name);
    assert_eq!(stage.attacker.does("shake"), "0");
    stage.says(&stage.attacker, ATTACKER);
}

/// Nothing may come into the victim's stream that was not meant for it, to the byte.
fn reflection(stage: &Stage<'_>) {
    const GOODBYE: &str = "0000000002000000";
    let name = stage.victim.fresh_name();
    stage.knock(&stage.victim, &name);
    assert_eq!(stage.victim.does("shake"), "0");
    stage.says(&stage.victim, OTHER);
    stage.attacker.does(&format!("knock {name}"));
    stage.honest("0");
    stage.says(&stage.victim, OTHER);
    assert_eq!(stage.victim.does("close"), GOODBYE);
}

/// The server listens to the victim then, and expects the nonce that the attacker chose.
fn too_early(stage: &Stage<'_>) {
    let name = stage.victim.fresh_name();
    stage.victim.does(&format!("pair {name}"));
    stage.attacker.does(&format!("knock {name}"));
    stage.honest("0");
    stage.is_refused(&stage.victim, Refusal::Malformed);
}

/// Root makes the links: as an attacker could where fs.protected_hardlinks is 0.
fn hard_links(stage: &Stage<'_>) {
    let (name, victims) = (stage.attacker.fresh_name(), stage.victim.fresh_name());
    stage.victim.does(&format!("pair {victims}"));
    for (from, to) in ends(stage, &victims).iter().zip(ends(stage, &name)) {
        fs::hard_link(from, to).unwrap();
    }
    keep(stage, &name);
    keep(stage, &victims);
    stage.attacker.does(&format!("knock {name}"));
    stage.honest("0");
    assert!(stage.victim.does("shake").starts_with("nothing"));
}

/// Does one thing again and again while another is done.
fn meanwhile(again: impl Fn() + Sync, act: impl FnOnce()) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                again();
            }
        });
        act();
        over.store(true, Relaxed);
    });
}

/// A pair that was taken in has no name left, by which somebody could name it a second time.
fn kept_link(stage: &Stage<'_>) {
    let (name, victims) = (stage.attacker.fresh_name(), stage.victim.fresh_name());
    let (links, targets) = (ends(stage, &name), ends(stage, &victims));
    stage.victim.does(&format!("pair {victims}"));
    let race = || {
        for (link, target) in links.iter().zip(&targets) {
            let _ = fs::hard_link(target, link);
        }
        // Once the victim's names are gone, the link stays.
        if targets[0].exists() {
            links.iter().for_each(|link| drop(fs::remove_file(link)));
        }
    };
    meanwhile(race, || {
        stage.victim.does(&format!("knock {victims}"));
        stage.honest("0");
    });
    match stage.victim.does("shake").as_str() {
        "0" => {
            assert_eq!(stage.victim.does("links"), "0", "it was taken in, and has a name");
            stage.says(&stage.victim, OTHER);
        }
        verdict => assert!(verdict.starts_with("nothing"), "{verdict}"),
    }
}

fn symlinks(stage: &Stage<'_>) {
    let (name, victims) = (stage.attacker.fresh_name(), stage.victim.fresh_name());
    stage.victim.does(&format!("pair {victims}"));
    for (from, end) in ends(stage, &victims).iter().zip(["c2s", "s2c"]) {
        stage.attacker.does(&format!("symlink {} {name}.{end}", from.display()));
    }
    keep(stage, &name);
    keep(stage, &victims);
    stage.attacker.does(&format!("knock {name}"));
    stage.honest("0");
    assert!(stage.victim.does("shake").starts_with("nothing"));
}

fn one_of_each(stage: &Stage<'_>) {
    for (victims, attackers) in [("c2s", "s2c"), ("s2c", "c2s")] {
        let name = stage.attacker.fresh_name();
        stage.victim.does(&format!("fifo {name}.{victims} 666"));
        stage.attacker.does(&format!("fifo {name}.{attackers} 600"));
        stage.attacker.does(&format!("open-pair {name}"));
        // Only now it looks private.
        stage.victim.does(&format!("set-mode {name}.{victims} 600"));
        keep(stage, &name);
        is_ignored(stage, &name);
    }
}

fn open_to_others(stage: &Stage<'_>) {
    for mode in ["604", "602", "606", "666"] {
        let name = stage.attacker.fresh_name();
        stage.attacker.does(&format!("pair {name} {mode}"));
        keep(stage, &name);
        is_ignored(stage, &name);
    }
}

/// Open to the server's group is as it should be; but who is in another group could be taken for the owner.
fn open_to_a_group(stage: &Stage<'_>) {
    for end in ["c2s", "s2c"] {
        let name = stage.attacker.fresh_name();
        stage.attacker.does(&format!("pair {name} 660"));
        stage.attacker.does(&format!("set-group {name}.{end} {ATTACKER}"));
        keep(stage, &name);
        is_ignored(stage, &name);
    }
}

/// Root exchanges the attacker's FIFOs with the victim's, faster than anybody else could; and the attacker knows the
/// victim's nonce, which nobody else can. Then the victim is served, if its own pair was picked up; as itself.
fn swapped(stage: &Stage<'_>) {
    let (name, victims) = (stage.attacker.fresh_name(), stage.victim.fresh_name());
    stage.attacker.does(&format!("pair {name}"));
    stage.victim.does(&format!("pair {victims}"));
    let nonce = stage.victim.does("nonce");
    let (ours, theirs) = (ends(stage, &name), ends(stage, &victims));
    let race = || {
        for (one, other) in ours.iter().zip(&theirs) {
            let _ = renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE);
        }
    };
    meanwhile(race, || {
        stage.attacker.does(&format!("knock {name} {nonce}"));
        stage.honest("0");
    });
    for (puppet, uid) in [(&stage.victim, OTHER), (&stage.attacker, ATTACKER)] {
        match puppet.does("shake").as_str() {
            "0" => stage.says(puppet, uid),
            // The attacker's own hello does not carry the victim's nonce.
            verdict => assert!(verdict == "9" || verdict.starts_with("nothing"), "{verdict}"),
        }
    }
}
