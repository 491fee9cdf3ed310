//! The frame decoder: however the stream is cut, it gives what a simple parser finds in all of it, as soon as it is
//! there and no sooner; and its memory follows what has arrived.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use fuzz::framing::{Framing, NATIVE, Next};
use ipc_core::{
    frame::Decoder,
    fuzz::{deliver, memory, rest},
    hello::LARGEST,
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    limit: Size,
    /// The first frame comes under the handshake's limit.
    greets: bool,
    parts: Vec<Part>,
    cuts: Vec<Cut>,
}

#[derive(Arbitrary, Debug)]
enum Part {
    Frames {
        kind: u8,
        size: Size,
        times: u8,
    },
    /// A header that may promise what does not come.
    Header {
        kind: u8,
        length: u32,
        reserved: [u8; 3],
    },
    Bytes(Vec<u8>),
}

/// Around the sizes at which the decoder does something else, and any.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Size {
    Small(u8),
    Any(u16),
    NearSixteenKiB(i8),
    NearSixtyFourKiB(i8),
    NearMiB(i8),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Cut {
    Few(u8),
    Some(u16),
    /// As much as there is room for.
    All,
    /// Before a wait.
    Rest,
}

impl Size {
    fn bytes(self) -> usize {
        match self {
            Self::Small(size) => size.into(),
            Self::Any(size) => size.into(),
            Self::NearSixteenKiB(by) => (16usize << 10).saturating_add_signed(by.into()),
            Self::NearSixtyFourKiB(by) => (64usize << 10).saturating_add_signed(by.into()),
            Self::NearMiB(by) => (1usize << 20).saturating_add_signed(by.into()),
        }
    }
}

/// More than this would only be slow.
const LONGEST: usize = 4 << 20;
/// After so many reads everything comes at once.
const MOST_CUTS: usize = 2000;

const SHIFTS: usize = 10_007;

/// Bytes that betray a shift, a swap or a loss.
static PATTERN: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..(1 << 20) + 128 + SHIFTS).map(|i| ((i * 7) ^ (i >> 8)) as u8).collect());

fuzz_target!(|input: Input| {
    check(&NATIVE, &input);
});

fn check(framing: &Framing, input: &Input) {
    let stream = stream(framing, &input.parts);
    let limit = input.limit.bytes() as u32;
    let mut decoder = Decoder::new(if input.greets { LARGEST } else { limit });
    let (mut arrived, mut at, mut frames, mut into) = (0, 0, 0, Vec::new());
    let mut cuts = input.cuts.iter().copied().cycle().take(MOST_CUTS);
    loop {
        loop {
            let expected = (framing.next)(&stream[at..arrived], decoder.limit());
            let found = match decoder.next_frame() {
                Ok(None) => {
                    assert_eq!(expected, Next::Need, "after {arrived} bytes");
                    break;
                }
                Err(_) => return assert_eq!(expected, Next::Bad, "after {arrived} bytes"),
                Ok(Some(found)) => found,
            };
            let Next::Frame(kind, body) = expected else { panic!("a frame out of {expected:?}") };
            assert!(
                found.kind as u8 == kind && found.len() == body.len() && found.is_empty() == body.is_empty()
            );
            assert!(decoder.bytes(&found) == body, "frame {frames} is not what was sent");
            if frames % 2 == 1 {
                deliver(&mut decoder, &found, &mut into);
                assert!(into == body, "frame {frames} is not delivered as it was sent");
            }
            (at, frames) = (at + framing.header + body.len(), frames + 1);
            decoder.set_limit(limit);
        }
        assert_eq!(decoder.has_buffered(), at < arrived);
        if arrived == stream.len() {
            return;
        }
        let most = match cuts.next().unwrap_or(Cut::All) {
            Cut::Few(most) => most.into(),
            Cut::Some(most) => most.into(),
            Cut::All => usize::MAX,
            Cut::Rest => 0,
        };
        if most == 0 {
            rest(&mut decoder);
        } else {
            arrived += read(&mut decoder, &stream[arrived..], most);
        }
        let held = memory(&decoder);
        assert!(held <= 2 * arrived + 66 * 1024, "{held} bytes of memory for {arrived} that have come");
    }
}

/// As readv(2) would.
fn read(decoder: &mut Decoder, mut bytes: &[u8], most: usize) -> usize {
    let mut rooms = decoder.rooms();
    assert!(!rooms.slices()[0].is_empty(), "a room that is empty looks like the end");
    let mut count = 0;
    for room in rooms.slices() {
        let size = room.len().min(bytes.len()).min(most - count);
        room[..size].copy_from_slice(&bytes[..size]);
        (bytes, count) = (&bytes[size..], count + size);
    }
    decoder.filled(count);
    count
}

fn stream(framing: &Framing, parts: &[Part]) -> Vec<u8> {
    let mut stream = Vec::new();
    for part in parts {
        match part {
            Part::Frames { kind, size, times } => {
                for _ in 0..=times % 4 {
                    let size = size.bytes();
                    // Most frames are of a known kind, so that more than one comes.
                    let kind = if *kind < 128 { kind % 9 + 1 } else { *kind };
                    stream.extend((framing.encode)(kind, size as u32, [0; 3]));
                    let shift = stream.len() % SHIFTS;
                    stream.extend(&PATTERN[shift..shift + size]);
                }
            }
            Part::Header { kind, length, reserved } => {
                stream.extend((framing.encode)(*kind, *length, *reserved))
            }
            Part::Bytes(bytes) => stream.extend(bytes),
        }
        if stream.len() > LONGEST {
            break;
        }
    }
    stream
}
