//! The foreign wires against any cutting of the stream, against what has no end, and against what is too long.

use std::num::NonZeroU32;

use proptest::prelude::*;

use crate::{
    Wire,
    frame::{
        Decoder,
        foreign::OVER_LIMIT,
        tests::{messages, read},
        window::LARGE,
    },
};

const END: u8 = 0xff;

fn fixed(size: usize) -> Wire {
    Wire::Fixed(NonZeroU32::new(size as u32).unwrap())
}

/// What travels.
fn encode(wire: Wire, messages: &[Vec<u8>]) -> Vec<u8> {
    messages.iter().flat_map(|message| [message, wire.tail()].concat()).collect()
}

/// Messages without the delimiter.
fn plain(sizes: &[usize]) -> Vec<Vec<u8>> {
    messages(sizes).into_iter().map(|m| m.into_iter().map(|byte| byte % END).collect()).collect()
}

/// Feeds `stream` in pieces and collects what comes out, lent and handed over by turns, with its memory watched.
fn decode(wire: Wire, mut stream: &[u8], limit: u32, pieces: &[usize]) -> Result<Vec<Vec<u8>>, &'static str> {
    let (mut decoder, whole) = (Decoder::of(wire, limit), stream.len());
    let (mut out, mut into) = (Vec::new(), Vec::new());
    for piece in pieces.iter().cycle() {
        while let Some(frame) = decoder.next_frame()? {
            if out.len() % 2 == 0 {
                out.push(decoder.bytes(&frame).to_vec());
            } else {
                decoder.deliver(&frame, &mut into);
                out.push(into.clone());
            }
        }
        let (arrived, held) = (whole - stream.len(), decoder.memory());
        assert!(held <= 2 * arrived + 65 * 1024, "{held} bytes for {arrived} arrived");
        if stream.is_empty() {
            return Ok(out);
        }
        read(&mut decoder, &mut stream, *piece);
        if piece % 3 == 0 {
            decoder.rest();
        }
    }
    Ok(out)
}

/// One that cuts very small would take long over large messages.
fn pieces() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1..9usize, 1..3_000usize, 1..200_000usize], 1..6)
        .prop_filter("slow", |pieces| pieces.iter().any(|piece| *piece > 1_000))
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![
        0..40usize,
        0..5_000usize,
        16_380..16_390usize,
        65_530..65_540usize,
        131_068..131_076usize,
        30_000..200_000usize
    ];
    prop::collection::vec(size, 1..8)
}

