//! F19, the files: as old or as new as somebody has made them, and by a clock that makes them fresh.
//! `cargo test --release -p faults --test f19_file_ages -- --nocapture`
#![allow(clippy::unwrap_used)]

use std::{fs, io::Write, path::Path, sync::Arc};

use faults::{
    House, SetClock, each_rendezvous, echoing, listing, saw,
    wire::{Road, verdict},
};
use hobnob::Refusal;
use nix::{
    fcntl::AT_FDCWD,
    sys::{
        stat::{UtimensatFlags, utimensat},
        time::TimeSpec,
    },
};

#[test]
fn files_of_any_age_let_in_nobody_but_their_owner() {
    each_rendezvous("files_of_any_age_let_in_nobody_but_their_owner", |house, scheme| {
        let clock = Arc::new(SetClock::default());
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
        let ((), _) = echoing(clock.server(house, scheme), || {
            for modified in [1, 4_000_000_000] {
                let age = |file: &Path| set_time(file, modified);
                // As old as they are, and then as fresh as the clock makes them.
                for (off, unix_says) in [(0, Refusal::StaleClientFile.code()), (modified - now, 0)] {
                    clock.set(off);
                    clock.pass(11);
                    let mut road =
                        Road::knock_with(&house.folder(), scheme, std::process::id(), age).unwrap();
                    assert_eq!(answer(&mut road), if scheme == "unix" { unix_says } else { 0 });
                    // Another process's name on the file: on FIFOs the pid is a claim and said to be one.
                    let mut road = Road::knock_with(&house.folder(), scheme, 1, age).unwrap();
                    let bad = Refusal::BadClientFile.code();
                    assert_eq!(answer(&mut road), if scheme == "unix" { bad } else { 0 });
                    clear(house);
                }
            }
        });
        saw(
            "F19",
            scheme,
            "files of 1970 and 2096, by a right clock and by theirs",
            "let in by name, owner and pid only",
        );
    });
}

/// The code of the verdict. One that is turned away at once may not get so far as to say its hello.
fn answer(road: &mut Road) -> u8 {
    let hello = road.hello();
    let _ = road.write_all(&hello);
    verdict(&road.read_frame().unwrap().1).0
}

/// Takes away what a refused client made by hand has left.
fn clear(house: &House) {
    for file in listing(&house.folder().join("clients")) {
        fs::remove_file(file).unwrap();
    }
}

fn set_time(file: &Path, seconds: i64) {
    let time = TimeSpec::new(seconds, 0);
    utimensat(AT_FDCWD, file, &time, &time, UtimensatFlags::NoFollowSymlink).unwrap();
}
