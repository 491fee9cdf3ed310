//! What a client writes to the rendezvous: one record of 64 bytes, and how the server finds records among whatever
//! else was written there. Pure.
//!
//! A write of up to PIPE_BUF bytes (at least 512, POSIX) is atomic, so honest records are never torn. But anybody
//! who may write to the rendezvous may write half a record: after anything that is not one, the search goes on
//! one byte further, so that no honest record is lost. It does so after a record, too: half a record can be made so
//! that the beginning of the next honest one completes it.
//!
//! | bytes | meaning |
//! |---|---|
//! | 0-7 | `hobnobF1` |
//! | 8-11 | the client's pid, u32 |
//! | 12-27 | the random part of the pair's names |
//! | 28-43 | the nonce that the hello must carry |
//! | 44-59 | 0 |
//! | 60-63 | CRC-32 (IEEE 802.3) of the bytes before, u32 |
//!
//! Numbers are little-endian.

/// The size of a record, in bytes.
pub const SIZE: usize = 64;

const MAGIC: [u8; 8] = *b"hobnobF1";
const SUM_AT: usize = SIZE - 4;

/// A client's knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knock {
    /// The client's process, as it says.
    pub pid: u32,
    /// The random part of the pair's names.
    pub id: [u8; 16],
    /// What the hello must carry. It is in no file name.
    pub nonce: [u8; 16],
}

impl Knock {
    /// The record.
    #[must_use]
    pub fn encode(&self) -> [u8; SIZE] {
        let mut record = [0; SIZE];
        record[..8].copy_from_slice(&MAGIC);
        record[8..12].copy_from_slice(&self.pid.to_le_bytes());
        record[12..28].copy_from_slice(&self.id);
        record[28..44].copy_from_slice(&self.nonce);
        let sum = crc32(&record[..SUM_AT]);
        record[SUM_AT..].copy_from_slice(&sum.to_le_bytes());
        record
    }

    /// Reads a record, if it is one.
    #[must_use]
    pub fn decode(record: &[u8; SIZE]) -> Option<Self> {
        let (body, sum) = record.split_at(SUM_AT);
        let (magic, rest) = body.split_first_chunk::<8>()?;
        if *magic != MAGIC || crc32(body).to_le_bytes() != sum {
            return None;
        }
        let (pid, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (nonce, _) = rest.split_first_chunk()?;
        Some(Self { pid: u32::from_le_bytes(*pid), id: *id, nonce: *nonce })
    }

    /// The names of the pair: client to server, server to client.
    #[must_use]
    pub fn names(&self) -> [String; 2] {
        let stem = format!("{}-{:032x}", self.pid, u128::from_be_bytes(self.id));
        [format!("{stem}.c2s"), format!("{stem}.s2c")]
    }
}

/// Whether a file is called as one of a pair is.
pub(crate) fn is_pair_name(name: &str) -> bool {
    let stem = name.strip_suffix(".c2s").or_else(|| name.strip_suffix(".s2c"));
    stem.and_then(|stem| stem.split_once('-')).is_some_and(|(pid, id)| {
        let hex = id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        hex && !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit())
    })
}

/// Finds records in a stream of bytes that anybody may have written to.
#[derive(Debug, Default)]
pub struct Finder {
    bytes: Vec<u8>,
    at: usize,
    /// So many bytes from `at` on belong to a record that was found.
    claimed: usize,
}

/// What a [`Finder`] found next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A record.
    Knock(Knock),
    /// So many bytes that belong to no record.
    Garbage(usize),
}

impl Finder {
    /// Adds what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether there are enough bytes for a record.
    #[must_use]
    pub fn has_whole(&self) -> bool {
        self.bytes.len() - self.at >= SIZE
    }

    /// What comes next, as far as can be told yet.
    pub fn next_found(&mut self) -> Option<Found> {
        let mut garbage = 0;
        while let Some(window) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()) {
            let knock = Knock::decode(window);
            if knock.is_some() && garbage > 0 {
                break;
            }
            self.at += 1;
            if let Some(knock) = knock {
                self.claimed = SIZE - 1;
                return Some(Found::Knock(knock));
            }
            garbage += usize::from(self.claimed == 0);
            self.claimed = self.claimed.saturating_sub(1);
        }
        (garbage > 0).then_some(Found::Garbage(garbage))
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn knocks(found: &mut Finder) -> Vec<Knock> {
        std::iter::from_fn(|| found.next_found())
            .filter_map(|found| match found {
                Found::Knock(knock) => Some(knock),
                Found::Garbage(_) => None,
            })
            .collect()
    }

    #[test]
    fn the_sum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn only_the_exact_form_is_the_name_of_a_pair() {
        let good = Knock { pid: 4711, id: [0xab; 16], nonce: [0; 16] }.names();
        assert!(good.iter().all(|name| is_pair_name(name)));
        let [good, _] = good;
        for (part, bad) in
            [("4711", ""), ("4711", "x"), ("-", ""), ("ab", "AB"), ("ab", "xy"), ("c2s", "c2c")]
        {
            assert!(!is_pair_name(&good.replace(part, bad)), "{part} {bad}");
        }
        for bad in ["", "4711", "notes.c2s", &format!("{good}.c2s"), good.trim_end_matches(".c2s")] {
            assert!(!is_pair_name(bad), "{bad}");
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let good = Knock { pid: 7, id: [1; 16], nonce: [2; 16] }.encode();
        assert!(Knock::decode(&good).is_some());
        for bit in 0..SIZE * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Knock::decode(&bad), None, "bit {bit}");
        }
    }

    #[test]
    fn half_a_record_that_an_honest_one_completes_does_not_swallow_it() {
        let honest = Knock { pid: 7, id: [1; 16], nonce: [2; 16] };
        let hostile = Knock { pid: 1, id: [7; 16], nonce: [8; 16] };
        // Four of the bytes that mean nothing, so that the sum is the beginning of an honest record.
        let half = [&hostile.encode()[..56], &[0x9c, 0x13, 0xda, 0x19]].concat();
        for pieces in [1, 60, 64, 200] {
            let (mut finder, mut got) = (Finder::default(), Vec::new());
            for piece in [half.clone(), honest.encode().to_vec()].concat().chunks(pieces) {
                finder.feed(piece);
                got.extend(knocks(&mut finder));
            }
            assert_eq!(got, [hostile, honest], "in pieces of {pieces}");
            assert!(!finder.has_whole());
        }
    }

    proptest! {
        /// The naive reader, which takes every 64 bytes for a record, loses all honest ones after the first odd byte.
        #[test]
        fn garbage_between_records_costs_no_record(
            parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..150), any::<bool>()), 1..20),
            piece in 1..200usize,
        ) {
            let mut stream = Vec::new();
            let mut sent = Vec::new();
            for (i, (garbage, torn)) in parts.into_iter().enumerate() {
                let knock = Knock { pid: i as u32, id: [i as u8; 16], nonce: [9; 16] };
                stream.extend(garbage);
                if torn {
                    stream.extend(&knock.encode()[..40]);
                }
                stream.extend(knock.encode());
                sent.push(knock);
            }
            let mut finder = Finder::default();
            let mut got = Vec::new();
            for piece in stream.chunks(piece) {
                finder.feed(piece);
                got.extend(knocks(&mut finder));
            }
            prop_assert_eq!(got, sent);
        }
    }
}
