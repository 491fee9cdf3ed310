//! The decoder against any cutting of the stream, against garbage, and against headers that lie.

use std::{num::NonZeroU32, sync::Arc};

use proptest::prelude::*;

use super::{Decoder, FrameKind, HEADER, decoder::OVER_SHARE, header};
use crate::{Config, Peer, PeerPid, Proof, Wire, pool::Pool, shares::Shares};

/// Puts at most `most` bytes of `stream` into the decoder, as readv(2) would.
pub(super) fn read(decoder: &mut Decoder, stream: &mut &[u8], most: usize) {
    let mut rooms = decoder.rooms();
    assert!(!rooms.slices()[0].is_empty(), "a room that is empty looks like the end");
    let (mut count, mut left) = (0, most.max(1));
    for room in rooms.slices() {
        let n = room.len().min(stream.len()).min(left);
        room[..n].copy_from_slice(&stream[..n]);
        *stream = &stream[n..];
        (count, left) = (count + n, left - n);
    }
    decoder.filled(count);
}

/// Feeds `stream` in pieces of the given sizes and collects what comes out, delivered in both ways by turns.
fn decode(mut stream: &[u8], limit: u32, pieces: &[usize]) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut decoder = Decoder::new(limit);
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

fn encode(messages: &[Vec<u8>]) -> Vec<u8> {
    let one = |m: &Vec<u8>| [&header(FrameKind::Data, m.len() as u32)[..], m].concat();
    messages.iter().flat_map(one).collect()
}

pub(super) fn messages(sizes: &[usize]) -> Vec<Vec<u8>> {
    sizes.iter().enumerate().map(|(i, n)| (0..*n).map(|b| (b * 7 + i) as u8).collect()).collect()
}

/// Sizes that repeat now and then: the decoder expects a large message to be followed by one of the same size.
fn sizes() -> impl Strategy<Value = Vec<usize>> {
    let size =
        prop_oneof![0..40usize, 0..5_000usize, 16_380..16_390usize, 30_000..200_000usize, Just(70_000usize)];
    prop::collection::vec((size, 1..4usize), 1..8)
        .prop_map(|runs| runs.into_iter().flat_map(|(size, times)| vec![size; times]).collect())
}

proptest! {
    #[test]
    fn any_split_of_the_stream_gives_the_same_messages(
        sizes in sizes(),
        pieces in prop::collection::vec(prop_oneof![1..9usize, 1..100_000usize], 1..6),
    ) {
        prop_assume!(pieces.iter().any(|p| *p > 500) || sizes.iter().sum::<usize>() < 20_000);
        let messages = messages(&sizes);
        prop_assert_eq!(decode(&encode(&messages), 1 << 20, &pieces).unwrap(), messages);
    }

    #[test]
    fn garbage_never_panics_and_never_delivers_more_than_it_has(
        first in prop_oneof![Just(0usize), Just(20_000usize)],
        garbage in prop::collection::vec(any::<u8>(), 0..300), piece in 1..50usize,
    ) {
        // After a large message the decoder reads in another way.
        let stream = [encode(&messages(&[first])), garbage.clone()].concat();
        if let Ok(messages) = decode(&stream, 20_000, &[piece, 30_000]) {
            prop_assert!(messages.iter().map(Vec::len).sum::<usize>() <= first + garbage.len());
        }
    }
}

#[test]
fn memory_follows_the_bytes_and_not_the_header() {
    for kind in [FrameKind::Data, FrameKind::Goodbye] {
        let mut decoder = Decoder::new(u32::MAX);
        let lie = header(kind, u32::MAX);
        read(&mut decoder, &mut &lie[..], HEADER);
        let mut arrived = HEADER;
        while arrived < 1 << 20 {
            assert_eq!(decoder.next_frame().unwrap(), None);
            let before = decoder.memory();
            assert!(before <= 2 * arrived + 65 * 1024, "{before} bytes for {arrived} arrived");
            read(&mut decoder, &mut &[0; 1000][..], 1000);
            arrived += 1000;
        }
    }
}

