//! F24: the whole conformance suite in a storm of signals, in the tests' own process and in those of their actors. A
//! signal may end any system call early; it must not change any result.
//!
//! There is no bigger budget: to try for longer, run it again.
#![allow(clippy::unwrap_used)]

#[path = "f24_signal_storm/storm.rs"]
mod storm;

use std::{io, os::fd::AsFd, thread};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::read,
};
use storm::in_the_storm;

mod unix {
    conformance::conformance!(transport_unix::Unix, around: super::in_the_storm);
}

mod fifo {
    conformance::conformance!(transport_fifo::Fifo, around: super::in_the_storm);
}

mod inproc {
    conformance::conformance!(transport_inproc::Inproc, around: super::in_the_storm);
}

/// The storm is what it claims to be. Without it these threads would wait for ever.
#[test]
fn every_thread_that_waits_is_interrupted_again_and_again() {
    faults::watched("every_thread_that_waits_is_interrupted_again_and_again", || {
        in_the_storm(|| {
            let (silent, _writer) = io::pipe().unwrap();
            let before = storm::hits();
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..50 {
                            assert_eq!(read(&silent, &mut [0]), Err(Errno::EINTR));
                            let mut fds = [PollFd::new(silent.as_fd(), PollFlags::POLLIN)];
                            assert_eq!(poll(&mut fds, PollTimeout::NONE), Err(Errno::EINTR));
                        }
                    });
                }
            });
            assert!(storm::hits() - before >= 400);
        });
    });
}
