//! F25: everything at once and at random, for as long as `HOBNOB_F25` says, in seconds for each transport: servers are
//! killed, stopped and started again, so are clients, and hostile clients do whatever they like. `HOBNOB_DICE` is the
//! seed: it brings the same deeds, though not the same instants.
//!
//! It goes in rounds of a second. In the first third of the time the server may die; then one server lives to the end.
//! After each round all clients go, and the server must be as it was before the first came.
#![allow(clippy::unwrap_used)]

#[path = "f25_chaos/cast.rs"]
mod cast;
#[path = "f25_chaos/honest.rs"]
mod honest;

use std::time::{Duration, Instant};

use cast::Cast;
use faults::{Dice, House, Process, aftermath, budget, saw, settles, watched};
use hobnob::Refusal;
use honest::Honest;
use nix::{
    errno::Errno,
    sys::wait::{WaitPidFlag, waitpid},
};

const ROUND: Duration = Duration::from_secs(1);

/// By how many KiB the memory of a server may rise from the first to the last third of its life, were that a day: the
/// stacks of threads and what malloc keeps of large messages are in it.
const SLACK: u64 = 16 * 1024;

#[test]
fn in_chaos_the_honest_are_served_and_in_the_end_nothing_is_left() {
    ["unix", "fifo"].iter().for_each(|scheme| soak(scheme));
    assert_eq!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Err(Errno::ECHILD), "a process was left");
}

fn soak(scheme: &'static str) {
    const NAME: &str = "in_chaos_the_honest_are_served_and_in_the_end_nothing_is_left";
    let seconds = budget("HOBNOB_F25", 5);
    let (house, dice) = (House::new(), Dice::of_run());
    let seed = dice.seed();
    let here = Process::this().descriptors();
    let mut cast = Cast::new(&house, scheme, dice);
    let (began, end) = (Instant::now(), Duration::from_secs(seconds));
    let honest = Honest::default();
    let (mut rounds, mut memory) = (0, Vec::new());
    while began.elapsed() < end || memory.len() < 3 {
        let mortal = began.elapsed() < end / 3;
        watched(NAME, || {
            round(&mut cast, &honest, mortal);
            if !mortal {
                memory.push(cast.server.process().memory());
            }
        });
        rounds += 1;
    }
    let tries = format!("{seconds} s, {rounds} rounds, seed {seed}: {}", cast.deeds());
    let mut account = String::new();
    watched(NAME, || account = cast.stop());
    vandals_had_their_way(scheme, &account);
    aftermath::nothing_is_left(&house, "after the chaos");
    settles("descriptors of the honest", &here, || Process::this().descriptors());
    let memory = level(&memory);
    saw("F25", scheme, tries, format!("{honest}; of the last server: {account}; memory {memory}"));
}

fn vandals_had_their_way(scheme: &str, account: &str) {
    let files = if scheme == "unix" { Refusal::BadClientFile } else { Refusal::BadRendezvous };
    for reason in [Refusal::Malformed, Refusal::Gone, files] {
        assert!(account.contains(&reason.to_string()), "nobody was turned away because: {reason}; {account}");
    }
}

/// The memory of one server, round by round, must not rise.
fn level(memory: &[u64]) -> String {
    let average = |part: &[u64]| part.iter().sum::<u64>() / part.len() as u64;
    let thirds: Vec<_> = memory.chunks(memory.len().div_ceil(3)).map(average).collect();
    let (first, last) = (thirds[0], thirds[thirds.len() - 1]);
    assert!(last < first + SLACK, "the server's memory rose: {thirds:?} KiB");
    format!("{thirds:?} KiB in the thirds of its life, at most {}", memory.iter().max().unwrap())
}

/// One round of chaos, and what must hold after it.
fn round(cast: &mut Cast<'_>, honest: &Honest, mortal: bool) {
    cast.enter();
    honest.while_they_talk(cast, |cast| {
        let end = Instant::now() + ROUND;
        while Instant::now() < end {
            cast.deed(mortal);
        }
        cast.calm();
    });
    cast.leave();
    cast.server_is_as_at_first();
}