/// What the pool has may be larger than what is asked for: it is no way around a user's share.
#[test]
fn memory_that_others_have_used_is_a_part_of_the_share_as_it_fills() {
    for wire in [Wire::Native, Wire::Delimited(0xff), Wire::Fixed(NonZeroU32::new(900_000).unwrap())] {
        let (pool, config) = (Arc::<Pool>::default(), Config { shared: true, ..Config::default() });
        pool.give_back(vec![0; 1 << 20]);
        let stranger = Peer::new(Some(7), None, PeerPid::Unknown, Proof::Kernel);
        let mut decoder = Decoder::lent_by(pool, wire, 16 << 20);
        decoder.charge_to(Shares::new(400_000, &config).account(&stranger));
        let (whole, mut arrived) = (encode(&[vec![0; 900_000]]), 0);
        let ended = loop {
            match decoder.next_frame() {
                Ok(frame) => assert_eq!(frame, None, "{wire}: all of it was taken"),
                Err(ended) => break ended,
            }
            let mut left = &whole[arrived..];
            read(&mut decoder, &mut left, 10_000);
            arrived = whole.len() - left.len();
        };
        assert_eq!(ended, OVER_SHARE);
        assert!(arrived <= 200_000 + 10_000, "{wire}: {arrived} bytes of a share of 200,000");
    }
}

/// Nobody is charged for it, and it is kept for as long as its end is a beginning.
#[test]
fn small_messages_take_no_large_buffer_that_others_have_left() {
    let pool = Arc::<Pool>::default();
    pool.give_back(vec![0; 2 << 20]);
    let mut decoder = Decoder::lent_by(pool, Wire::Native, 1000);
    let whole = encode(&vec![vec![7; 1000]; 4000]);
    let mut left = &whole[..];
    while !left.is_empty() {
        read(&mut decoder, &mut left, usize::MAX);
        while decoder.next_frame().unwrap().is_some() {}
        assert!(decoder.memory() <= 128 * 1024, "{} bytes", decoder.memory());
    }
}

/// Where a large message was expected, small ones come into its memory, and are put together with what is around them.
#[test]
fn small_messages_in_the_place_of_a_large_one_leave_no_large_room_behind() {
    let large = 1 << 20;
    let mut sent = vec![vec![7; large]];
    sent.extend(vec![vec![8; 1000]; large / 1000]);
    let whole = encode(&sent);
    let mut decoder = Decoder::new(large as u32);
    // The last one lacks its end.
    let (first, others) = whole[..whole.len() - 1].split_at(HEADER + large);
    for mut left in [first, others] {
        while !left.is_empty() {
            read(&mut decoder, &mut left, usize::MAX);
            while decoder.next_frame().unwrap().is_some() {}
        }
    }
    decoder.rest();
    assert!(decoder.memory() <= 128 * 1024, "{} bytes", decoder.memory());
    read(&mut decoder, &mut &[8][..], 1);
    let last = decoder.next_frame().unwrap().expect("all of it is there");
    assert_eq!(decoder.bytes(&last), [8; 1000]);
}

/// As if it were new: whoever may have as much as there is has it with one read.
#[test]
fn a_large_buffer_that_others_have_left_is_filled_at_once() {
    let pool = Arc::<Pool>::default();
    pool.give_back(vec![0; 1 << 20]);
    let mut decoder = Decoder::lent_by(pool, Wire::Native, 1 << 20);
    let whole = encode(&[vec![7; 900_000]]);
    let (mut left, mut reads) = (&whole[..], 0);
    while decoder.next_frame().unwrap().is_none() {
        read(&mut decoder, &mut left, usize::MAX);
        reads += 1;
    }
    assert_eq!(reads, 2, "its beginning, and the rest");
}

#[test]
fn a_large_frame_does_not_keep_the_large_room_that_it_begins_in() {
    let stream = [encode(&messages(&[3000])), header(FrameKind::Data, 100_000).to_vec()].concat();
    let (mut decoder, mut left) = (Decoder::new(1 << 20), &stream[..]);
    while !left.is_empty() {
        while decoder.next_frame().unwrap().is_some() {}
        read(&mut decoder, &mut left, usize::MAX);
    }
    assert!(decoder.next_frame().unwrap().is_some(), "the small one");
    assert_eq!(decoder.next_frame().unwrap(), None, "the large one has only begun");
    decoder.rooms();
    let held = decoder.memory();
    assert!(held <= 2 * stream.len() + 65 * 1024, "{held} bytes for {} arrived", stream.len());
}

