//! What is said to show that both sides have the key, before the core's hello. Pure: bytes in, words out.
//!
//! | who | word | bytes |
//! |---|---|---|
//! | client | knock | magic (8), nonce (16) |
//! | server | answer | magic (8), nonce (16), claim (8), code (32) |
//! | client | proof | claim (8), code (32) |
//!
//! A claim is the pid (4) and 1 if the process runs as the key's owner, else 0 (4).
//!
//! Numbers are little-endian. A code is HMAC-SHA256 with the key over a label for who says it, the server's port, the
//! client's nonce, the server's nonce, and the claim. In
//! place of the answer the server may say no: a frame with a verdict, as after a hello.

use ipc_core::{
    Nonce,
    frame::{FrameKind, HEADER, parse_header},
    hello::{LARGEST, Verdict},
};

use crate::key::{Exchange, Key, Role};

/// Taken for a header, it has a kind that no frame has.
pub(crate) const MAGIC: [u8; 8] = *b"hobnobK1";

pub(crate) const KNOCK: usize = 24;
pub(crate) const ANSWER: usize = 64;
pub(crate) const PROOF: usize = size_of::<Signed>();

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

pub(crate) fn answer(key: &Key, exchange: &Exchange, claim: Claim) -> [u8; ANSWER] {
    let claim = claim.encode();
    joined([&MAGIC, &exchange.server, &claim, &key.code(Role::Server, exchange, &claim)])
}

/// What the server says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It says more: so many bytes in all.
    Unfinished(usize),
    Said(Nonce, Signed),
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
        Some(Answer::Said(*nonce, *rest.first_chunk()?))
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

pub(crate) fn proof(key: &Key, exchange: &Exchange, claim: Claim) -> [u8; PROOF] {
    let claim = claim.encode();
    joined([&claim, &key.code(Role::Client, exchange, &claim)])
}

/// A claim and its code.
pub(crate) type Signed = [u8; 40];

/// What one side says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) pid: u32,
    /// Whether it runs as the key's owner. Root can read anybody's.
    pub(crate) is_owner: bool,
}

impl Claim {
    /// What this process says.
    pub(crate) fn ours(key: &Key) -> Self {
        Self { pid: std::process::id(), is_owner: nix::unistd::geteuid().as_raw() == key.owner }
    }

    /// What the other side says, if it has shown that it has the key.
    pub(crate) fn checked(signed: &Signed, key: &Key, role: Role, exchange: &Exchange) -> Option<Self> {
        let (said, code) = signed.split_first_chunk::<8>()?;
        if !key.is_right(code.first_chunk()?, role, exchange, said) {
            return None;
        }
        let [a, b, c, d, is_owner @ ..] = *said;
        Some(Self { pid: u32::from_le_bytes([a, b, c, d]), is_owner: u32::from_le_bytes(is_owner) == 1 })
    }

    fn encode(self) -> [u8; 8] {
        joined([&self.pid.to_le_bytes(), &u32::from(self.is_owner).to_le_bytes()])
    }
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
