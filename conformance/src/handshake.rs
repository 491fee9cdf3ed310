//! The handshake: whatever a client does in it, the server goes on, and both sides know why it failed.

use std::{thread, time::Duration};

use ipc_core::{
    Deadline, ErrorKind, IpcReceiver, IpcSender, IpcServer, Refusal, ServerStats,
    frame::{FrameKind, frame},
    hello::Hello,
};

use crate::{Raw, Stage, Subject, kind_of};

pub fn silent_clients_do_not_stall_accept<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let place = stage.place();
    let silent: Vec<_> = (0..100).map(|_| Raw::<S::Transport>::knock(&place)).collect();
    for _ in 0..3 {
        let (mut client, mut served) = stage.pair(&mut server);
        client.send_info(b"honest").unwrap();
        assert_eq!(served.recv_borrowed().unwrap(), Some(&b"honest"[..]));
    }
    drop(silent);
}

/// At the cap it is not the newest that is turned away, and not one that has begun to speak.
pub fn the_oldest_silent_client_makes_room<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server_with(|options| options.max_half_open(3));
    let place = stage.place();
    let mut speaking = Raw::<S::Transport>::let_in(&place, &mut server);
    speaking.write(&speaking.hello(Raw::<S::Transport>::terms()));
    let mut silent: Vec<_> = (0..5).map(|_| Raw::<S::Transport>::knock(&place)).collect();
    accept_until(&mut server, |stats| stats.refused(Refusal::Evicted) == 3, "a silent one");
    assert_eq!(
        kind_of(&server.accept_client_by(Deadline::Within(Duration::from_millis(150)))),
        Some(&ErrorKind::TimedOut)
    );
    assert_eq!((server.stats().arrived, server.stats().refused_in_all()), (6, 3), "one too many had to go");
    let verdict = speaking.verdict().expect("the one that spoke was kept");
    speaking.write(&frame(FrameKind::Ready, &verdict.nonce));
    server.accept_client_by(Deadline::Forever).unwrap();
    for (i, raw) in silent.iter_mut().enumerate() {
        if i < 3 {
            assert_eq!(raw.verdict().unwrap().refusal, Some(Refusal::Evicted), "number {i}");
        } else {
            raw.write(&raw.hello(Raw::<S::Transport>::terms()));
        }
    }
    for raw in &mut silent[3..] {
        let answer = thread::scope(|scope| {
            let answer = scope.spawn(|| raw.verdict().unwrap().refusal);
            accept_until(&mut server, |_| answer.is_finished(), "one without its last word");
            answer.join().unwrap()
        });
        assert_eq!(answer, None, "the newest was turned out");
    }
}

/// An honest client needs a moment between its knock and its hello. It has that moment although the table is full.
pub fn one_that_has_just_come_is_not_turned_out<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server =
        stage.server_with(|options| options.max_half_open(1).hello_within(Duration::from_secs(3600)));
    let place = stage.place();
    let mut first = Raw::<S::Transport>::knock(&place);
    let _second = Raw::<S::Transport>::knock(&place);
    accept_until(&mut server, |stats| stats.arrived == 2, "a silent one");
    first.write(&first.hello(Raw::<S::Transport>::terms()));
    let answer = thread::scope(|scope| {
        let answer = scope.spawn(|| first.verdict().unwrap().refusal);
        accept_until(&mut server, |_| answer.is_finished(), "one without its last word");
        answer.join().unwrap()
    });
    assert_eq!(answer, None);
}

/// A client that waits for room comes in as soon as there is some, not when somebody else's time is over: that
/// would be after this one's own deadline.
pub fn room_that_appears_is_used_at_once<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server =
        stage.server_with(|options| options.max_half_open(1).hello_within(Duration::from_secs(3600)));
    let place = stage.place();
    let mut slow = Raw::<S::Transport>::let_in(&place, &mut server);
    slow.write(&slow.hello(Raw::<S::Transport>::terms()));
    accept_until(&mut server, |stats| stats.arrived == 1, "a slow one");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| stage.connect().unwrap());
        accept_until(&mut server, |stats| stats.arrived == 2, "one too many");
        let verdict = slow.verdict().unwrap();
        slow.write(&frame(FrameKind::Ready, &verdict.nonce));
        for _ in 0..2 {
            server.accept_client_by(Deadline::Forever).unwrap();
        }
        waiting.join().unwrap();
    });
}

