//! Clients that know bytes only: whom a server takes in, and what it makes of what they do.

use std::{thread, time::Duration};

use ipc_core::{
    ConnectOptions, Deadline, ErrorKind, IpcConnection, IpcReceiver, IpcSender, IpcServer, Refusal,
    ServerOptions, Transport, Tx, Wire,
};

use super::{Ear, FIXED, LINES, SIZE, WIRES, message, server_of, stranger};
use crate::{Raw, Stage, Subject, handshake::accept_until, kind_of, stage::pattern};

pub fn a_foreign_wire_needs_a_policy_and_a_limit_that_admits_something<S: Subject>() {
    let bad = |wire, change: fn(ServerOptions) -> ServerOptions| {
        let stage = Stage::<S>::new();
        let options = change(stage.server_options().wire(wire));
        let made = S::new_server_with(&stage.address, &options);
        let Some(ErrorKind::BadOptions { why }) = kind_of(&made) else { panic!("{wire}: {made:?}") };
        assert!(why.contains("expected") && why.contains(&wire.to_string()), "{why}");
    };
    WIRES.into_iter().for_each(|wire| bad(wire, |options| options));
    bad(Wire::Raw, |options| options.allow(|_| true).max_message(0));
    bad(LINES, |options| options.allow(|_| true).schema(7));
    bad(FIXED, |options| options.allow(|_| true).max_message(SIZE as u32 - 1));
    let stage = Stage::<S>::new();
    let _server = server_of(&stage, FIXED);
    let options = |limit| stage.client_options().wire(FIXED).max_message(limit);
    let refused = S::connect_with(&stage.address, &options(SIZE as u32 - 1));
    assert!(matches!(kind_of(&refused), Some(ErrorKind::BadOptions { .. })), "{refused:?}");
    S::connect_with(&stage.address, &options(SIZE as u32)).unwrap();
}

/// It has said nothing, and never will.
pub fn a_stranger_is_ready_when_its_road_is_up<S: Subject>() {
    for wire in WIRES {
        let stage = Stage::<S>::new();
        let mut server = server_of(&stage, wire);
        let (mut raw, mut served) = stranger(&stage, &mut server);
        assert_eq!(served.peer().uid, S::user_of_a_stranger());
        served.send_info(&message(wire, 1, 5)).unwrap();
        let sent = [&message(wire, 1, 5)[..], if wire == LINES { b"\n" } else { b"" }].concat();
        assert_eq!(read(&mut raw, sent.len()), sent, "{wire}: nothing but the message");
        raw.write(&sent);
        Ear::new(&mut served, wire).hears(&message(wire, 1, 5));
        assert_eq!((server.stats().ready, server.stats().refused_in_all()), (1, 0));
    }
}

pub fn a_stranger_who_may_not_come_in_sees_the_end<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server_with(|options| options.wire(LINES).allow(|_| false));
    let mut raw = Raw::<S::Transport>::knock(&stage.place());
    stage.refused(&mut server, || assert_eq!(read(&mut raw, 1), b"", "not a word"));
    assert_eq!(server.stats().refused(Refusal::NotAdmitted), 1);
}

pub fn one_stranger_too_many_sees_the_end_and_there_is_room_again<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server_with(|options| options.wire(LINES).allow(|_| true).max_clients(2));
    let mut inside = [stranger(&stage, &mut server), stranger(&stage, &mut server)];
    let mut raw = Raw::<S::Transport>::knock(&stage.place());
    accept_until(&mut server, |stats| stats.refused(Refusal::Busy) == 1, "one too many");
    assert_eq!(read(&mut raw, 1), b"", "not a word");
    let [(first, served), ..] = &mut inside;
    first.write(b"still here\n");
    Ear::new(served, LINES).hears(b"still here");
    drop(inside);
    let (_raw, mut served) = stranger(&stage, &mut server);
    served.send_info(b"room again").unwrap();
}

pub fn two_hundred_who_never_finish_a_line_stall_nobody<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = server_of(&stage, LINES);
    let mut unfinished: Vec<_> = (0..200)
        .map(|_| {
            let (mut raw, served) = stranger(&stage, &mut server);
            raw.write(b"a line without an e");
            (raw, served)
        })
        .collect();
    for _ in 0..3 {
        let (mut raw, mut served) = stranger(&stage, &mut server);
        raw.write(b"honest\n");
        Ear::new(&mut served, LINES).hears(b"honest");
    }
    for (raw, served) in unfinished.iter_mut().step_by(50) {
        assert_eq!(kind_of(&served.try_recv_info(&mut Vec::new())), Some(&ErrorKind::WouldBlock));
        raw.write(b"nd\n");
        Ear::new(served, LINES).hears(b"a line without an end");
    }
}