#[test]
fn the_limit_is_inclusive_and_checked_on_the_header_alone() {
    assert_eq!(decode(&encode(&[vec![0; 10]]), 10, &[3]).unwrap().len(), 1);
    assert_eq!(decode(&header(FrameKind::Data, 11), 10, &[8]), Err("frame over the limit"));
    // Also where a frame of a certain size is expected.
    let stream = [encode(&messages(&[20_000])), header(FrameKind::Data, 20_001).to_vec()].concat();
    assert_eq!(decode(&stream, 20_000, &[50_000]), Err("frame over the limit"));
}

#[test]
fn reserved_bytes_must_be_zero_and_kinds_known() {
    for (at, value) in [(4, 0), (4, 10), (5, 1), (6, 1), (7, 1)] {
        for before in [vec![], encode(&messages(&[20_000]))] {
            let mut bad = header(FrameKind::Data, 0);
            bad[at] = value;
            assert!(decode(&[before, bad.to_vec()].concat(), 20_000, &[8]).is_err(), "byte {at} = {value}");
        }
    }
}

#[test]
fn a_large_message_does_not_drag_its_successor_along() {
    let stream = encode(&messages(&[200_000, 200_000]));
    let (mut decoder, mut left) = (Decoder::new(1 << 20), &stream[..]);
    while decoder.next_frame().unwrap().is_none() {
        read(&mut decoder, &mut left, usize::MAX);
    }
    let over = stream.len() - left.len() - 200_000 - HEADER;
    assert!(over <= 1024, "{over} bytes of the next message were read along");
}

#[test]
fn messages_of_one_size_come_with_one_read_each_and_keep_their_memory() {
    let stream = encode(&messages(&[100_000; 10]));
    let (mut decoder, mut left) = (Decoder::new(1 << 20), &stream[..]);
    let (mut into, mut seen) = (Vec::new(), Vec::new());
    for round in 0..10 {
        let mut reads = 0;
        let frame = loop {
            if let Some(frame) = decoder.next_frame().unwrap() {
                break frame;
            }
            read(&mut decoder, &mut left, HEADER + 100_000);
            reads += 1;
        };
        decoder.deliver(&frame, &mut into);
        assert_eq!(into.len(), 100_000);
        if round > 3 {
            assert_eq!(reads, 1, "round {round}");
            seen.push(into.as_ptr());
        }
    }
    assert_eq!(seen[0], seen[2], "two buffers change places");
    assert_eq!(seen[1], seen[3]);
}

#[test]
fn at_rest_it_has_a_kilobyte() {
    let stream = encode(&messages(&[100, 100_000, 3, 70_000]));
    let (mut decoder, mut left) = (Decoder::new(1 << 20), &stream[..]);
    while !left.is_empty() || decoder.has_buffered() {
        if decoder.next_frame().unwrap().is_none() {
            read(&mut decoder, &mut left, usize::MAX);
        }
    }
    assert!(decoder.memory() > 1024, "the last message is lent");
    // The next try to read ends the lending.
    decoder.rooms();
    decoder.rest();
    assert!(decoder.memory() <= 1024, "{}", decoder.memory());
}

/// What an async runtime relies on: it does not look again before a descriptor tells of more.
#[test]
fn only_a_read_that_left_some_of_its_room_has_emptied_the_road() {
    let mut decoder = Decoder::new(1 << 20);
    assert!(!decoder.has_room_left(), "nothing was read");
    let frame = |size: usize| [header(FrameKind::Data, size as u32).to_vec(), vec![0; size]].concat();
    let (few, whole) = (frame(50), [frame(500), frame(508)].concat());
    read(&mut decoder, &mut &few[..], usize::MAX);
    while decoder.next_frame().unwrap().is_some() {}
    assert!(decoder.has_room_left());
    let mut stream = &[&whole[..], &few].concat()[..];
    read(&mut decoder, &mut stream, usize::MAX);
    assert_eq!(stream, few, "all of the room was filled");
    while decoder.next_frame().unwrap().is_some() {}
    assert!(!decoder.has_room_left(), "there may be more");
}
