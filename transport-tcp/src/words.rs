//! What is said to show that both sides have the key, before the core's hello. Pure: bytes in, words out.
//!
//! | who | word | bytes |
//! |---|---|---|
//! | client | knock | magic (8), nonce (16) |
//! | server | answer | magic (8), nonce (16), pid (4), code (32) |
//! | client | proof | pid (4), 1 if it is the key's owner or 0 (4), code (32) |
//!
//! Numbers are little-endian. A code is HMAC-SHA256 with the key over a label for who says it, the server's port, the
//! client's nonce, the server's nonce, and what stands before the code in the same word (for the server: its pid). In
//! place of the answer the server may say no: a frame with a verdict, as after a hello.

use ipc_core::{
    Nonce,
    frame::{FrameKind, HEADER, parse_header},
    hello::{LARGEST, Verdict},
};

use crate::key::{Code, Exchange, Key, Role};

/// Taken for a header, it has a kind that no frame has.
pub(crate) const MAGIC: [u8; 8] = *b"hobnobK1";

pub(crate) const KNOCK: usize = 24;
pub(crate) const ANSWER: usize = 60;
pub(crate) const PROOF: usize = 40;

pub(crate) fn knock(nonce: &Nonce) -> [u8; KNOCK] {
    joined([&MAGIC, nonce])
}

/// The client's nonce, if all of the knock has come.
pub(crate) fn read_knock(came: &[u8]) -> Result<Option<Nonce>, &'static str> {
    let begun = came.len().min(MAGIC.len());
    if came[..begun] != MAGIC[..begun] {
        return Err("no knock");
    }
    Ok(came.get(MAGIC.len()..KNOCK).and_then(|nonce| nonce.try_into().ok()))
}

pub(crate) fn answer(key: &Key, exchange: &Exchange, pid: u32) -> [u8; ANSWER] {
    let pid = pid.to_le_bytes();
    joined([&MAGIC, &exchange.server, &pid, &key.code(Role::Server, exchange, &pid)])
}

/// What the server says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It says more: so many bytes in all.
    Unfinished(usize),
    Said {
        nonce: Nonce,
        pid: [u8; 4],
        code: Code,
    },
    No(Verdict),
}

pub(crate) fn read_answer(came: &[u8]) -> Result<Answer, &'static str> {
    let Some((head, rest)) = came.split_first_chunk::<HEADER>() else {
        return Ok(Answer::Unfinished(HEADER));
    };
    if *head != MAGIC {
        return read_no(*head, rest);
    }
    let fields = || {
        let (nonce, rest) = rest.split_first_chunk()?;
        let (pid, rest) = rest.split_first_chunk()?;
        let (code, _) = rest.split_first_chunk()?;
        Some(Answer::Said { nonce: *nonce, pid: *pid, code: *code })
    };
    Ok(fields().unwrap_or(Answer::Unfinished(ANSWER)))
}

fn read_no(head: [u8; HEADER], body: &[u8]) -> Result<Answer, &'static str> {
    let (kind, length) = parse_header(head)?;
    if kind != FrameKind::Verdict || length > LARGEST {
        return Err("neither an answer to a knock nor a refusal");
    }
    // At most 256.
    let length = length as usize;
    match body.get(..length) {
        None => Ok(Answer::Unfinished(HEADER + length)),
        Some(body) => Verdict::decode(body).map(Answer::No),
    }
}

/// Whether the server has shown that it has the key.
pub(crate) fn is_server(key: &Key, exchange: &Exchange, pid: &[u8; 4], code: &Code) -> bool {
    key.is_right(code, Role::Server, exchange, pid)
}

/// What the client says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) pid: u32,
    /// Whether it runs as the key's owner. Root can read anybody's.
    pub(crate) is_owner: bool,
}

impl Claim {
    fn encode(self) -> [u8; 8] {
        joined([&self.pid.to_le_bytes(), &u32::from(self.is_owner).to_le_bytes()])
    }
}

pub(crate) fn proof(key: &Key, exchange: &Exchange, claim: Claim) -> [u8; PROOF] {
    let claim = claim.encode();
    joined([&claim, &key.code(Role::Client, exchange, &claim)])
}

/// What the client says of itself, if it has shown that it has the key.
pub(crate) fn read_proof(word: &[u8; PROOF], key: &Key, exchange: &Exchange) -> Option<Claim> {
    let (said, code) = word.split_first_chunk::<8>()?;
    if !key.is_right(code.try_into().ok()?, Role::Client, exchange, said) {
        return None;
    }
    let [a, b, c, d, is_owner @ ..] = *said;
    Some(Claim { pid: u32::from_le_bytes([a, b, c, d]), is_owner: u32::from_le_bytes(is_owner) == 1 })
}

/// The parts one behind the other; they are as long as the whole.
fn joined<const N: usize, const M: usize>(parts: [&[u8]; M]) -> [u8; N] {
    let mut whole = [0; N];
    let mut rest = &mut whole[..];
    for part in parts {
        let (here, behind) = rest.split_at_mut(part.len());
        here.copy_from_slice(part);
        rest = behind;
    }
    whole
}
