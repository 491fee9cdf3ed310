//! Messages: whole, in order, of every size, or refused whole.

use std::{thread, time::Duration};

use ipc_core::{
    Deadline, ErrorKind, IpcReceiver, IpcSender, IpcServer, WaitStrategy,
    frame::{FrameKind, header},
};

use crate::{
    Raw, Stage, Subject, kind_of,
    stage::{echo, pattern},
};

pub fn carries_messages_whole_and_in_order<S: Subject>() {
    let stage = Stage::<S>::new();
    let (mut client, mut served) = stage.pair(&mut stage.server());
    let message = |i: usize| pattern(i, i * 37 % 3000);
    thread::scope(|scope| {
        scope.spawn(|| (0..3000).for_each(|i| client.send_info(&message(i)).unwrap()));
        let mut info = Vec::new();
        for i in 0..3000 {
            assert!(served.recv_info(&mut info).unwrap());
            assert!(info == message(i), "message {i} is not as it was sent");
        }
    });
    assert_eq!((S::traffic(client).0.messages, S::traffic(served).1.messages), (3000, 3000));
}

pub fn fed_messages_leave_together_and_in_order<S: Subject>() {
    let stage = Stage::<S>::new();
    let (mut client, mut served) = stage.pair(&mut stage.server());
    let message = |i: usize| pattern(i, i * 37 % 300);
    (0..100).for_each(|i| client.feed_info(&message(i)).unwrap());
    let early = served.try_recv_info(&mut Vec::new());
    assert_eq!(kind_of(&early), Some(&ErrorKind::WouldBlock), "they are kept until they are flushed");
    client.flush_info().unwrap();
    client.feed_info(&message(100)).unwrap();
    // One that does not wait takes those along that do, also when it is too large to be copied.
    client.send_info(&message(101)).unwrap();
    client.feed_info(&message(102)).unwrap();
    client.send_info(&pattern(103, 5_000)).unwrap();
    client.feed_info(&message(104)).unwrap();
    client.disconnect_from().unwrap();
    let mut info = Vec::new();
    for i in 0..105 {
        assert!(served.recv_info(&mut info).unwrap());
        assert!(info == if i == 103 { pattern(103, 5_000) } else { message(i) }, "message {i}");
    }
    assert!(!served.recv_info(&mut info).unwrap());
}

pub fn much_that_is_fed_leaves_by_itself<S: Subject>() {
    let stage = Stage::<S>::new();
    let (mut client, mut served) = stage.pair(&mut stage.server());
    let mut info = Vec::new();
    let client = thread::scope(|scope| {
        // In a thread of its own: what leaves together is more than a pipe holds that could not be enlarged.
        let feeds = scope.spawn(move || {
            (0..1000).for_each(|i| client.feed_info(&pattern(i, 90)).unwrap());
            client
        });
        (0..500).for_each(|i| {
            assert!(served.recv_info(&mut info).unwrap());
            assert!(info == pattern(i, 90), "message {i}");
        });
        feeds.join().unwrap()
    });
    // Without a flush and without a goodbye of its own.
    drop(client);
    (500..1000).for_each(|i| assert!(served.recv_info(&mut info).unwrap() && info == pattern(i, 90)));
    assert!(!served.recv_info(&mut info).unwrap());
}

pub fn answers_that_are_fed_leave_before_the_next_wait<S: Subject>() {
    let stage = Stage::<S>::new();
    let (mut client, mut served) = stage.pair(&mut stage.server());
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut info = Vec::new();
            while served.recv_info(&mut info).unwrap() {
                served.feed_info(&info).unwrap();
            }
        });
        for round in 0..50 {
            client.feed_info(&pattern(round, 10)).unwrap();
            client.feed_info(&pattern(round, 20)).unwrap();
            assert_eq!(client.recv_borrowed().unwrap(), Some(&pattern(round, 10)[..]));
            assert_eq!(client.recv_borrowed().unwrap(), Some(&pattern(round, 20)[..]));
        }
        client.disconnect_from().unwrap();
    });
}

pub fn send_many_says_how_many_were_accepted<S: Subject>() {
    let stage = Stage::<S>::new();
    let (mut client, mut served) = stage.pair(&mut stage.server());
    let infos: Vec<Vec<u8>> = (0..100).map(|i| pattern(i, 80_000)).collect();
    let infos: Vec<&[u8]> = infos.iter().map(Vec::as_slice).collect();
    assert_eq!(client.send_many(&[]).unwrap(), 0);
    // More than fits on any road, and nobody receives.
    let first = client.send_many_by(&infos, Deadline::Now).unwrap();
    assert!((1..100).contains(&first), "{first} of 100");
    let more = client.send_many_by(&infos[first..], Deadline::Now);
    assert!(more.is_ok() || kind_of(&more) == Some(&ErrorKind::WouldBlock), "{more:?}");
    let accepted = first + more.unwrap_or(0);
    thread::scope(|scope| {
        scope.spawn(move || client.disconnect_from().unwrap());
        let mut info = Vec::new();
        for (i, sent) in infos.iter().take(accepted).enumerate() {
            assert!(served.recv_info(&mut info).unwrap());
            assert!(info == *sent, "message {i} of {accepted}");
        }
        assert!(!served.recv_info(&mut info).unwrap(), "more came than were accepted");
    });
}

