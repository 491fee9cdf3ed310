//! Ends: goodbyes, deaths, drops, and what is left afterwards.

use std::{fs, os::fd::BorrowedFd, panic, thread, time::Duration};

use ipc_core::{
    Deadline, ErrorKind, IpcReceiver, IpcSender, IpcServer,
    frame::{FrameKind, frame, header},
};

use crate::{Raw, Stage, Subject, child::Actor, kind_of, stage::pattern};

pub fn disconnect_is_seen_after_the_last_message<S: Subject>() {
    let stage = Stage::<S>::new();
    let (mut client, mut served) = stage.pair(&mut stage.server());
    for i in 0..10 {
        client.send_info(&[i]).unwrap();
    }
    client.disconnect_from().unwrap();
    assert_eq!(kind_of(&client.send_info(b"late")), Some(&ErrorKind::Closed));
    for i in 0..10 {
        assert_eq!(served.recv_borrowed().unwrap(), Some(&[i][..]));
    }
    assert_eq!(served.recv_borrowed().unwrap(), None);
    served.send_info(b"the other direction lives").unwrap();
    assert_eq!(client.recv_borrowed().unwrap(), Some(&b"the other direction lives"[..]));
}

pub fn disconnect_twice_is_fine<S: Subject>() {
    let stage = Stage::<S>::new();
    let (mut client, mut served) = stage.pair(&mut stage.server());
    client.disconnect_from().unwrap();
    client.disconnect_from().unwrap();
    assert_eq!(served.recv_borrowed().unwrap(), None);
    drop(client);
    served.disconnect_from().unwrap();
    served.disconnect_from().unwrap();
}

pub fn what_could_not_leave_is_reported_and_leaves_later<S: Subject>() {
    let stage = Stage::<S>::new();
    let (mut client, mut served) = stage.pair(&mut stage.server());
    let big = pattern(2, 8 << 20);
    client.send_info_by(&big, Deadline::Within(Duration::from_millis(10))).unwrap();
    let left = client.disconnect_from_by(Deadline::Within(Duration::from_millis(10)));
    assert_eq!(kind_of(&left), Some(&ErrorKind::Undelivered { messages: 1 }));
    thread::scope(|scope| {
        scope.spawn(|| client.disconnect_from().unwrap());
        assert!(served.recv_borrowed().unwrap() == Some(&big[..]));
        assert_eq!(served.recv_borrowed().unwrap(), None);
    });
}

pub fn what_the_dead_did_not_take_is_told_once<S: Subject>() {
    let stage = Stage::<S>::new();
    let (mut client, served) = stage.pair(&mut stage.server());
    client.send_info_by(&pattern(1, 8 << 20), Deadline::Within(Duration::from_millis(10))).unwrap();
    S::abandon(served);
    let left = client.disconnect_from();
    assert_eq!(kind_of(&left), Some(&ErrorKind::Undelivered { messages: 1 }));
    client.disconnect_from().unwrap();
}

pub fn death_without_goodbye_is_peer_gone<S: Subject>() {
    let stage = Stage::<S>::new();
    let (mut client, mut served) = stage.pair(&mut stage.server());
    client.send_info(b"last words").unwrap();
    S::abandon(client);
    assert_eq!(served.recv_borrowed().unwrap(), Some(&b"last words"[..]));
    for _ in 0..2 {
        assert_eq!(kind_of(&served.recv_borrowed()), Some(&ErrorKind::PeerGone));
    }
    // A socket may take one message before it knows.
    let sent = (0..3).map(|_| served.send_info(b"x")).find_map(|sent| kind_of(&sent).cloned());
    assert_eq!(sent, Some(ErrorKind::PeerGone));
    served.disconnect_from().unwrap();
}

pub fn half_a_message_then_death_is_truncated<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let place = stage.place();
    for cut in [1, 7, 8, 9, 50, 107] {
        let mut served = thread::scope(|scope| {
            scope.spawn(|| {
                let mut raw = Raw::<S::Transport>::knock(&place);
                raw.shake();
                raw.write(&frame(FrameKind::Data, b"whole"));
                raw.write(&[&header(FrameKind::Data, 100)[..], &[1; 100]].concat()[..cut]);
            });
            server.accept_client().unwrap()
        });
        assert_eq!(served.recv_borrowed().unwrap(), Some(&b"whole"[..]));
        for _ in 0..2 {
            assert_eq!(
                kind_of(&served.recv_borrowed()),
                Some(&ErrorKind::Truncated),
                "cut after {cut} bytes"
            );
        }
    }
}

