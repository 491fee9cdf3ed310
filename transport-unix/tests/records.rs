//! Records, with somebody at the other end who keeps none of the rules.
#![allow(clippy::unwrap_used)]

mod links;

use std::{
    io::{ErrorKind::InvalidData, ErrorKind::WouldBlock, IoSlice},
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use conformance::{Stage, kind_of, watched};
use ipc_core::{ClientFile, ErrorKind, IpcServer, Link, Refusal, Rx as _, Tx as _};
use links::{Marked, Meeting, receive, send_with, stranger};
use nix::sys::socket::{MsgFlags, SockType, recv, send, setsockopt, sockopt};
use transport_unix::seqpacket::Seqpacket;

/// The most that a record may have.
const LONGEST: usize = 80 * 1024;

fn stranger_and_us() -> (OwnedFd, Link<Seqpacket>) {
    Meeting::new().stranger(SockType::SeqPacket)
}

fn say(stranger: &OwnedFd, record: &[u8]) {
    assert_eq!(send(stranger.as_raw_fd(), record, MsgFlags::empty()).unwrap(), record.len());
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| ((at * 31) >> 3) as u8 ^ at as u8).collect()
}

#[test]
fn a_record_longer_than_the_rooms_comes_whole_and_in_order() {
    watched("a_record_longer_than_the_rooms_comes_whole_and_in_order", || {
        let (stranger, mut us) = stranger_and_us();
        // Rooms that are filled by copying, some that the kernel fills, and some that hold nearly all.
        for rooms in [&[1][..], &[100, 3], &[1000], &[5000], &[8, 70_000, 100], &[LONGEST - 1]] {
            for bytes in [1, 99, 1001, 5001, 70_108, 70_109, LONGEST - 1, LONGEST] {
                say(&stranger, &pattern(bytes));
                say(&stranger, b"the next");
                let mut came = Vec::new();
                while came.len() < bytes {
                    came.extend(receive(&mut us, rooms).unwrap().unwrap());
                    assert_eq!(us.rx.holds_more(), came.len() < bytes, "{bytes} bytes in {rooms:?}");
                }
                assert!(came == pattern(bytes), "{bytes} bytes in {rooms:?}");
                assert_eq!(receive(&mut us, &[100]).unwrap().unwrap(), b"the next");
                assert_eq!(receive(&mut us, &[100]).unwrap_err().kind(), WouldBlock);
            }
        }
    });
}

#[test]
fn a_record_longer_than_any_is_an_error_and_never_cut() {
    watched("a_record_longer_than_any_is_an_error_and_never_cut", || {
        for rooms in [&[1000][..], &[5000], &[8, 70_000, 100], &[LONGEST]] {
            let (stranger, mut us) = stranger_and_us();
            let all: usize = rooms.iter().sum();
            let room = if all > 4096 && all < LONGEST { all + LONGEST } else { LONGEST };
            say(&stranger, &pattern(room + 1));
            assert_eq!(receive(&mut us, rooms).unwrap_err().kind(), InvalidData, "{rooms:?}");
        }
    });
}

/// On a socket that keeps records the kernel tells of the reset first.
#[test]
fn what_came_before_the_end_is_received_though_our_own_record_was_not() {
    watched("what_came_before_the_end_is_received_though_our_own_record_was_not", || {
        let (stranger, mut us) = stranger_and_us();
        us.tx.try_send(&[IoSlice::new(b"never read")], false).unwrap();
        say(&stranger, b"last");
        say(&stranger, b"words");
        drop(stranger);
        assert_eq!(receive(&mut us, &[100]).unwrap().unwrap(), b"last");
        assert_eq!(receive(&mut us, &[100]).unwrap().unwrap(), b"words");
        assert_eq!(receive(&mut us, &[100]).unwrap(), None);
    });
}

#[test]
fn a_large_message_leaves_in_records_that_every_peer_takes() {
    watched("a_large_message_leaves_in_records_that_every_peer_takes", || {
        let (stranger, mut us) = stranger_and_us();
        let (all, mut sent) = (pattern(1 << 20), 0);
        while sent < all.len() {
            let pieces =
                [&all[sent..sent], &all[sent..(sent + 8).min(all.len())], &all[(sent + 8).min(all.len())..]];
            let count = us.tx.try_send(&pieces.map(IoSlice::new), false).unwrap();
            let mut record = vec![0; 2 * LONGEST];
            assert_eq!(recv(stranger.as_raw_fd(), &mut record, MsgFlags::MSG_DONTWAIT).unwrap(), count);
            assert!(count <= LONGEST && record[..count] == all[sent..sent + count]);
            sent += count;
        }
        assert_eq!(sent, 1 << 20);
    });
}

#[test]
fn where_the_buffer_is_small_records_are_shorter() {
    watched("where_the_buffer_is_small_records_are_shorter", || {
        let (stranger, mut us) = stranger_and_us();
        setsockopt(&us.tx.as_fd(), sockopt::SndBuf, &2304).unwrap();
        let (all, mut sent) = (pattern(30_000), 0);
        while sent < all.len() {
            let count = us.tx.try_send(&[IoSlice::new(&all[sent..])], false).unwrap();
            let mut record = vec![0; LONGEST];
            assert_eq!(recv(stranger.as_raw_fd(), &mut record, MsgFlags::MSG_DONTWAIT).unwrap(), count);
            assert!((1..4608).contains(&count) && record[..count] == all[sent..sent + count]);
            sent += count;
        }
    });
}

#[test]
fn descriptors_that_a_peer_sends_are_closed() {
    watched("descriptors_that_a_peer_sends_are_closed", || {
        for rooms in [&[100][..], &[5000], &[LONGEST]] {
            let ((stranger, mut us), marked) = (stranger_and_us(), Marked::new());
            send_with(&stranger, b"take these", &[marked.number(); 253]);
            assert_eq!(receive(&mut us, rooms).unwrap().unwrap(), b"take these");
            marked.must_be_closed_everywhere();
        }
    });
}

#[test]
fn a_record_that_is_no_hello_is_counted_and_the_next_client_is_served() {
    watched("a_record_that_is_no_hello_is_counted_and_the_next_client_is_served", || {
        let stage = Stage::<Seqpacket>::new();
        let mut server = stage.server_with(|options| options.client_file(ClientFile::Off));
        let there = stage.names().join(stage.address.to_string()).join("sock");
        for (record, reason) in [
            (pattern(LONGEST + 1), Refusal::Malformed),
            (pattern(LONGEST), Refusal::Malformed),
            (b"GET / HTTP/1.0\r\n\r\n".to_vec(), Refusal::Malformed),
            // It reads like the end.
            (Vec::new(), Refusal::Gone),
        ] {
            let (before, stranger) = (server.stats().refused(reason), stranger(SockType::SeqPacket, &there));
            say(&stranger, &record);
            while server.stats().refused(reason) == before {
                assert_eq!(kind_of(&server.try_accept_client()), Some(&ErrorKind::WouldBlock));
            }
            let _ = stage.pair(&mut server);
        }
    });
}
