//! Out of descriptors. In a process of its own: the limit is the whole process's.
#![allow(clippy::unwrap_used)]

use std::{os::unix::net::UnixStream, time::Duration};

use conformance::{Stage, kind_of, watched};
use ipc_core::{Deadline, ErrorKind, IpcServer};
use nix::sys::{
    resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit},
    time::TimeValLike,
};
use transport_unix::Unix;

/// Somebody waits at the door all the time, and the door cannot be opened.
#[test]
fn a_server_without_descriptors_waits_and_does_not_spin() {
    watched("a_server_without_descriptors_waits_and_does_not_spin", || {
        let stage = Stage::<Unix>::new();
        let mut server = stage.server();
        let folder = stage.names().join(stage.address.to_string());
        let _waiting = UnixStream::connect(folder.join("sock")).unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 3, hard).unwrap();
        let used = || {
            let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
            (usage.user_time() + usage.system_time()).num_milliseconds()
        };
        let before = used();
        let accepted = server.accept_client_by(Deadline::Within(Duration::from_millis(500)));
        let used = used() - before;
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        assert_eq!(kind_of(&accepted), Some(&ErrorKind::TimedOut));
        assert!(server.stats().pauses > 0);
        assert!(used < 200, "{used} ms of 500");
    });
}
