//! What the fuzz target reaches and users do not. It is there with `--cfg fuzzing` only.

use ipc_core::{Nonce, hello::Verdict};

use crate::words;

/// What a client makes of what has come of the server's first word.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// It waits until so many bytes have come in all.
    Unfinished(usize),
    /// The server's nonce, and its claim with the code.
    Said(Nonce, [u8; 40]),
    /// The server says no.
    No(Verdict),
    /// None of these.
    Bad,
}

/// Reads what has come of the server's first word.
#[must_use]
pub fn answer(came: &[u8]) -> Answer {
    match words::read_answer(came) {
        Ok(words::Answer::Unfinished(wanted)) => Answer::Unfinished(wanted),
        Ok(words::Answer::Said(nonce, signed)) => Answer::Said(nonce, signed),
        Ok(words::Answer::No(verdict)) => Answer::No(verdict),
        Err(_) => Answer::Bad,
    }
}

/// The nonce of a knock; `Some(None)` while not all of it has come, none if it never will be one.
#[must_use]
pub fn knock(came: &[u8]) -> Option<Option<Nonce>> {
    words::read_knock(came).ok()
}
