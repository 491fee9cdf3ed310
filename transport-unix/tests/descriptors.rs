//! Out of descriptors. In a process of its own: the limit is the whole process's.
#![allow(clippy::unwrap_used)]

use std::{os::fd::AsRawFd, time::Duration};

use conformance::{Raw, Stage, kind_of, watched};
use ipc_core::{Deadline, ErrorKind, IpcServer, Refusal, Transport};
use nix::sys::{
    resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit},
    time::TimeValLike,
};
use transport_unix::{Unix, dgram::Dgram, seqpacket::Seqpacket};

/// The tests take turns with the limit.
static LIMIT: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn over_each<const MANY: usize>(name: &'static str, tests: [fn(); MANY]) {
    watched(name, || {
        let _turn = LIMIT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tests.iter().for_each(|test| test());
    });
}

/// What comes of `work` while this process can open so many descriptors.
fn with_only<R>(free: usize, work: impl FnOnce() -> R) -> R {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let file = std::fs::File::open("/").unwrap();
    let spare: Vec<_> = (0..free).map(|_| file.try_clone().unwrap()).collect();
    let last = spare.last().unwrap_or(&file).as_raw_fd();
    setrlimit(Resource::RLIMIT_NOFILE, last as u64 + 1, hard).unwrap();
    drop(spare);
    // Lower numbers may be free.
    let mut kept: Vec<_> = std::iter::from_fn(|| file.try_clone().ok()).collect();
    kept.truncate(kept.len().checked_sub(free).unwrap());
    let result = work();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    result
}

/// Somebody waits at the door all the time, and the door cannot be opened.
#[test]
fn a_server_without_descriptors_waits_and_does_not_spin() {
    fn test<T: Transport>() {
        let stage = Stage::<T>::new();
        let mut server = stage.server();
        let mut waiting = Raw::<T>::knock(&stage.place());
        let used = || {
            let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
            (usage.user_time() + usage.system_time()).num_milliseconds()
        };
        let before = used();
        let accepted = with_only(0, || server.accept_client_by(Deadline::Within(Duration::from_millis(50))));
        assert_eq!(kind_of(&accepted), Some(&ErrorKind::TimedOut), "{}", T::SCHEME);
        assert!(server.stats().pauses > 0);
        assert!(used() - before < 40, "{}: {} ms of 50", T::SCHEME, used() - before);
        // The knock was not lost.
        let verdict = stage.refused(&mut server, || waiting.greet(Raw::<T>::terms()));
        assert_eq!(verdict.refusal, None, "{}", T::SCHEME);
    }
    let name = "a_server_without_descriptors_waits_and_does_not_spin";
    over_each(name, [test::<Unix>, test::<Seqpacket>, test::<Dgram>]);
}

/// Over datagrams a client takes five, four of which are there before it comes. One for whom they are not all there is
/// not taken in, for its knock would be lost.
#[test]
fn a_knock_is_not_taken_by_a_server_that_has_too_few_descriptors_for_it() {
    fn test() {
        // With four there are five again once the first has been given its ends.
        for free in 1..=3 {
            let stage = Stage::<Dgram>::new();
            let mut server = stage.server();
            let mut both = [(); 2].map(|()| Raw::<Dgram>::knock(&stage.place()));
            let brief = Deadline::Within(Duration::from_millis(20));
            let accepted = with_only(free, || server.accept_client_by(brief));
            assert_eq!(kind_of(&accepted), Some(&ErrorKind::TimedOut), "{free}");
            assert_eq!((server.stats().arrived, server.stats().refused_in_all()), (1, 0), "{free}");
            let greet = || both.each_mut().map(|it| it.greet(Raw::<Dgram>::terms()).refusal);
            assert_eq!(stage.refused(&mut server, greet), [None, None], "{free}");
        }
    }
    let name = "a_knock_is_not_taken_by_a_server_that_has_too_few_descriptors_for_it";
    over_each(name, [test]);
}

/// With the reserve it says so to those who wait.
#[test]
fn a_server_without_descriptors_tells_that_it_is_busy() {
    fn test<T: Transport>() {
        let stage = Stage::<T>::new();
        let mut server = stage.server();
        let mut waiting = Raw::<T>::knock(&stage.place());
        with_only(0, || {
            while server.stats().refused(Refusal::Busy) == 0 {
                let accepted = server.accept_client_by(Deadline::Within(Duration::from_millis(10)));
                assert_eq!(kind_of(&accepted), Some(&ErrorKind::TimedOut), "{}", T::SCHEME);
            }
        });
        assert_eq!(waiting.verdict().unwrap().refusal, Some(Refusal::Busy), "{}", T::SCHEME);
        let _ = stage.pair(&mut server);
    }
    let name = "a_server_without_descriptors_tells_that_it_is_busy";
    over_each(name, [test::<Unix>, test::<Seqpacket>, test::<Dgram>]);
}
