//! The handshake's words by fixed places: magic 0-5, version 6-7, scheme 8-23, limit 24-27, schema flag 28, schema
//! 29-36; then in a hello the nonce 37-52, in a verdict the code 37, the echo 38-53 and the nonce 54-69.

use ipc_core::{
    Nonce, Refusal,
    hello::{Hello, Terms, Verdict},
};

/// The length of a hello of this version.
pub const HELLO: usize = 53;
/// The length of a verdict of this version.
pub const VERDICT: usize = 70;

/// A hello, if it is one.
#[must_use]
pub fn hello(body: &[u8]) -> Option<Hello> {
    let body = body.get(..HELLO)?;
    Some(Hello { terms: terms(body)?, nonce: nonce(&body[37..53]) })
}

/// A verdict, if it is one.
#[must_use]
pub fn verdict(body: &[u8]) -> Option<Verdict> {
    let body = body.get(..VERDICT)?;
    let refusal = match body[37] {
        0 => None,
        code @ 1..=16 => Some(Refusal::ALL[usize::from(code) - 1]),
        _ => Some(Refusal::NotAdmitted),
    };
    Some(Verdict { terms: terms(body)?, refusal, echo: nonce(&body[38..54]), nonce: nonce(&body[54..70]) })
}

/// Whether nothing in these terms could have been written in another way.
#[must_use]
pub fn is_canonical(body: &[u8]) -> bool {
    let after_scheme = body[8..24].iter().skip_while(|byte| **byte != 0);
    let schema_or_zeros = body[28] == 1 || body[28..37] == [0; 9];
    after_scheme.copied().all(|byte| byte == 0) && schema_or_zeros
}

fn terms(body: &[u8]) -> Option<Terms> {
    let scheme: Vec<u8> = body[8..24].iter().copied().take_while(|byte| *byte != 0).collect();
    let plain = |byte: &u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9');
    if &body[..6] != b"hobnob" || !scheme.iter().all(plain) {
        return None;
    }
    Some(Terms {
        version: u16::from(body[6]) | u16::from(body[7]) << 8,
        scheme: String::from_utf8(scheme).ok()?,
        limit: u32::from_le_bytes([body[24], body[25], body[26], body[27]]),
        schema: (body[28] != 0).then(|| (0..8).rev().fold(0, |sum, i| sum << 8 | u64::from(body[29 + i]))),
    })
}

fn nonce(bytes: &[u8]) -> Nonce {
    let mut nonce = Nonce::default();
    nonce.copy_from_slice(bytes);
    nonce
}
