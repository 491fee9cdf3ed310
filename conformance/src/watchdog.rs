//! Tests never assert that something is fast; but one that hangs must end.

use std::{cell::Cell, env, io::Write, sync::mpsc, thread, time::Duration};

thread_local! {
    static CURRENT: Cell<&'static str> = const { Cell::new("") };
}

/// The test that runs in this thread.
pub(crate) fn current() -> &'static str {
    CURRENT.get()
}

/// The name of a test as its harness knows it: without the crate.
#[must_use]
pub fn in_crate(path: &'static str) -> &'static str {
    path.split_once("::").map_or(path, |(_, name)| name)
}

/// Runs a test; a test that takes longer than `HOBNOB_WATCHDOG` seconds (default 120) ends the process.
pub fn watched(name: &'static str, test: impl FnOnce()) {
    let seconds = env::var("HOBNOB_WATCHDOG").ok().and_then(|text| text.parse().ok()).unwrap_or(120);
    let (done, over) = mpsc::channel::<()>();
    thread::spawn(move || {
        if over.recv_timeout(Duration::from_secs(seconds)) == Err(mpsc::RecvTimeoutError::Timeout) {
            // Not `eprintln`: the test harness keeps what that says until the test ends.
            let seed = crate::seed::seed_line();
            let _ = writeln!(std::io::stderr(), "watchdog: {name} is not done after {seconds} s; {seed}");
            std::process::abort();
        }
    });
    CURRENT.set(name);
    let _seed = crate::seed::TellSeed;
    test();
    drop(done);
}
