//! What clients say, and what they hear. The `%` at the end of both is the wire's.

use std::sync::Arc;

use crate::{
    author::Author,
    board::{Board, Refusal},
};

/// What ends commands and answers.
pub const END: u8 = b'%';
/// The longest command, in bytes.
pub const LONGEST_COMMAND: u32 = 4000;

const POSTED: &[u8] = b"MSGPosting Message!";
const UNKNOWN: &[u8] = b"ERRUnknown Command";
pub const OVERLOADED: &[u8] = b"ERRBuffer Overloaded";
pub const TIMEOUT: &[u8] = b"ERRTimeout!";

/// Messages are text: what is none would make others' lists unreadable.
const NOT_TEXT: &[u8] = b"ERRNot UTF-8";
const TOO_MANY: &[u8] = b"ERRToo Many Messages";
const FULL: &[u8] = b"ERRBoard Full";
const UNAVAILABLE: &[u8] = b"ERRBoard Unavailable";

/// What a command is answered with, once it was done.
pub async fn answer(command: &[u8], author: Author, board: &Board) -> Arc<[u8]> {
    match without_newlines(command) {
        b"GET" => board.recent().await.unwrap_or_else(|refusal| why(refusal).into()),
        [b'P', b'O', b'S', b'T', text @ ..] => post(text, author, board).await.into(),
        _ => UNKNOWN.into(),
    }
}

/// `echo` and terminals put one behind the `%`: then it is before the next command.
fn without_newlines(mut command: &[u8]) -> &[u8] {
    while let [b'\r' | b'\n', rest @ ..] = command {
        command = rest;
    }
    command
}

async fn post(text: &[u8], author: Author, board: &Board) -> &'static [u8] {
    let Ok(text) = str::from_utf8(text) else { return NOT_TEXT };
    match board.post(text.to_owned(), author).await {
        Ok(()) => POSTED,
        Err(refusal) => why(refusal),
    }
}

/// Paths and the system's words for errors are in the log.
fn why(refusal: Refusal) -> &'static [u8] {
    match refusal {
        Refusal::AuthorHasTooMany => TOO_MANY,
        Refusal::Full => FULL,
        Refusal::Unavailable => UNAVAILABLE,
    }
}