/// Nothing else is done with this half: what was accepted must not wait for that.
pub fn what_send_many_accepted_leaves_though_the_next_is_refused<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server_with(|options| options.max_message(1000));
    let (mut client, mut served) = stage.pair(&mut server);
    let sent = client.send_many(&[b"one", b"two", &[0; 1001], b"four"]);
    assert_eq!(sent.unwrap(), 2);
    let soon = Deadline::Within(Duration::from_secs(20));
    for info in [&b"one"[..], b"two"] {
        assert_eq!(served.recv_borrowed_by(soon).unwrap(), Some(info));
    }
}

pub fn every_way_to_wait_carries_the_same_messages<S: Subject>() {
    for strategy in [WaitStrategy::Sleep, WaitStrategy::Adaptive, WaitStrategy::Spin] {
        let stage = Stage::<S>::new();
        let mut server = stage.server_with(|options| options.wait(strategy));
        let (mut client, mut served) = stage.pair_with(&mut server, |options| options.wait(strategy));
        thread::scope(|scope| {
            scope.spawn(move || echo(&mut served).unwrap());
            for i in 0..100 {
                let info = pattern(i, i * 3001 % 200_000);
                client.send_info(&info).unwrap();
                assert!(client.recv_borrowed().unwrap() == Some(&info[..]), "{strategy:?}, message {i}");
            }
            client.disconnect_from().unwrap();
        });
    }
}

pub fn empty_message_is_a_message<S: Subject>() {
    let stage = Stage::<S>::new();
    let (mut client, mut served) = stage.pair(&mut stage.server());
    for info in [&b""[..], b"", b"x", b""] {
        client.send_info(info).unwrap();
    }
    client.disconnect_from().unwrap();
    let mut got = vec![9];
    for info in [&b""[..], b"", b"x", b""] {
        assert!(served.recv_info(&mut got).unwrap());
        assert_eq!(got, info);
    }
    assert!(!served.recv_info(&mut got).unwrap());
    assert!(!served.recv_info(&mut got).unwrap(), "the goodbye stays");
}

#[allow(non_snake_case, reason = "units are written as they are")]
pub fn carries_every_size_from_0_to_16_MiB<S: Subject>() {
    let stage = Stage::<S>::new();
    let (mut client, mut served) = stage.pair(&mut stage.server());
    let edges = [8, 64, 1024, 4096, 65_536, 131_072, 212_960, 1 << 20];
    let around = edges.into_iter().flat_map(|edge| (edge - 9)..=(edge + 1));
    let sizes: Vec<usize> = (0..8)
        .chain(around)
        .chain([10 << 20, (16 << 20) - 1, 16 << 20])
        .map(|s: i64| s.max(0) as usize)
        .collect();
    thread::scope(|scope| {
        scope.spawn(move || echo(&mut served).unwrap());
        for size in sizes {
            let info = pattern(size, size);
            client.send_info(&info).unwrap();
            assert!(client.recv_borrowed().unwrap() == Some(&info[..]), "{size} bytes came back otherwise");
        }
        client.disconnect_from().unwrap();
    });
}

pub fn too_large_is_refused_before_allocation<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let place = stage.place();
    let (mut raw, mut served) = thread::scope(|scope| {
        let raw = scope.spawn(|| {
            let mut raw = Raw::<S::Transport>::knock(&place);
            raw.shake();
            raw
        });
        let served = server.accept_client_by(Deadline::Forever).unwrap();
        (raw.join().unwrap(), served)
    });
    raw.write(&header(FrameKind::Data, u32::MAX));
    raw.write(&[0; 100]);
    let got = served.recv_info(&mut Vec::new());
    assert!(matches!(kind_of(&got), Some(ErrorKind::Protocol { .. })), "{got:?}");
    let (mut client, mut other) = stage.pair(&mut server);
    client.send_info(b"unharmed").unwrap();
    assert_eq!(other.recv_borrowed().unwrap(), Some(&b"unharmed"[..]));
}

