//! Death at a system call: a program is stopped at each entry and exit (ptrace(2)) and killed at one of them.

use std::io::Write;

use nix::{
    errno::Errno,
    sys::{
        ptrace::{self, Options},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
};

use crate::{Program, roles::MARK};

/// How a deed ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// At the stop that was asked for, before it was done.
    Killed,
    /// It was done after so many stops, and then killed.
    Done(usize),
}

/// The mark at the end is a system call itself: its entry and its exit are no part of the deed.
const STOPS_OF_A_MARK: usize = 2;

/// Becomes the tracer of the program; false if that is not permitted here. Only the thread that did this may then
/// go on with it, and the program dies with that thread.
#[must_use]
pub fn seize(program: &Program) -> bool {
    match ptrace::seize(program.pid(), Options::PTRACE_O_EXITKILL | Options::PTRACE_O_TRACESYSGOOD) {
        Err(Errno::EPERM | Errno::ENOSYS | Errno::EACCES) => false,
        seized => seized.map(|()| true).unwrap(),
    }
}

/// Lets a seized program that waits in the role `deed` go on to the stop with this number, from 1, and kills it
/// there; or, if its deed is done with fewer stops, at the end of it. Odd stops are entries: the kernel has not
/// begun with the call. Even ones are exits: it has done it, and the program does not know yet.
pub fn kill_at(program: &mut Program, number: usize) -> Fate {
    // It runs on freely to the first mark.
    program.stdin.write_all(b"go\n").unwrap();
    assert!(waits_at_a_mark(program), "it begins with a mark");
    let mut stops = 0;
    let fate = loop {
        ptrace::syscall(program.pid(), None).unwrap();
        if waits_at_a_mark(program) {
            break Fate::Done(stops - STOPS_OF_A_MARK);
        }
        stops += 1;
        if stops == number {
            break Fate::Killed;
        }
    };
    program.kill();
    assert_eq!(program.ended(), (None, Some(9)));
    fate
}

/// Waits for the next stop: true at a mark, false at a system call.
fn waits_at_a_mark(program: &Program) -> bool {
    match waitpid(program.pid(), Some(WaitPidFlag::__WALL)).unwrap() {
        WaitStatus::PtraceSyscall(_) => false,
        WaitStatus::Stopped(_, MARK) => true,
        other => panic!("the deed failed by itself: {other:?}"),
    }
}
