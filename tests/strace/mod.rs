//! What strace sees of a process.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    collections::BTreeMap,
    io::Write,
    process::{Command, Stdio},
};

pub fn can_trace() -> bool {
    let tried = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// Past the test harness, which keeps what a passing test prints.
pub fn skipped(name: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {name}: strace is not installed or may not trace here");
}

/// What the thread that set the two marks did between them, by the names of the calls.
pub fn count(log: &str) -> BTreeMap<String, usize> {
    let line = |line: &str| -> Option<(u32, String)> {
        let (thread, event) = line.split_once(' ')?;
        // The end of a call that was interrupted by another thread's line has no name before a bracket.
        let (call, _) = event.trim_start().split_once('(')?;
        Some((thread.parse().ok()?, call.to_owned())).filter(|_| !call.contains(' '))
    };
    let calls: Vec<_> = log.lines().filter_map(line).collect();
    let marks: Vec<_> = calls.iter().enumerate().filter(|(_, (_, call))| call == "getppid").collect();
    let [(from, (thread, _)), (to, _)] = marks[..] else { panic!("{} marks and not two", marks.len()) };
    let mut counted = BTreeMap::new();
    for (_, call) in calls[from + 1..to].iter().filter(|(by, _)| by == thread) {
        *counted.entry(call.clone()).or_default() += 1;
    }
    counted
}
