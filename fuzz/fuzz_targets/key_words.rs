//! What is said before the hello to show that both sides have the key: as a server and a client read it, however it
//! comes in parts, and not a byte more.
#![no_main]

use fuzz::{
    framing::{NATIVE, Next},
    words::verdict,
};
use libfuzzer_sys::fuzz_target;
use transport_tcp::fuzz::{Answer, answer, knock};

const MAGIC: &[u8] = b"hobnobK1";

fuzz_target!(|bytes: &[u8]| {
    let expected = first_word(bytes);
    assert_eq!(answer(bytes), expected);
    assert_eq!(knock(bytes), nonce(bytes));
    as_it_is_read(bytes, &expected);
    // The same bytes behind what makes an answer of them.
    let behind = [MAGIC, bytes].concat();
    assert_eq!(answer(&behind), first_word(&behind));
    assert_eq!(knock(&behind), nonce(&behind));
});

/// A client reads up to what it is told to wait for, and looks again after each part.
fn as_it_is_read(bytes: &[u8], expected: &Answer) {
    let (mut came, mut wanted) = (0, 0);
    while came <= bytes.len() {
        match answer(&bytes[..came]) {
            Answer::Unfinished(more) => {
                assert!(more > came && more <= 8 + 256, "{came} have come, {more} are wanted");
                assert!(more >= wanted, "it wanted more before");
                wanted = more;
            }
            told => {
                assert!(came <= wanted, "read too much");
                assert_eq!(told, *expected);
                return;
            }
        }
        came += 1;
    }
    assert_eq!(Answer::Unfinished(wanted), *expected);
}

fn first_word(bytes: &[u8]) -> Answer {
    if bytes.len() < 8 {
        return Answer::Unfinished(8);
    }
    if bytes.starts_with(MAGIC) {
        return match bytes.get(8..64) {
            Some(word) => Answer::Said(word[..16].try_into().unwrap(), word[16..].try_into().unwrap()),
            None => Answer::Unfinished(64),
        };
    }
    if bytes[4] != 8 {
        return Answer::Bad;
    }
    match (NATIVE.next)(bytes, 256) {
        Next::Need => Answer::Unfinished(8 + usize::from(u16::from_le_bytes([bytes[0], bytes[1]]))),
        Next::Frame(_, body) => verdict(body).map_or(Answer::Bad, Answer::No),
        Next::Bad => Answer::Bad,
    }
}

fn nonce(bytes: &[u8]) -> Option<Option<[u8; 16]>> {
    if bytes.len() >= 24 {
        return bytes.starts_with(MAGIC).then(|| bytes[8..24].try_into().ok());
    }
    let may_be = bytes.iter().zip(MAGIC).all(|(byte, magic)| byte == magic);
    may_be.then_some(None)
}