pub fn a_silent_client_is_dropped_when_its_time_is_over<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server_with(|options| options.hello_within(Duration::from_millis(30)));
    let place = stage.place();
    let mut silent = Raw::<S::Transport>::knock(&place);
    let over = stage.refused(&mut server, || silent.verdict());
    assert_eq!(over.unwrap().refusal, Some(Refusal::Silent), "the silent one is told and hung up on");
    assert_eq!(server.stats().refused(Refusal::Silent), 1);
}

/// Garbage, half a hello and then death, a wrong nonce, a ready out of nowhere, a giant: counted, and no more.
pub fn clients_that_come_together_are_all_taken_in<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let place = stage.place();
    let before = server.stats().arrived;
    let knocking: Vec<_> = (0..3).map(|_| Raw::<S::Transport>::knock(&place)).collect();
    accept_until(&mut server, |stats| stats.arrived == before + 3, "three at once");
    drop(knocking);
}

/// A server for many users, where one user may have one client of two in the handshake. There is one already: the next
/// is sent away, comes again by itself, and is taken in once there is room.
pub fn a_client_that_is_one_too_many_of_its_user_comes_again<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server_with(|options| options.shared(true).max_half_open(2));
    let place = stage.place();
    let first = Raw::<S::Transport>::knock(&place);
    accept_until(&mut server, |stats| stats.arrived == 1, "the first");
    let options = stage.client_options().deadline(Deadline::Forever);
    thread::scope(|scope| {
        let (server, first) = (&mut server, first);
        let second = scope.spawn(|| S::connect_with(&stage.address, &options).map(drop));
        accept_until(server, |stats| stats.refused(Refusal::Crowded) > 0, "the second is sent away");
        drop(first);
        drop(server.accept_client().unwrap());
        second.join().unwrap().unwrap();
    });
}

pub fn a_bad_hello_is_counted_and_harms_nobody<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let place = stage.place();
    let (mut client, mut served) = stage.pair(&mut server);
    let good = |raw: &Raw<S::Transport>| raw.hello(Raw::<S::Transport>::terms());
    type Bad<'a, T> = &'a dyn Fn(&mut Raw<T>) -> Vec<u8>;
    let bad: [(&str, Bad<'_, S::Transport>, Refusal); 7] = [
        ("garbage", &|_| vec![0xff; 300], Refusal::Malformed),
        ("a giant", &|_| vec![0xff, 0xff, 0xff, 0x7f, 7, 0, 0, 0], Refusal::Malformed),
        ("data first", &|_| frame(FrameKind::Data, b"GET / HTTP/1.0\r\n"), Refusal::Malformed),
        ("no magic", &|_| frame(FrameKind::Hello, &[0; 100]), Refusal::Malformed),
        ("ready first", &|_| frame(FrameKind::Ready, &[0; 16]), Refusal::Malformed),
        ("nothing", &|_| Vec::new(), Refusal::Gone),
        ("half a hello", &|raw| good(raw)[..20].to_vec(), Refusal::Gone),
    ];
    for (what, bytes, reason) in bad {
        let (before, arrived) = (server.stats().refused(reason), server.stats().arrived);
        let mut raw = Raw::<S::Transport>::let_in(&place, &mut server);
        let bytes = bytes(&mut raw);
        raw.write(&bytes);
        accept_until(&mut server, |stats| stats.arrived > arrived, what);
        drop(raw);
        accept_until(&mut server, |stats| stats.refused(reason) > before, what);
    }
    // The right hello, and then another server's nonce.
    let mut raw = Raw::<S::Transport>::let_in(&place, &mut server);
    raw.write(&good(&raw));
    raw.write(&frame(FrameKind::Ready, &[9; 16]));
    let before = server.stats().refused(Refusal::Malformed);
    accept_until(&mut server, |stats| stats.refused(Refusal::Malformed) > before, "a wrong nonce");
    if raw.is_tied() {
        let mut raw = Raw::<S::Transport>::let_in(&place, &mut server);
        raw.write(&frame(
            FrameKind::Hello,
            &Hello { terms: Raw::<S::Transport>::terms(), nonce: [1; 16] }.encode(),
        ));
        let before = server.stats().refused(Refusal::Malformed);
        accept_until(
            &mut server,
            |stats| stats.refused(Refusal::Malformed) > before,
            "a hello for another knock",
        );
    }
    client.send_info(b"unharmed").unwrap();
    assert_eq!(served.recv_borrowed().unwrap(), Some(&b"unharmed"[..]));
    let _ = stage.pair(&mut server);
}