pub fn a_frame_out_of_place_ends_its_own_connection_only<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let (mut honest, mut other) = stage.pair(&mut server);
    let place = stage.place();
    let bad: [&[u8]; 4] = [
        &frame(FrameKind::Hello, b"again"),
        &frame(FrameKind::Ping, b""),
        &[0, 0, 0, 0, 77, 0, 0, 0],
        &[0, 0, 0, 0, 1, 1, 0, 0],
    ];
    for bytes in bad {
        let mut served = thread::scope(|scope| {
            scope.spawn(|| {
                let mut raw = Raw::<S::Transport>::knock(&place);
                raw.shake();
                raw.write(bytes);
                raw.read_frame();
            });
            let mut served = server.accept_client().unwrap();
            let got = served.recv_borrowed();
            assert!(matches!(kind_of(&got), Some(ErrorKind::Protocol { .. })), "{bytes:?}: {got:?}");
            drop(got);
            served.disconnect_from().unwrap();
            served
        });
        assert!(matches!(kind_of(&served.recv_borrowed()), Some(ErrorKind::Protocol { .. })));
    }
    honest.send_info(b"unharmed").unwrap();
    assert_eq!(other.recv_borrowed().unwrap(), Some(&b"unharmed"[..]));
}

pub fn drop_never_blocks_or_panics<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let (mut client, mut served) = stage.pair(&mut server);
    // A tail that cannot leave: no goodbye can be said, and none may be waited for.
    client.send_info_by(&pattern(1, 8 << 20), Deadline::Within(Duration::from_millis(10))).unwrap();
    drop(client);
    assert_eq!(kind_of(&served.recv_borrowed()), Some(&ErrorKind::Truncated));
    drop(served);
    let (client, served) = stage.pair(&mut server);
    drop(served);
    drop(client);
    let (client, mut served) = stage.pair(&mut server);
    drop(server);
    drop(client);
    assert_eq!(served.recv_borrowed().unwrap(), None, "a drop without a tail says goodbye");
}

pub fn a_panic_says_no_goodbye<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let (client, mut served) = stage.pair(&mut server);
    let panicked = panic::catch_unwind(panic::AssertUnwindSafe(move || {
        let _client = client;
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(kind_of(&served.recv_borrowed()), Some(&ErrorKind::PeerGone));
    // One half alone: the direction ends although the other half lives on.
    let (client, mut served) = stage.pair(&mut server);
    let (sender, mut receiver) = S::split(client);
    let panicked = panic::catch_unwind(panic::AssertUnwindSafe(move || {
        let _sender = sender;
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(kind_of(&served.recv_borrowed()), Some(&ErrorKind::PeerGone));
    served.send_info(b"the other half lives").unwrap();
    assert_eq!(receiver.recv_borrowed().unwrap(), Some(&b"the other half lives"[..]));
}

/// Counted in a process of its own, where no other test opens descriptors.
pub fn descriptors_do_not_leak_over_exec_or_close<S: Subject>() {
    let mut counter = Actor::start("count descriptors", &Stage::<S>::new(), None);
    assert!(counter.ended_well(), "see the other process's output");
}

pub(crate) fn count_descriptors<S: Subject>() {
    // Descriptors that are opened once for good, such as the randomness source, are there after the first round.
    let inherited = descriptors();
    one_of_everything::<S>(&inherited);
    let baseline = one_of_everything::<S>(&inherited);
    for _ in 0..20 {
        assert_eq!(one_of_everything::<S>(&inherited), baseline, "descriptors leak");
    }
    println!("begun");
}

/// Makes and ends connections in every way, and counts what is open afterwards.
fn one_of_everything<S: Subject>(inherited: &[i32]) -> usize {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let (client, served) = stage.pair(&mut server);
    assert_close_on_exec(inherited);
    drop((client, served));
    let (client, served) = stage.pair(&mut server);
    let ((sender, receiver), _) = (S::split(client), S::abandon(served));
    drop((receiver, sender));
    let silent = Raw::<S::Transport>::knock(&stage.place());
    assert_eq!(kind_of(&server.try_accept_client()), Some(&ErrorKind::WouldBlock));
    drop(silent);
    let refused = stage.server_options();
    assert!(S::new_server_with(&stage.address, &refused).is_err());
    server.destroy_server().unwrap();
    assert!(S::connect_with(&stage.address, &stage.client_options()).is_err());
    drop(server);
    drop(stage);
    descriptors().len()
}

fn descriptors() -> Vec<i32> {
    let listed = fs::read_dir("/proc/self/fd").unwrap();
    let all: Vec<i32> =
        listed.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    // Without the one that the listing itself has opened.
    all.into_iter().filter(|fd| fs::read_link(format!("/proc/self/fd/{fd}")).is_ok()).collect()
}

fn assert_close_on_exec(inherited: &[i32]) {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    for fd in descriptors().into_iter().filter(|fd| !inherited.contains(fd)) {
        // SAFETY: the descriptor was listed a moment ago, and nothing else runs in this process to close it.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let flags = FdFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFD).unwrap());
        assert!(flags.contains(FdFlag::FD_CLOEXEC), "{fd:?} would be inherited");
    }
}
