//! Both sides are hobnob's, and speak as others do.

use std::{thread, time::Duration};

use ipc_core::{Deadline, ErrorKind, IpcReceiver, IpcSender, IpcServer, Limits, Wire};

use super::{Ear, FIXED, LINES, SIZE, WIRES, message, pair_of, server_of};
use crate::{Handler, Stage, Subject, kind_of, stage::fill};

pub fn every_wire_carries_messages_whole_and_in_order<S: Subject>() {
    for wire in WIRES {
        let stage = Stage::<S>::new();
        let (mut client, mut served) = pair_of(&stage, wire);
        let message = |i: usize| message(wire, i, i * 37 % 3000);
        thread::scope(|scope| {
            scope.spawn(|| (0..2000).for_each(|i| client.send_info(&message(i)).unwrap()));
            let mut ear = Ear::new(&mut served, wire);
            (0..2000).for_each(|i| ear.hears(&message(i)));
        });
        client.disconnect_from().unwrap();
        Ear::new(&mut served, wire).hears_the_end();
        let (sent, came) = (S::traffic(client).0, S::traffic(served).1);
        assert_eq!((sent.messages, sent.bytes), (2000, came.bytes), "{wire}");
        assert!(wire == Wire::Raw || came.messages == 2000, "{wire}: {came:?}");
    }
}

pub fn every_wire_carries_large_messages_both_ways<S: Subject>() {
    for wire in [Wire::Raw, LINES, "fixed:700000".parse().unwrap()] {
        let stage = Stage::<S>::new();
        let (client, served) = pair_of(&stage, wire);
        let large = message(wire, 3, 700_000);
        thread::scope(|scope| {
            for connection in [client, served] {
                let (mut sender, mut receiver) = S::split(connection);
                let large = &large;
                scope.spawn(move || {
                    // The half that is dropped ends its direction.
                    (0..8).for_each(|_| sender.send_info(large).unwrap());
                });
                scope.spawn(move || {
                    let mut ear = Ear::new(&mut receiver, wire);
                    (0..8).for_each(|_| ear.hears(large));
                    ear.hears_the_end();
                });
            }
        });
    }
}

pub fn an_empty_line_is_a_message<S: Subject>() {
    let stage = Stage::<S>::new();
    let (mut client, mut served) = pair_of(&stage, LINES);
    let lines = [&b""[..], b"", b"x", b"", b"\r"];
    lines.iter().for_each(|line| client.send_info(line).unwrap());
    client.disconnect_from().unwrap();
    let mut ear = Ear::new(&mut served, LINES);
    lines.iter().for_each(|line| ear.hears(line));
    ear.hears_the_end();
}

/// By every word that sends; and nothing of what was refused arrives.
pub fn what_a_wire_cannot_carry_is_refused_before_a_byte_leaves<S: Subject>() {
    let limit = Limits::default().message;
    let too_large = ErrorKind::TooLarge { size: u64::from(limit) + 1, limit: limit.into() };
    let inside = |at| ErrorKind::DelimiterInside { delimiter: b'\n', at };
    let wrong = |size| ErrorKind::WrongSize { size, expected: SIZE as u32 };
    let (giant, late) = (vec![b'x'; limit as usize + 1], [&[b'x'; 5000][..], b"\n"].concat());
    let refused: [(Wire, &[u8], ErrorKind); 9] = [
        (Wire::Raw, b"", ErrorKind::EmptyMessage),
        (Wire::Raw, &giant, too_large.clone()),
        (LINES, b"\n", inside(0)),
        (LINES, b"one\ntwo\n", inside(3)),
        (LINES, &late, inside(5000)),
        (LINES, &giant, too_large),
        (FIXED, b"", wrong(0)),
        (FIXED, &[0; SIZE - 1], wrong(SIZE as u64 - 1)),
        (FIXED, &[0; SIZE + 1], wrong(SIZE as u64 + 1)),
    ];
    for (wire, info, why) in refused {
        let stage = Stage::<S>::new();
        let (mut client, mut served) = pair_of(&stage, wire);
        assert_eq!(kind_of(&client.send_info(info)), Some(&why));
        assert_eq!(kind_of(&client.feed_info(info)), Some(&why));
        assert_eq!(kind_of(&client.queue_info(info)), Some(&why));
        assert_eq!(kind_of(&client.send_many(&[info, b"x"])), Some(&why));
        let right = message(wire, 7, 10);
        client.send_info(&right).unwrap();
        client.disconnect_from().unwrap();
        let mut ear = Ear::new(&mut served, wire);
        ear.hears(&right);
        ear.hears_the_end();
    }
}

pub fn fed_messages_leave_together_on_every_wire<S: Subject>() {
    for wire in WIRES {
        let stage = Stage::<S>::new();
        let (mut client, mut served) = pair_of(&stage, wire);
        let message = |i: usize| message(wire, i, 1 + i * 37 % 300);
        (0..30).for_each(|i| client.feed_info(&message(i)).unwrap());
        let early = served.try_recv_info(&mut Vec::new());
        assert_eq!(kind_of(&early), Some(&ErrorKind::WouldBlock), "they are kept until they are flushed");
        client.flush_info().unwrap();
        client.queue_info(&message(30)).unwrap();
        // One too large to be copied takes those along that wait.
        client.send_info(&super::message(wire, 31, 5_000)).unwrap();
        let (a, b) = (message(32), message(33));
        assert_eq!(client.send_many(&[&a, &b]).unwrap(), 2);
        client.feed_info(&message(34)).unwrap();
        client.disconnect_from().unwrap();
        let mut ear = Ear::new(&mut served, wire);
        (0..35).for_each(|i| ear.hears(&if i == 31 { super::message(wire, i, 5_000) } else { message(i) }));
        ear.hears_the_end();
    }
}