proptest! {
    #[test]
    fn any_split_gives_the_same_delimited_messages(sizes in sizes(), pieces in pieces()) {
        let (wire, messages) = (Wire::Delimited(END), plain(&sizes));
        prop_assert_eq!(decode(wire, &encode(wire, &messages), 1 << 20, &pieces).unwrap(), messages);
    }

    #[test]
    fn any_split_gives_the_same_messages_of_fixed_size(
        size in prop_oneof![1..40usize, 1..5_000usize, 16_380..16_390usize, 60_000..200_000usize],
        count in 1..6usize, pieces in pieces(),
    ) {
        let messages = messages(&vec![size; count]);
        let stream = encode(fixed(size), &messages);
        prop_assert_eq!(decode(fixed(size), &stream, size as u32, &pieces).unwrap(), messages);
    }

    #[test]
    fn each_read_is_one_raw_message(pieces in pieces(), limit in prop_oneof![1..200u32, 60_000..70_000u32]) {
        let stream = messages(&[150_000]).remove(0);
        let messages = decode(Wire::Raw, &stream, limit, &pieces).unwrap();
        let room = LARGE.min(limit as usize);
        let (mut rest, mut expected) = (&stream[..], Vec::new());
        for piece in pieces.iter().cycle() {
            let (message, more) = rest.split_at(room.min(*piece).min(rest.len()));
            expected.push(message.to_vec());
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(messages == expected);
    }

    #[test]
    fn whatever_comes_is_cut_or_too_long(
        bytes in prop::collection::vec(prop_oneof![Just(END), any::<u8>()], 0..400),
        piece in 1..50usize, limit in 0..60u32,
    ) {
        let wire = Wire::Delimited(END);
        let mut lines: Vec<_> = bytes.split(|byte| *byte == END).map(<[u8]>::to_vec).collect();
        let too_long = lines.iter().any(|line| line.len() > limit as usize);
        lines.pop();
        let expected = if too_long { Err(OVER_LIMIT) } else { Ok(lines) };
        prop_assert_eq!(decode(wire, &bytes, limit, &[piece]), expected);
    }
}

/// A peer that sends byte by byte must not have all of its message searched for each byte.
#[test]
fn what_was_searched_for_the_delimiter_is_not_searched_again() {
    let mut decoder = Decoder::of(Wire::Delimited(END), 1 << 20);
    for byte in 0..3 {
        read(&mut decoder, &mut &[byte][..], 1);
        assert_eq!(decoder.next_frame().unwrap(), None);
    }
    // Nobody else could put it there: only one who looks back finds it.
    decoder.window.bytes[1] = END;
    read(&mut decoder, &mut &[4, END][..], 2);
    let frame = decoder.next_frame().unwrap().expect("all of it is there");
    assert_eq!(decoder.bytes(&frame), [0, END, 2, 4]);

    let long = vec![0; 3 * LARGE];
    let mut left = &long[..];
    while !left.is_empty() {
        read(&mut decoder, &mut left, usize::MAX);
        assert_eq!(decoder.next_frame().unwrap(), None);
    }
    assert!(decoder.body.is_under_way(), "it has memory of its own");
    decoder.body.bytes[1] = END;
    read(&mut decoder, &mut &[END][..], 1);
    assert_eq!(decoder.next_frame().unwrap().map(|frame| frame.len()), Some(3 * LARGE));
}

#[test]
fn the_limit_is_inclusive_and_holds_before_the_end_has_come() {
    let wire = Wire::Delimited(END);
    for limit in [0, 1, 10, 1023, 1024, 65_535, 65_536, 65_537, 200_000] {
        let line = vec![7; limit];
        let whole = [&line[..], &[END]].concat();
        for pieces in [[1000], [70_000], [usize::MAX]] {
            assert_eq!(decode(wire, &whole, limit as u32, &pieces), Ok(vec![line.clone()]), "{limit}");
            let longer = [&line[..], &[7]].concat();
            assert_eq!(decode(wire, &longer, limit as u32, &pieces), Err(OVER_LIMIT), "{limit}");
        }
    }
    assert_eq!(decode(fixed(11), &[0; 11], 10, &[3]), Err(OVER_LIMIT));
}

/// What a server of lines holds for one who sends a line without an end.
#[test]
fn a_line_without_an_end_costs_no_more_than_twice_what_has_come() {
    let mut decoder = Decoder::of(Wire::Delimited(b'\n'), 1 << 20);
    let (endless, mut arrived) = (vec![b'x'; 20 << 20], 0);
    let ended = loop {
        if let Err(what) = decoder.next_frame() {
            break what;
        }
        let mut left = &endless[arrived..];
        read(&mut decoder, &mut left, 10_000);
        arrived = endless.len() - left.len();
        assert!(decoder.memory() <= 2 * arrived + 65 * 1024, "{} for {arrived}", decoder.memory());
    };
    assert_eq!(ended, OVER_LIMIT);
    assert_eq!(arrived, (1 << 20) + 1, "one byte more is enough to know");
}

#[test]
fn what_follows_a_long_line_is_not_lost() {
    let wire = Wire::Delimited(b'\n');
    let sent = vec![vec![b'a'; 200_000], b"b".to_vec(), vec![], vec![b'c'; 100_000], b"d".to_vec()];
    for piece in [1000, 65_536, usize::MAX] {
        assert_eq!(decode(wire, &encode(wire, &sent), 1 << 20, &[piece]), Ok(sent.clone()), "{piece}");
    }
}

/// Only what is apart is charged to a user's share.
#[test]
fn no_more_than_64_kib_lie_where_nobody_is_charged_for_them() {
    let (mut decoder, mut left) = (Decoder::of(Wire::Delimited(END), 16 << 20), &vec![0; 4 << 20][..]);
    while !left.is_empty() {
        read(&mut decoder, &mut left, usize::MAX);
        assert_eq!(decoder.next_frame().unwrap(), None);
        assert!(decoder.window.bytes.len() <= LARGE);
    }
    // The end, and as much behind it as is read.
    let many = [END].repeat(4 << 20);
    read(&mut decoder, &mut &many[..], usize::MAX);
    while decoder.next_frame().unwrap().is_some() {
        assert!(decoder.window.bytes.len() <= LARGE, "{}", decoder.window.bytes.len());
    }
}

/// What an async runtime relies on: it does not look again before a descriptor tells of more.
#[test]
fn only_a_read_that_left_some_of_its_room_has_emptied_the_road() {
    for (wire, room) in [(Wire::Raw, 100), (Wire::Delimited(b'\n'), 1024), (fixed(50), 1024)] {
        for (size, left) in [(room - 1, true), (room, false)] {
            let mut decoder = Decoder::of(wire, 100);
            assert!(!decoder.has_room_left(), "nothing was read");
            read(&mut decoder, &mut &vec![b'\n'; size][..], usize::MAX);
            while decoder.next_frame().unwrap().is_some() {}
            assert_eq!(decoder.has_room_left(), left, "{wire}, {size} of {room}");
        }
    }
}

#[test]
fn at_rest_it_has_a_kilobyte() {
    for (wire, sizes) in [
        (Wire::Raw, vec![70_000]),
        (Wire::Delimited(END), vec![100, 100_000, 3]),
        (fixed(70_000), vec![70_000; 3]),
    ] {
        let stream = encode(wire, &plain(&sizes));
        let (mut decoder, mut left) = (Decoder::of(wire, 1 << 20), &stream[..]);
        while !left.is_empty() || decoder.has_buffered() {
            if decoder.next_frame().unwrap().is_none() {
                read(&mut decoder, &mut left, usize::MAX);
            }
        }
        decoder.rest();
        assert!(decoder.memory() <= 1024, "{wire}: {}", decoder.memory());
    }
}
