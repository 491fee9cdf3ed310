//! The records on the rendezvous FIFO, among whatever else was written there and however it is cut by reads: every
//! record that was written whole is found exactly once, and nothing is found that is not there.
#![no_main]

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use fuzz::records::{self, SIZE};
use libfuzzer_sys::fuzz_target;
use transport_fifo::record::{Finder, Found, Knock};

#[derive(Arbitrary, Debug)]
struct Input {
    parts: Vec<Part>,
    /// The sizes of reads.
    cuts: Vec<u16>,
}

#[derive(Arbitrary, Debug)]
enum Part {
    /// An honest client's.
    Record(Client),
    Garbage(Vec<u8>),
    /// The beginning of a record.
    Torn(Client, u8),
    /// The beginning of a record that the bytes of an honest one complete.
    Forged(Client, u8),
    /// A record with one bit wrong.
    Flipped(Client, u16),
}

#[derive(Arbitrary, Debug)]
struct Client {
    pid: u32,
    id: u8,
    nonce: u8,
}

impl Client {
    fn knock(&self) -> Knock {
        Knock { pid: self.pid, id: [self.id; 16], nonce: [self.nonce; 16] }
    }
}

fuzz_target!(|input: Input| {
    let (stream, honest) = stream(&input.parts);
    let (expected, garbage) = records::find(&stream);
    let places: BTreeSet<usize> = expected.iter().map(|(at, _)| *at).collect();
    assert!(honest.iter().all(|at| places.contains(at)), "the oracle itself missed one");
    let (found, skipped) = find(&stream, &input.cuts);
    let expected: Vec<Knock> = expected.into_iter().map(|(_, knock)| knock).collect();
    assert_eq!(found, expected);
    assert_eq!(skipped, garbage, "bytes in no record");
    found.iter().for_each(names_are_plain);
});

/// What is written, and where the honest records begin.
fn stream(parts: &[Part]) -> (Vec<u8>, Vec<usize>) {
    let (mut stream, mut honest) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Record(client) => {
                honest.push(stream.len());
                stream.extend(client.knock().encode());
            }
            Part::Garbage(bytes) => stream.extend(bytes),
            Part::Torn(client, length) => {
                stream.extend(&client.knock().encode()[..usize::from(*length) % SIZE]);
            }
            Part::Forged(client, length) => {
                let after = client.knock().encode();
                let forger = Knock { pid: 1, id: [7; 16], nonce: [8; 16] };
                stream.extend(records::forge(&forger, usize::from(*length) % SIZE, &after));
                honest.push(stream.len());
                stream.extend(after);
            }
            Part::Flipped(client, bit) => {
                let mut record = client.knock().encode();
                let bit = usize::from(*bit) % (SIZE * 8);
                record[bit / 8] ^= 1 << (bit % 8);
                stream.extend(record);
            }
        }
    }
    (stream, honest)
}

fn find(stream: &[u8], cuts: &[u16]) -> (Vec<Knock>, usize) {
    let (mut finder, mut found, mut skipped) = (Finder::default(), Vec::new(), 0);
    let (mut rest, mut cuts) = (stream, cuts.iter().cycle());
    while !rest.is_empty() {
        let size = cuts.next().map_or(4096, |cut| usize::from(*cut % 4096) + 1).min(rest.len());
        let (read, later) = rest.split_at(size);
        finder.feed(read);
        rest = later;
        while let Some(next) = finder.next_found() {
            match next {
                Found::Knock(knock) => found.push(knock),
                Found::Garbage(0) => panic!("no bytes are no garbage"),
                Found::Garbage(count) => skipped += count,
            }
        }
        assert!(!finder.has_whole(), "there is more, and it does not say what");
    }
    (found, skipped)
}

/// The names that a record leads to are names in one folder.
fn names_are_plain(knock: &Knock) {
    for (name, end) in knock.names().iter().zip([".c2s", ".s2c"]) {
        let (pid, random) = name.strip_suffix(end).and_then(|stem| stem.split_once('-')).expect("a stem");
        assert_eq!(pid, knock.pid.to_string());
        let hex: String = knock.id.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(random, hex);
    }
}