/// Between messages the end is a goodbye, inside of one it is not.
pub fn death_inside_a_message_is_truncated_on_every_wire<S: Subject>() {
    let cases: [(Wire, &[u8], &[u8], bool); 6] = [
        (LINES, b"whole\n", b"h", true),
        (LINES, b"whole\n", b"half a line", true),
        (LINES, b"whole\n", b"", false),
        (FIXED, &[5; SIZE], &[5; SIZE - 1], true),
        (FIXED, &[5; SIZE], &[], false),
        (Wire::Raw, b"whole", b"", false),
    ];
    for (wire, whole, half, truncated) in cases {
        let stage = Stage::<S>::new();
        let mut server = server_of(&stage, wire);
        let (mut raw, mut served) = stranger(&stage, &mut server);
        raw.write(whole);
        raw.write(half);
        drop(raw);
        Ear::new(&mut served, wire).hears(whole.strip_suffix(b"\n").unwrap_or(whole));
        for _ in 0..2 {
            let ended = served.recv_borrowed();
            if truncated {
                assert_eq!(kind_of(&ended), Some(&ErrorKind::Truncated), "{wire}");
            } else {
                assert_eq!(ended.unwrap(), None, "{wire}");
            }
        }
    }
}

pub fn a_line_over_the_limit_is_told_before_its_end_has_come<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = server_of(&stage, LINES);
    let (mut raw, mut served) = stranger(&stage, &mut server);
    thread::scope(|scope| {
        // More than the server reads of it: it ends when the server lets go.
        scope.spawn(move || raw.write(&vec![b'x'; 20 << 20]));
        let got = served.recv_info(&mut Vec::new());
        let Some(ErrorKind::Protocol { what }) = kind_of(&got) else { panic!("{got:?}") };
        assert!(what.contains("limit"), "{what}");
        let again = served.recv_info(&mut Vec::new());
        assert!(matches!(kind_of(&again), Some(ErrorKind::Protocol { .. })), "and that is the end of it");
        drop(served);
    });
    let (mut raw, mut served) = stranger(&stage, &mut server);
    raw.write(b"unharmed\n");
    Ear::new(&mut served, LINES).hears(b"unharmed");
}

/// A server for many users, of whose memory half is the share of the only one who is there.
pub fn what_lies_unread_of_a_message_is_shared_out_on_every_wire<S: Subject>() {
    for (wire, size, arrives) in [
        (LINES, 1 << 20, true),
        (LINES, 12 << 20, false),
        ("fixed:1000000".parse().unwrap(), 1_000_000, true),
        ("fixed:12000000".parse().unwrap(), 12_000_000, false),
    ] {
        let stage = Stage::<S>::new();
        let mut server =
            stage.server_with(|options| options.wire(wire).allow(|_| true).shared(true).max_unread(4 << 20));
        let (mut raw, mut served) = stranger(&stage, &mut server);
        thread::scope(|scope| {
            scope.spawn(move || {
                raw.write(&message(wire, 1, size));
                raw.write(b"\n");
                raw.link().unwrap().tx.finish();
                // What is over the share is cut off while it is being sent.
                read(&mut raw, 1);
            });
            let mut info = Vec::new();
            let got = served.recv_info(&mut info);
            drop(served);
            if arrives {
                assert!(got.unwrap() && info == message(wire, 1, size), "{wire}");
            } else {
                let Some(ErrorKind::Protocol { what }) = kind_of(&got) else { panic!("{wire}: {got:?}") };
                assert!(what.contains("share"), "{what}");
            }
        });
    }
}

pub fn one_who_sends_byte_by_byte_is_heard<S: Subject>() {
    for wire in [LINES, FIXED] {
        let stage = Stage::<S>::new();
        let mut server = server_of(&stage, wire);
        let (mut raw, mut served) = stranger(&stage, &mut server);
        let (sent, mut info) = (message(wire, 1, 200), Vec::new());
        let bytes = [&sent[..], if wire == LINES { b"\n" } else { b"" }].concat();
        let (last, most) = bytes.split_last().unwrap();
        for (at, byte) in most.iter().enumerate() {
            raw.write(&[*byte]);
            let brief = if at % 20 == 0 { Deadline::Within(Duration::from_millis(1)) } else { Deadline::Now };
            let early = served.recv_info_by(&mut info, brief);
            let waits = [Some(&ErrorKind::WouldBlock), Some(&ErrorKind::TimedOut)];
            assert!(waits.contains(&kind_of(&early)), "{wire}, byte {at}: {early:?}");
        }
        raw.write(&[*last]);
        Ear::new(&mut served, wire).hears(&sent);
    }
}