pub fn the_end_of_one_direction_leaves_the_other<S: Subject>() {
    for wire in WIRES {
        let stage = Stage::<S>::new();
        let (mut client, mut served) = pair_of(&stage, wire);
        client.send_info(&message(wire, 1, 10)).unwrap();
        client.disconnect_from().unwrap();
        client.disconnect_from().unwrap();
        assert_eq!(kind_of(&client.send_info(&message(wire, 2, 10))), Some(&ErrorKind::Closed));
        let mut ear = Ear::new(&mut served, wire);
        ear.hears(&message(wire, 1, 10));
        (0..2).for_each(|_| ear.hears_the_end());
        served.send_info(&message(wire, 3, 10)).unwrap();
        drop(served);
        let mut ear = Ear::new(&mut client, wire);
        ear.hears(&message(wire, 3, 10));
        ear.hears_the_end();
    }
}

/// A part has left when the deadline passes: the rest is accepted, and leaves while we only receive.
pub fn a_timed_out_tail_arrives_on_every_wire<S: Subject>() {
    for wire in [Wire::Raw, LINES, "fixed:8000000".parse().unwrap()] {
        let stage = Stage::<S>::new();
        let (mut client, mut served) = pair_of(&stage, wire);
        let big = message(wire, 1, 8_000_000);
        client.send_info_by(&big, Deadline::Within(Duration::from_millis(20))).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                Ear::new(&mut served, wire).hears(&big);
                served.send_info(&big).unwrap();
                served.disconnect_from().unwrap();
            });
            let mut ear = Ear::new(&mut client, wire);
            ear.hears(&big);
            ear.hears_the_end();
        });
    }
}

/// More than a road that is full takes; as one large send they would have the kernel make room (SO_SNDBUF).
const QUEUED: u64 = 5;

/// What was refused never arrives, in whole or in part; what was accepted does, and is counted until it has left.
pub fn what_was_accepted_arrives_and_nothing_else_on_every_wire<S: Subject>() {
    for wire in [Wire::Raw, LINES, "fixed:10007".parse().unwrap()] {
        let stage = Stage::<S>::new();
        let (mut client, mut served) = pair_of(&stage, wire);
        let message = |i| message(wire, i, 10_007);
        let (mut accepted, mut refusals) = (0, 0);
        // A road that is full may make room for a little more by itself (TCP).
        while refusals < 100 {
            match client.try_send_info(&message(accepted)) {
                Ok(()) => (accepted, refusals) = (accepted + 1, 0),
                Err(_) => refusals += 1,
            }
        }
        for _ in 0..QUEUED {
            client.queue_info(&message(accepted)).unwrap();
            accepted += 1;
        }
        let left = client.disconnect_from_by(Deadline::Now);
        let Some(ErrorKind::Undelivered { messages }) = kind_of(&left) else { panic!("{wire}: {left:?}") };
        assert!((1..=QUEUED + 1).contains(messages), "{wire}: {messages}");
        thread::scope(|scope| {
            scope.spawn(|| client.disconnect_from().unwrap());
            let mut ear = Ear::new(&mut served, wire);
            (0..accepted).for_each(|i| ear.hears(&message(i)));
            ear.hears_the_end();
        });
    }
}

pub fn a_full_road_and_silence_would_block_on_every_wire<S: Subject>() {
    for wire in [Wire::Raw, LINES] {
        let stage = Stage::<S>::new();
        let (mut client, mut served) = pair_of(&stage, wire);
        let silence = served.try_recv_info(&mut Vec::new());
        assert_eq!(kind_of(&silence), Some(&ErrorKind::WouldBlock), "{wire}");
        if wire == LINES {
            fill(&mut client);
        } else {
            while client.try_send_info(&[0; 500]).is_ok() {}
        }
        let late = client.send_info_by(b"x", Deadline::Within(Duration::from_millis(20)));
        assert!(late.is_ok() || kind_of(&late) == Some(&ErrorKind::TimedOut), "{wire}: {late:?}");
    }
}

pub fn a_served_client_of_every_wire_is_answered<S: Subject>() {
    for wire in WIRES {
        let stage = Stage::<S>::new();
        let mut server = server_of(&stage, wire);
        let stop = server.stop_handle().unwrap();
        thread::scope(|scope| {
            let served = scope.spawn(|| S::serve(server, Duration::from_secs(10), Handler::Echo).unwrap());
            for _ in 0..3 {
                let options = stage.client_options().wire(wire);
                let mut client = S::connect_with(&stage.address, &options).unwrap();
                for i in 0..20 {
                    client.send_info(&message(wire, i, i * 100)).unwrap();
                    Ear::new(&mut client, wire).hears(&message(wire, i, i * 100));
                }
                client.disconnect_from().unwrap();
                Ear::new(&mut client, wire).hears_the_end();
            }
            stop.stop();
            assert_eq!(served.join().unwrap().clients, 3, "{wire}");
        });
    }
}
