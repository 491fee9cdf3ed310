//! F19: somebody sets the clock, by an hour or by ten years, at any moment. The files: f19_file_ages.rs.
//! `cargo test --release -p faults --test f19_clock -- --nocapture`
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use faults::{
    AtEnd, House, SetClock, each_rendezvous, echoing, saw, wait_until,
    wire::{DATA, READY, VERDICT, frame, verdict},
};
use hobnob::{AnyConnection, ErrorKind, IpcReceiver, IpcSender, IpcServer, Refusal, Result};

const HOUR: i64 = 3600;
const TEN_YEARS: i64 = 10 * 365 * 24 * HOUR;
const STEPS: [i64; 4] = [HOUR, -HOUR, TEN_YEARS, -TEN_YEARS];

#[test]
fn a_clock_that_is_wrong_makes_client_files_stale_and_a_right_one_fresh() {
    each_rendezvous(
        "a_clock_that_is_wrong_makes_client_files_stale_and_a_right_one_fresh",
        |house, scheme| {
            let clock = Arc::new(SetClock::default());
            let ((), stats) = echoing(clock.server(house, scheme), || {
                for off in STEPS {
                    clock.set(off);
                    // A FIFO pair proves by what comes through it that its client lives: its age is not asked.
                    match scheme {
                        "unix" => {
                            assert_eq!(kind(talk(house, scheme, &clock)), Some(ErrorKind::StaleClientFile))
                        }
                        _ => talk(house, scheme, &clock).unwrap(),
                    }
                    assert_eq!(waiting(house), 0, "the client takes its file away");
                    // File times are coarse, and a handshake may take a while.
                    for off in [0, -1, 5] {
                        clock.set(off);
                        talk(house, scheme, &clock).unwrap();
                    }
                }
            });
            // Each of them tried twice.
            let stale = if scheme == "unix" { 2 * STEPS.len() as u64 } else { 0 };
            assert_eq!(
                (stats.refused(Refusal::StaleClientFile), stats.refused_in_all()),
                (stale, stale),
                "{stats:?}"
            );
            saw(
                "F19",
                scheme,
                "clock off by -10 y, -1 h, +1 h, +10 y",
                format!("{stale} files stale, StaleClientFile; else served"),
            );
        },
    );
}

#[test]
fn a_clock_that_is_wrong_for_a_moment_costs_one_retry() {
    each_rendezvous("a_clock_that_is_wrong_for_a_moment_costs_one_retry", |house, scheme| {
        let clock = Arc::new(SetClock::default());
        let ((), stats) = echoing(clock.server(house, scheme), || {
            for off in STEPS {
                clock.set_for_looks(&[off]);
                talk(house, scheme, &clock).unwrap();
                // A sweep, which is due after ten seconds, takes even the living for old.
                clock.pass(11);
                clock.set_for_looks(&[off]);
                talk(house, scheme, &clock).unwrap();
            }
        });
        let stale = stats.refused(Refusal::StaleClientFile);
        assert_eq!(stale, stats.refused_in_all(), "{stats:?}");
        // With the clock set back, a sweep takes nothing for old.
        assert_eq!(stale, if scheme == "unix" { 4 + 2 } else { 0 }, "{stats:?}");
        saw("F19", scheme, "clock off for one look, 8 times", format!("{stale} retries, all served"));
    });
}

#[test]
fn a_clock_set_in_the_middle_of_a_handshake_changes_nothing() {
    each_rendezvous("a_clock_set_in_the_middle_of_a_handshake_changes_nothing", |house, scheme| {
        let clock = Arc::new(SetClock::default());
        let ((), stats) = echoing(clock.server(house, scheme), || {
            for off in STEPS {
                let mut road = house.knock(scheme);
                wait_until(|| waiting(house) == 0);
                clock.set(off);
                let hello = road.hello();
                road.write_all(&hello).unwrap();
                let (kind, body) = road.read_frame().unwrap();
                let (code, _, nonce) = verdict(&body);
                assert_eq!((kind, code), (VERDICT, 0));
                clock.set(-off);
                road.write_all(&[frame(READY, &nonce), frame(DATA, b"hello")].concat()).unwrap();
                assert_eq!(road.read_frame().unwrap(), (DATA, b"hello".to_vec()));
                clock.set(0);
            }
        });
        assert_eq!((stats.ready, stats.refused_in_all()), (STEPS.len() as u64, 0), "{stats:?}");
        saw("F19", scheme, "clock set twice within each of 4 handshakes", "all served");
    });
}

#[test]
fn no_deadline_follows_the_wall_clock() {
    each_rendezvous("no_deadline_follows_the_wall_clock", |house, scheme| {
        let clock = Arc::new(SetClock::default());
        let span = Duration::from_millis(150);
        let mut server = clock.server_with(house, scheme, |options| options.hello_within(span));
        while_set(&clock, || {
            lasts(span, || assert_eq!(kind(server.accept_client_by(span.into())), Some(ErrorKind::TimedOut)));
        });
        // Nobody accepts: it waits for the verdict.
        while_set(&clock, || {
            lasts(span, || {
                let options = house.client_options().deadline(span).seams(clock.seams());
                let at = House::address(scheme).parse().unwrap();
                assert_eq!(kind(AnyConnection::connect_with(&at, &options)), Some(ErrorKind::TimedOut));
            });
        });
        // A client that says nothing has its time, too, once it has come.
        let mut accept = || drop(server.accept_client_by((span / 10).into()));
        let (came, come) = mpsc::channel();
        lasts(span, || {
            thread::scope(|scope| {
                let silent = scope.spawn(move || {
                    let mut road = house.knock(scheme);
                    came.send(()).unwrap();
                    road.read_to_end(&mut Vec::new())
                });
                while come.try_recv().is_err() || waiting(house) > 0 {
                    accept();
                }
                while_set(&clock, || {
                    while !silent.is_finished() {
                        accept();
                    }
                });
            });
        });
        saw(
            "F19",
            scheme,
            "clock set all the time during accept, connect and hello",
            "no deadline early or late",
        );
    });
}

/// While somebody sets the clock all the time; at the end it is right.
fn while_set<R>(clock: &SetClock, during: impl FnOnce() -> R) -> R {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _over = AtEnd(|| over.store(true, SeqCst));
        scope.spawn(|| {
            for off in STEPS.into_iter().cycle().take_while(|_| !over.load(SeqCst)) {
                clock.set(off);
                thread::yield_now();
            }
            clock.set(0);
        });
        during()
    })
}

fn talk(house: &House, scheme: &str, clock: &Arc<SetClock>) -> Result<()> {
    let options = house.client_options().seams(clock.seams());
    let mut client = AnyConnection::connect_with(&House::address(scheme).parse().unwrap(), &options)?;
    client.send_info(b"hello")?;
    assert_eq!(client.recv_borrowed()?, Some(&b"hello"[..]));
    Ok(())
}

fn kind<R>(result: Result<R>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind().clone())
}

/// How many files of clients lie there.
fn waiting(house: &House) -> usize {
    fs::read_dir(house.folder().join("clients")).unwrap().count()
}

/// Not shorter, and not an hour longer.
fn lasts(span: Duration, call: impl FnOnce()) {
    let began = Instant::now();
    call();
    assert!((span..span + Duration::from_secs(30)).contains(&began.elapsed()), "{:?}", began.elapsed());
}
