//! The decoder on foreign wires: however the stream is cut, it gives what a simple parser finds in all of it, as soon as
//! it is there and no sooner; its memory follows what has arrived; and what is over the limit is told at once.
#![no_main]

use std::num::NonZeroU32;

use arbitrary::Arbitrary;
use fuzz::{
    cutting::{Cut, LONGEST, MOST_CUTS, Size, pattern, read},
    wires::{First, Next},
};
use ipc_core::{
    Wire,
    frame::{Decoder, FrameKind},
    fuzz::{deliver, memory, rest},
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    wire: Kind,
    limit: Size,
    parts: Vec<Part>,
    cuts: Vec<Cut>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    Raw,
    Delimited(u8),
    Fixed(Size),
}

#[derive(Arbitrary, Debug)]
enum Part {
    /// One byte, again and again; no delimiter, most often.
    Same {
        byte: u8,
        size: Size,
    },
    /// A message of this size that ends as it should.
    Message {
        byte: u8,
        size: Size,
    },
    /// All bytes there are.
    Pattern(Size),
    Ends(u8),
    Bytes(Vec<u8>),
}

/// A message may have a byte, or none: more of them would only be slow.
const MOST_MESSAGES: usize = 5000;

impl Kind {
    fn wire(self) -> Wire {
        match self {
            Self::Raw => Wire::Raw,
            Self::Delimited(delimiter) => Wire::Delimited(delimiter),
            Self::Fixed(size) => Wire::Fixed(NonZeroU32::new(size.bytes() as u32).unwrap_or(NonZeroU32::MIN)),
        }
    }
}

fuzz_target!(|input: Input| {
    let (wire, limit) = (input.wire.wire(), input.limit.bytes());
    let stream = stream(wire, &input.parts);
    let mut decoder = Decoder::of(wire, limit as u32);
    let (mut arrived, mut at, mut messages, mut into) = (0, 0, 0, Vec::new());
    let mut first = First::of(wire, &stream);
    let mut cuts = input.cuts.iter().copied().cycle().take(MOST_CUTS);
    loop {
        loop {
            let expected = first.next(arrived - at, limit);
            let found = match decoder.next_frame() {
                Ok(None) => {
                    assert_eq!(expected, Next::Need, "after {arrived} bytes");
                    break;
                }
                Err(_) => return assert_eq!(expected, Next::Bad, "after {arrived} bytes"),
                Ok(Some(found)) => found,
            };
            let Next::Message(size, taken) = expected else { panic!("a message out of {expected:?}") };
            let message = &stream[at..at + size];
            assert!(found.kind == FrameKind::Data && found.len() == message.len());
            assert_eq!(found.is_empty(), message.is_empty());
            assert!(decoder.bytes(&found) == message, "message {messages} is not what was sent");
            if messages % 2 == 1 {
                deliver(&mut decoder, &found, &mut into);
                assert!(into == message, "message {messages} is not delivered as it was sent");
            }
            (at, messages) = (at + taken, messages + 1);
            if messages == MOST_MESSAGES {
                return;
            }
            first = First::of(wire, &stream[at..]);
        }
        assert_eq!(decoder.has_buffered(), at < arrived);
        if arrived == stream.len() {
            return;
        }
        let most = cuts.next().unwrap_or(Cut::All).most();
        if most == 0 {
            rest(&mut decoder);
        } else {
            let came = read(&mut decoder, &stream[arrived..], most);
            let raw_room = limit.clamp(1, 64 << 10);
            assert!(wire != Wire::Raw || came == raw_room.min(most).min(stream.len() - arrived));
            arrived += came;
        }
        let held = memory(&decoder);
        assert!(held <= 2 * arrived + 66 * 1024, "{held} bytes of memory for {arrived} that have come");
    }
});

fn stream(wire: Wire, parts: &[Part]) -> Vec<u8> {
    let end: &[u8] =
        if let Wire::Delimited(delimiter) = &wire { std::slice::from_ref(delimiter) } else { &[] };
    let mut stream = Vec::new();
    for part in parts {
        match part {
            Part::Same { byte, size } => stream.resize(stream.len() + size.bytes(), *byte),
            Part::Message { byte, size } => {
                let byte = if end.contains(byte) { !byte } else { *byte };
                stream.resize(stream.len() + size.bytes(), byte);
                stream.extend(end);
            }
            Part::Pattern(size) => stream.extend(pattern(stream.len(), size.bytes())),
            Part::Ends(count) => (0..*count).for_each(|_| stream.extend(end)),
            Part::Bytes(bytes) => stream.extend(bytes),
        }
        if stream.len() > LONGEST {
            break;
        }
    }
    stream
}