/// Silence between messages is no stall.
pub fn one_who_stops_inside_a_message_is_given_up<S: Subject>() {
    for wire in [LINES, FIXED] {
        let stage = Stage::<S>::new();
        let span = Duration::from_millis(50);
        let mut server = stage.server_with(|options| options.wire(wire).allow(|_| true).stalled_after(span));
        let (mut raw, mut served) = stranger(&stage, &mut server);
        let silence = served.recv_borrowed_by(Deadline::Within(span * 3)).map(|_| ());
        assert_eq!(kind_of(&silence), Some(&ErrorKind::TimedOut), "{wire}");
        raw.write(b"the first part");
        assert_eq!(kind_of(&served.recv_borrowed()), Some(&ErrorKind::Stalled), "{wire}");
    }
}

/// Whatever it is: each line of it is one, and what comes after its end is not believed to be anything else.
pub fn binary_rubbish_is_lines_like_any_other<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = server_of(&stage, LINES);
    for seed in 0..5 {
        let (mut raw, mut served) = stranger(&stage, &mut server);
        let rubbish = pattern(seed, 100_000);
        thread::scope(|scope| {
            scope.spawn(|| {
                raw.write(&rubbish);
                raw.link().unwrap().tx.finish();
            });
            let mut lines: Vec<_> = rubbish.split(|byte| *byte == b'\n').collect();
            let rest = lines.pop().unwrap();
            assert!(lines.len() > 10, "there is something to be told apart");
            let mut ear = Ear::new(&mut served, LINES);
            lines.iter().for_each(|line| ear.hears(line));
            match served.recv_borrowed() {
                Ok(end) => assert_eq!((end, rest.len()), (None, 0)),
                Err(error) => assert_eq!((error.kind(), rest.is_empty()), (&ErrorKind::Truncated, false)),
            }
        });
    }
}

pub fn a_stranger_that_never_reads_keeps_nobody_waiting<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = server_of(&stage, LINES);
    let (_deaf, mut served) = stranger(&stage, &mut server);
    while served.send_info_by(&[b'x'; 5000], Deadline::Within(Duration::from_millis(10))).is_ok() {}
    let (mut raw, mut other) = stranger(&stage, &mut server);
    raw.write(b"question\n");
    Ear::new(&mut other, LINES).hears(b"question");
    other.send_info(b"answer").unwrap();
    assert_eq!(read(&mut raw, 7), b"answer\n");
    let left = served.disconnect_from_by(Deadline::Within(Duration::from_millis(10)));
    assert!(left.is_ok() || matches!(kind_of(&left), Some(ErrorKind::Undelivered { .. })), "{left:?}");
}

/// A hobnob client that expects hobnob, and one that does not, at a server of the other kind.
pub fn two_wires_do_not_converse_and_nobody_is_harmed<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = server_of(&stage, Wire::Raw);
    let (address, options): (_, ConnectOptions) = (&stage.address, stage.client_options());
    thread::scope(|scope| {
        let native = scope.spawn(|| S::connect_with(address, &options));
        let mut served = server.accept_client().unwrap();
        // As an echo server does; a hello that comes back is no verdict.
        let (mut info, mut hello) = (Vec::new(), Raw::<S::Transport>::greeting().len());
        while hello > 0 {
            assert!(served.recv_info(&mut info).unwrap());
            served.send_info(&info).unwrap();
            hello -= info.len();
        }
        let refused = native.join().unwrap();
        assert!(matches!(kind_of(&refused), Some(ErrorKind::Protocol { .. })), "{refused:?}");
    });
    drop(server);
    let mut server = stage.server_with(|options| options.allow(|_| true));
    let mut foreign = S::connect_with(address, &stage.client_options().wire(LINES)).unwrap();
    // It may be turned away before it has said this: it has no client file.
    let _ = foreign.send_info(b"hello, is this the line server?");
    accept_until(&mut server, |stats| stats.refused_in_all() == 1, "one who says no hello");
    // There may be a line in the verdict that it does not understand, and then there is an end.
    while let Ok(Some(_)) = foreign.recv_borrowed() {}
    let (mut client, mut served) = stage.pair(&mut server);
    client.send_info(b"unharmed").unwrap();
    assert_eq!(served.recv_borrowed().unwrap(), Some(&b"unharmed"[..]));
}

/// Up to so many bytes, as they come; fewer only at the end.
fn read<T: Transport>(raw: &mut Raw<T>, count: usize) -> Vec<u8> {
    let mut got = vec![0; count];
    let mut have = 0;
    while have < count {
        match raw.read_some(&mut got[have..]) {
            Some(more) => have += more,
            None => break,
        }
    }
    got.truncate(have);
    got
}
