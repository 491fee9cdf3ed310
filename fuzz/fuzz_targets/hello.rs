//! The words of the handshake: read as their table says, and written so that they are read back the same.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use fuzz::words;
use ipc_core::{
    Refusal,
    hello::{Hello, LARGEST, Terms, Verdict},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    // The same bytes as a word that is right, and as a way to spoil it.
    if let Ok(word) = Word::arbitrary(&mut Unstructured::new(bytes)) {
        word.survives();
    }
});

fn read(bytes: &[u8]) {
    let hello = Hello::decode(bytes).ok();
    assert_eq!(hello, words::hello(bytes));
    if let Some(hello) = hello {
        assert_eq!(Hello::decode(&hello.encode()).as_ref(), Ok(&hello));
        if words::is_canonical(bytes) {
            assert_eq!(hello.encode(), bytes[..words::HELLO]);
        }
    }
    let verdict = Verdict::decode(bytes).ok();
    assert_eq!(verdict, words::verdict(bytes));
    if let Some(verdict) = verdict {
        assert_eq!(Verdict::decode(&verdict.encode()).as_ref(), Ok(&verdict));
        if words::is_canonical(bytes) && bytes[37] <= 16 {
            assert_eq!(verdict.encode(), bytes[..words::VERDICT]);
        }
        assert_eq!(verdict.error(&verdict.terms).is_some(), verdict.refusal.is_some());
    }
}

#[derive(Arbitrary, Debug)]
struct Word {
    version: u16,
    scheme: [u8; 16],
    scheme_length: u8,
    limit: u32,
    schema: Option<u64>,
    nonces: [[u8; 16]; 2],
    refusal: u8,
    cut: u8,
    tail: Vec<u8>,
}

impl Word {
    fn survives(&self) {
        let (terms, [echo, nonce]) = (self.terms(), self.nonces);
        let refusal = Refusal::from_code(self.refusal % 17);
        let hello = Hello { terms: terms.clone(), nonce };
        let verdict = Verdict { terms: terms.clone(), refusal, echo, nonce };
        self.whole_and_cut(&hello.encode(), words::HELLO, |bytes| {
            let read = Hello::decode(bytes);
            assert!(read.is_err() || read.as_ref() == Ok(&hello));
            read.is_ok()
        });
        self.whole_and_cut(&verdict.encode(), words::VERDICT, |bytes| {
            let read = Verdict::decode(bytes);
            assert!(read.is_err() || read.as_ref() == Ok(&verdict));
            read.is_ok()
        });
        assert_eq!(terms.refusal(&terms), None, "whoever says the same can talk");
    }

    fn whole_and_cut(&self, word: &[u8], length: usize, is_read: impl Fn(&[u8]) -> bool) {
        assert!(word.len() == length && length <= LARGEST as usize);
        assert!(is_read(word));
        assert!(is_read(&[word, &self.tail].concat()), "later versions may say more");
        assert!(!is_read(&word[..usize::from(self.cut) % length]), "cut short");
    }

    fn terms(&self) -> Terms {
        let letter =
            |byte: &u8| char::from(b"abcdefghijklmnopqrstuvwxyzABCDEFG0123456789"[usize::from(*byte) % 43]);
        let scheme = self.scheme.iter().take(usize::from(self.scheme_length) % 17).map(letter).collect();
        Terms { version: self.version, scheme, limit: self.limit, schema: self.schema }
    }
}