/// A server for many users. Half of the memory is the share of the only one who is there.
pub fn what_lies_unread_is_shared_out<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server_with(|options| options.shared(true).max_unread(4 << 20));
    for (size, arrives) in [(2 << 20, true), (15 << 20, false), (2 << 20, true)] {
        let (mut client, mut served) = stage.pair(&mut server);
        thread::scope(|scope| {
            // What is over the share is cut off while it is being sent.
            let sent = scope.spawn(move || client.send_info(&pattern(1, size)));
            let got = served.recv_info(&mut Vec::new());
            drop(served);
            let sent = sent.join().unwrap();
            if arrives {
                assert!(got.unwrap() && sent.is_ok(), "{size} bytes");
            } else {
                assert!(matches!(kind_of(&got), Some(ErrorKind::Protocol { .. })), "{got:?}");
                assert_eq!(kind_of(&sent), Some(&ErrorKind::PeerGone));
            }
        });
    }
}

pub fn the_receivers_limit_is_announced_and_inclusive<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server_with(|options| options.max_message(1000));
    let (mut client, mut served) = stage.pair_with(&mut server, |options| options.max_message(10));
    let refused = client.send_info(&[0; 1001]);
    assert_eq!(kind_of(&refused), Some(&ErrorKind::TooLarge { size: 1001, limit: 1000 }));
    let refused = served.send_info(&[0; 11]);
    assert_eq!(kind_of(&refused), Some(&ErrorKind::TooLarge { size: 11, limit: 10 }));
    client.send_info(&[7; 1000]).unwrap();
    served.send_info(&[8; 10]).unwrap();
    assert_eq!(served.recv_borrowed().unwrap(), Some(&[7; 1000][..]));
    assert_eq!(client.recv_borrowed().unwrap(), Some(&[8; 10][..]));
}

/// What was refused never arrives, in whole or in part; what was accepted does.
pub fn refused_send_takes_nothing<S: Subject>() {
    let stage = Stage::<S>::new();
    let (mut client, mut served) = stage.pair(&mut stage.server());
    let mut accepted = Vec::new();
    let mut refusals = 0;
    for i in 0.. {
        let deadline =
            if refusals % 2 == 0 { Deadline::Now } else { Deadline::Within(Duration::from_millis(5)) };
        match client.send_info_by(&pattern(i, 10_007), deadline) {
            Ok(()) => accepted.push(i),
            Err(error) => {
                let expected =
                    if deadline == Deadline::Now { ErrorKind::WouldBlock } else { ErrorKind::TimedOut };
                assert_eq!(*error.kind(), expected);
                refusals += 1;
            }
        }
        if refusals == 4 {
            break;
        }
    }
    assert!(accepted.len() > 1);
    thread::scope(|scope| {
        scope.spawn(|| client.disconnect_from().unwrap());
        let mut info = Vec::new();
        for i in &accepted {
            assert!(served.recv_info(&mut info).unwrap());
            assert!(info == pattern(*i, 10_007), "message {i} is not the one accepted");
        }
        assert!(!served.recv_info(&mut info).unwrap(), "a refused message arrived");
    });
}

pub fn a_timed_out_tail_still_arrives_while_we_only_receive<S: Subject>() {
    let stage = Stage::<S>::new();
    let (mut client, mut served) = stage.pair(&mut stage.server());
    let big = pattern(1, 8 << 20);
    client.send_info_by(&big, Deadline::Within(Duration::from_millis(20))).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(served.recv_borrowed().unwrap() == Some(&big[..]), "the tail did not arrive whole");
            served.send_info(b"thanks").unwrap();
        });
        assert_eq!(client.recv_borrowed().unwrap(), Some(&b"thanks"[..]));
    });
}

pub fn cancelled_receive_loses_nothing<S: Subject>() {
    let stage = Stage::<S>::new();
    let (client, mut served) = stage.pair(&mut stage.server());
    let (mut sender, _receiver) = S::split(client);
    let messages: Vec<_> = (0..40).map(|i| pattern(i, i * 9001 % 200_000)).collect();
    // A message leaves once it has been waited for in vain.
    let (given_up, next) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let all = &messages;
        scope.spawn(move || {
            for message in all {
                next.recv().unwrap();
                sender.send_info(message).unwrap();
            }
        });
        let mut info = Vec::new();
        for (i, message) in messages.iter().enumerate() {
            let mut tries = 0u32;
            loop {
                tries += 1;
                let brief = Deadline::Within(Duration::from_micros(u64::from(tries % 300)));
                match served
                    .recv_info_by(&mut info, if tries.is_multiple_of(2) { Deadline::Now } else { brief })
                {
                    Ok(more) => break assert!(more),
                    Err(error) => assert!(
                        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                        "{error}"
                    ),
                }
                if tries == 1 {
                    given_up.send(()).unwrap();
                }
            }
            assert!(info == *message, "message {i} suffered from waits that were given up");
        }
    });
}
