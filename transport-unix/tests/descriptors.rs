//! Out of descriptors. In a process of its own: the limit is the whole process's.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use conformance::{Raw, Stage, kind_of, watched};
use ipc_core::{Deadline, ErrorKind, IpcServer, Refusal, Transport};
use nix::sys::{
    resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit},
    time::TimeValLike,
};
use transport_unix::{Unix, dgram::Dgram, seqpacket::Seqpacket};

/// The tests take turns with the limit.
static LIMIT: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn over_each(name: &'static str, tests: [fn(); 3]) {
    watched(name, || {
        let _turn = LIMIT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tests.iter().for_each(|test| test());
    });
}

/// What comes of `work` while this process can open no descriptor.
fn with_none<R>(work: impl FnOnce() -> R) -> R {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let file = std::fs::File::open("/").unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, std::os::fd::AsRawFd::as_raw_fd(&file) as u64, hard).unwrap();
    // Lower numbers may be free.
    let _kept: Vec<_> = std::iter::from_fn(|| file.try_clone().ok()).collect();
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
        let accepted = with_none(|| server.accept_client_by(Deadline::Within(Duration::from_millis(50))));
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

/// With the reserve it says so to those who wait.
#[test]
fn a_server_without_descriptors_tells_that_it_is_busy() {
    fn test<T: Transport>() {
        let stage = Stage::<T>::new();
        let mut server = stage.server();
        let mut waiting = Raw::<T>::knock(&stage.place());
        with_none(|| {
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
