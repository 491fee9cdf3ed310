//! What the fault tests share. Each file in `tests/` is one fault of RELIABILITY.md, in real processes: the program
//! `actor` plays the honest and the dying, and the hostile speak the protocol by hand (`wire`), not with hobnob's
//! own client.
//!
//! How often a fault is tried is a small number, or what the variable of its row says:
//! `HOBNOB_F1=20000 cargo test --release -p faults --test f01_random_kills -- --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, missing_docs)]

pub mod aftermath;
mod clock;
mod dice;
mod echoing;
mod house;
mod process;
mod program;
mod puppet;
pub mod roles;
mod settles;
mod sockets;
pub mod stage;
mod strace;
mod stream;
pub mod traced;
mod tree;
mod users;
pub mod wire;

use std::{env, io::Write};

pub use clock::SetClock;
pub use conformance::{kind_of, watched};
pub use dice::Dice;
pub use echoing::{AtEnd, echoing, listing, wait_until};
pub use house::{House, NAME, SCHEMES, each_rendezvous, each_road, each_transport};
pub use process::Process;
pub use program::{Program, become_again};
pub use puppet::{Puppet, file, in_new_pids};
pub use settles::{live_for, settles};
pub use strace::UnderStrace;
pub use stream::{LARGEST, Stream, size};
pub use tree::Tree;
pub use users::{ATTACKER, OTHER, is_root, skipped};

/// How often to try, or how many seconds: what the variable says, or else `small`.
#[must_use]
pub fn budget(variable: &str, small: u64) -> u64 {
    match env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text}; expected a number")),
        Err(_) => small,
    }
}

/// One line of what was seen, past the test harness: `F1 | unix | 500 kills | ...`.
pub fn saw(fault: &str, transport: &str, tries: impl std::fmt::Display, seen: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{fault} | {transport} | {tries} | {seen}");
}
