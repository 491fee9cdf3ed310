//! The frame decoder: however the stream is cut, it gives what a simple parser finds in all of it, as soon as it is
//! there and no sooner; and its memory follows what has arrived.
#![no_main]

use arbitrary::Arbitrary;
use fuzz::{
    cutting::{Cut, LONGEST, MOST_CUTS, Size, pattern, read},
    framing::{Framing, NATIVE, Next},
};
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
        let most = cuts.next().unwrap_or(Cut::All).most();
        if most == 0 {
            rest(&mut decoder);
        } else {
            arrived += read(&mut decoder, &stream[arrived..], most);
        }
        let held = memory(&decoder);
        assert!(held <= 2 * arrived + 66 * 1024, "{held} bytes of memory for {arrived} that have come");
    }
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
                    stream.extend(pattern(stream.len(), size));
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
