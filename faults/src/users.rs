//! The other users that the tests act as. Only root can become them; without it those tests say so.

use std::io::Write;

/// A user who is let in, where a test lets another user in.
pub const OTHER: u32 = 1001;
/// A user who means harm.
pub const ATTACKER: u32 = 1002;

/// Whether this process can act as other users. If not, says loudly what is not tested.
#[must_use]
pub fn is_root(what: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skipped(&format!("{what}: it needs root, to act as other users"));
    }
    root
}

/// Past the test harness, which keeps what a passing test prints.
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