pub(crate) fn accept_until(server: &mut impl IpcServer, enough: impl Fn(ServerStats) -> bool, what: &str) {
    while !enough(server.stats()) {
        let accepted = server.accept_client_by(Deadline::Within(Duration::from_millis(5)));
        assert_eq!(kind_of(&accepted), Some(&ErrorKind::TimedOut), "{what} was let in");
    }
}

pub fn a_hello_from_the_future_is_told_both_versions<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let place = stage.place();
    let mut future = Raw::<S::Transport>::terms();
    future.version = 7;
    let verdict = stage.refused(&mut server, || Raw::<S::Transport>::knock(&place).greet(future.clone()));
    assert_eq!(verdict.error(&future), Some(ErrorKind::WrongVersion { server: 1, client: 7 }));
    assert_eq!(server.stats().refused(Refusal::WrongVersion), 1);
}

pub fn differing_schemas_are_told_apart<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server_with(|options| options.schema(0xabc));
    let options = stage.client_options();
    let other = options.clone().schema(0xdef);
    let refused = stage.refused(&mut server, || S::connect_with(&stage.address, &other));
    assert_eq!(kind_of(&refused), Some(&ErrorKind::SchemaMismatch { server: 0xabc, client: 0xdef }));
    drop(server);
    let mut server = stage.server_with(|options| options.schema(0xabc));
    let _ = stage.pair_with(&mut server, |options| options.schema(0xabc));
    let _ = stage.pair(&mut server);
}

pub fn a_full_server_says_busy_and_has_room_again<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server_with(|options| options.max_clients(2));
    let first = stage.pair(&mut server);
    let second = stage.pair(&mut server);
    let place = stage.place();
    let mut raw = Raw::<S::Transport>::let_in(&place, &mut server);
    raw.write(&raw.hello(Raw::<S::Transport>::terms()));
    accept_until(&mut server, |stats| stats.refused(Refusal::Busy) == 1, "a third");
    assert_eq!(raw.verdict().unwrap().error(&Raw::<S::Transport>::terms()), Some(ErrorKind::Busy));
    // Half of a connection still is one.
    let (sender, receiver) = S::split(first.1);
    drop(sender);
    let mut raw = Raw::<S::Transport>::let_in(&place, &mut server);
    raw.write(&raw.hello(Raw::<S::Transport>::terms()));
    accept_until(&mut server, |stats| stats.refused(Refusal::Busy) == 2, "a third");
    drop(receiver);
    let _third = stage.pair(&mut server);
    drop(second);
}

pub fn a_stopping_server_tells_those_in_the_handshake<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let place = stage.place();
    let mut half_open = Raw::<S::Transport>::knock(&place);
    accept_until(&mut server, |stats| stats.arrived == 1, "a silent one");
    let mut waiting = Raw::<S::Transport>::knock(&place);
    thread::scope(|scope| {
        scope.spawn(|| server.destroy_server().unwrap());
        for raw in [&mut half_open, &mut waiting] {
            assert_eq!(raw.verdict().unwrap().refusal, Some(Refusal::Stopping));
        }
    });
    assert_eq!(server.stats().refused(Refusal::Stopping), 2);
}
