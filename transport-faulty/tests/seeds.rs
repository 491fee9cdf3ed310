//! Random conversations over a road where everything goes wrong: nothing is lost, repeated or altered, at any seed. In
//! half of them one end dies at a random byte: then the other has whole messages, the first of those that were
//! accepted, and is told what happened.
//!
//! `HOBNOB_SEEDS` says how many seeds are tried on each transport (100), `HOBNOB_SEED` the first of them (0).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;
mod talk;

use std::{
    env,
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex,
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use house::{Chance, House};
use ipc_core::{Connection, ErrorKind, Faults, Transport};
use talk::{Ended, Plan, by_halves, by_turns, in_two_threads};
use transport_faulty::{Fault, Faulty, Trace};

#[test]
fn unix() {
    every_seed::<transport_unix::Unix>("unix");
}

#[test]
fn seqpacket() {
    every_seed::<transport_unix::seqpacket::Seqpacket>("seqpacket");
}

#[test]
fn dgram() {
    every_seed::<transport_unix::dgram::Dgram>("dgram");
}

#[test]
fn fifo() {
    every_seed::<transport_fifo::Fifo>("fifo");
}

#[test]
fn inproc() {
    every_seed::<transport_inproc::Inproc>("inproc");
}

fn number(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

fn every_seed<T: Transport>(test: &'static str) {
    let (first, seeds, began) = (number("HOBNOB_SEED", 0), number("HOBNOB_SEEDS", 100), Instant::now());
    let (house, current) = (House::new(), Arc::new(Mutex::new((first, Trace::new()))));
    let _watch = watch(test, current.clone());
    let mut deaths = 0;
    for seed in first..first + seeds {
        let trace = Trace::new();
        *current.lock().unwrap() = (seed, trace.clone());
        let tried = catch_unwind(AssertUnwindSafe(|| one_seed::<T>(&house, seed, &trace)));
        if let Err(failure) = tried {
            println!("{trace}{}", again(test, seed));
            resume_unwind(failure);
        }
        deaths += trace.count(Fault::Death);
    }
    let _ = writeln!(
        std::io::stderr(),
        "{test}: {seeds} seeds from {first}, {deaths} deaths, {:.1} s",
        began.elapsed().as_secs_f32()
    );
    assert!(seeds < 50 || deaths > 0, "nobody died");
}

fn again(test: &str, seed: u64) -> String {
    format!("again: HOBNOB_SEED={seed} HOBNOB_SEEDS=1 cargo test -p transport-faulty --test seeds {test}")
}

/// Ends the process when a seed hangs. It is over when the sender is dropped.
fn watch(test: &'static str, current: Arc<Mutex<(u64, Trace)>>) -> std::sync::mpsc::Sender<()> {
    let (over, ended) = channel();
    thread::spawn(move || {
        let patience = Duration::from_secs(number("HOBNOB_WATCHDOG", 120));
        let mut last = None;
        while ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            let (seed, trace) = current.lock().unwrap().clone();
            if last.replace(seed) == Some(seed) {
                let _ = writeln!(std::io::stderr(), "{trace}watchdog: {}", again(test, seed));
                std::process::abort();
            }
        }
    });
    over
}

fn one_seed<T: Transport>(house: &House, seed: u64, trace: &Trace) {
    let mut chance = Chance::new(seed);
    let plans = [Plan::draw(&mut chance), Plan::draw(&mut chance)];
    let [client, server] = faults(seed, &mut chance, &plans, trace);
    let mode = chance.below(3);
    let mut server = house.server::<T>(server);
    let (client, served) = house.meet(&mut server, &client);
    let died = trace.count(Fault::Death) > 0;
    let failed = client.as_ref().err().map(|error| error.kind().clone());
    if let Some(kind) = &failed {
        assert!(died && is_end(kind), "the client could not connect: {kind:?}");
    }
    assert!(died || served.is_some(), "the server did not let it in");
    let ended = talk::<T>(mode, client.ok(), served, &plans, &mut chance);
    judge(&plans, &ended, trace.count(Fault::Death) > 0);
}

/// For the client and for the server. Half of the conversations are to be cut short.
fn faults(seed: u64, chance: &mut Chance, plans: &[Plan; 2], trace: &Trace) -> [Faults; 2] {
    let both = [1, 2].map(|end| Faults::seed(seed * 2 + end).trace(trace));
    let sizes = plans.each_ref().map(Plan::bytes);
    let (dies, end, sends) = (chance.below(2) == 1, chance.below(2) as usize, chance.below(2) == 1);
    // Often in the handshake, or soon after it.
    let all = sizes[if sends { end } else { 1 - end }] + 200;
    let bound = chance.one_of(&[200, all, all]);
    let bytes = chance.below(bound);
    let mut which = 0..;
    both.map(|faults| match which.next() {
        Some(this) if dies && this == end && sends => faults.die_after_sending(bytes),
        Some(this) if dies && this == end => faults.die_after_receiving(bytes),
        _ => faults,
    })
}

fn is_end(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::PeerGone | ErrorKind::Truncated)
}

/// How each end fared; none where one did not come in.
fn talk<T: Transport>(
    mode: u64,
    client: Option<Connection<Faulty<T>>>,
    served: Option<Connection<Faulty<T>>>,
    plans: &[Plan; 2],
    chance: &mut Chance,
) -> [Option<Ended>; 2] {
    let ends = [client, served];
    match mode {
        0 => by_turns(ends, plans, chance),
        1 => in_two_threads(ends, plans, chance),
        _ => by_halves(ends, plans, chance),
    }
}

fn judge(plans: &[Plan; 2], ended: &[Option<Ended>; 2], died: bool) {
    for (from, to) in [(0, 1), (1, 0)] {
        let (Some(hearer), speaker) = (&ended[to], &ended[from]) else {
            assert!(died);
            continue;
        };
        let (accepted, at_most) = speaker.as_ref().map_or((0, 0), |it| (it.accepted, it.at_most));
        assert!(hearer.heard <= at_most, "{} heard of {at_most}", hearer.heard);
        match &hearer.end {
            None => assert_eq!((hearer.heard, accepted), (plans[from].len(), plans[from].len())),
            Some(kind) => assert!(died && is_end(kind), "{kind:?}"),
        }
        for kind in speaker.iter().flat_map(|it| &it.refused) {
            assert!(died && matches!(kind, ErrorKind::PeerGone | ErrorKind::Undelivered { .. }), "{kind:?}");
        }
    }
}
