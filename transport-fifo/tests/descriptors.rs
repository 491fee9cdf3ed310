//! Out of descriptors. In a process of its own: the limit is the whole process's.
#![allow(clippy::unwrap_used)]

use std::{thread, time::Duration};

use conformance::{Raw, Stage, kind_of, watched};
use ipc_core::{Deadline, ErrorKind, IpcServer};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use transport_fifo::Fifo;

/// With the descriptors of a busy process gone, a knock that was read already is not lost.
#[test]
fn a_knock_survives_a_server_without_descriptors() {
    watched("a_knock_survives_a_server_without_descriptors", || {
        let stage = Stage::<Fifo>::new();
        let mut server = stage.server();
        let place = stage.place();
        let mut raw = Raw::<Fifo>::knock(&place);
        raw.write(&raw.hello(Raw::<Fifo>::terms()));
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let limit = |soft| setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        limit(3);
        let refused = server.accept_client_by(Deadline::Within(Duration::from_millis(50)));
        limit(soft);
        assert_eq!(kind_of(&refused), Some(&ErrorKind::TimedOut));
        assert!(server.stats().pauses > 0);
        let verdict = thread::scope(|scope| {
            let verdict = scope.spawn(|| raw.verdict().unwrap());
            assert_eq!(
                kind_of(&server.accept_client_by(Deadline::Within(Duration::from_millis(100)))),
                Some(&ErrorKind::TimedOut)
            );
            verdict.join().unwrap()
        });
        assert_eq!(verdict.refusal, None);
    });
}
