//! Waiting: never when not allowed, never less than allowed, and until something ends it.

use std::{
    os::fd::AsFd,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use ipc_core::{
    ConnectOptions, Deadline, ErrorKind, IpcConnection, IpcReceiver, IpcSender, IpcServer, Result,
    StopHandle,
    frame::{FrameKind, header},
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{pthread, signal},
};

use crate::{
    Raw, Stage, Subject, kind_of,
    stage::{echo, fill, pattern},
};

pub fn silence_would_block<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    assert_eq!(kind_of(&server.try_accept_client()), Some(&ErrorKind::WouldBlock));
    let (mut client, mut served) = stage.pair(&mut server);
    for connection in [&mut client, &mut served] {
        let mut info = vec![1];
        assert_eq!(kind_of(&connection.try_recv_info(&mut info)), Some(&ErrorKind::WouldBlock));
        assert_eq!(info, [1], "a failed receive leaves the buffer as it was");
    }
    assert_eq!(kind_of(&server.try_accept_client()), Some(&ErrorKind::WouldBlock));
}

pub fn deadline_is_kept_and_not_early<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let (mut client, _served) = stage.pair(&mut server);
    let span = Duration::from_millis(30);
    // A road that is full may find some more room as time goes by: TCP does.
    let timed = |what: &str, call: &mut dyn FnMut() -> Option<ErrorKind>| loop {
        let began = Instant::now();
        let ended = call();
        if ended.is_some() {
            assert_eq!(ended, Some(ErrorKind::TimedOut), "{what}");
            assert!(began.elapsed() >= span, "{what} gave up early");
            break;
        }
    };
    timed("accept", &mut || kind_of(&server.accept_client_by(span.into())).cloned());
    timed("receive", &mut || kind_of(&client.recv_borrowed_by(Deadline::Within(span))).cloned());
    client.set_recv_deadline(span.into());
    timed("receive with the deadline set", &mut || kind_of(&client.recv_info(&mut Vec::new())).cloned());
    fill(&mut client);
    timed("send", &mut || {
        kind_of(&client.send_info_by(b"x", Instant::now().checked_add(span).unwrap().into())).cloned()
    });
    timed("flush or send", &mut || {
        client.set_send_deadline(span.into());
        kind_of(&client.send_info(b"x")).cloned()
    });
}

/// Silent: it never accepts. Behind 130 others, which are more than the in-process backlog holds; what fills a
/// kernel's backlog is tested with the transport.
pub fn connect_deadline_covers_a_full_backlog_and_a_silent_server<S: Subject>() {
    let stage = Stage::<S>::new();
    let _silent = stage.server();
    let place = stage.place();
    let span = Duration::from_millis(60);
    let _waiting: Vec<_> = (0..130).map_while(|_| Raw::<S::Transport>::try_knock(&place)).collect();
    let began = Instant::now();
    let connected = S::connect_with(&stage.address, &stage.client_options().deadline(span));
    assert_eq!(kind_of(&connected), Some(&ErrorKind::TimedOut));
    assert!(began.elapsed() >= span);
}

/// A peer that always has one more byte must not hold a call past its deadline.
pub fn a_deadline_holds_against_a_peer_that_dribbles<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let place = stage.place();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut raw = Raw::<S::Transport>::knock(&place);
            raw.shake();
            raw.write(&header(FrameKind::Data, 16 << 20));
            // More than the message would take: only the deadline or the end of the test ends this.
            while !done.load(Ordering::Relaxed) {
                raw.write(b"x");
            }
        });
        let mut served = server.accept_client().unwrap();
        let got = kind_of(&served.recv_borrowed_by(Deadline::Within(Duration::from_millis(50)))).cloned();
        done.store(true, Ordering::Relaxed);
        assert_eq!(got, Some(ErrorKind::TimedOut));
    });
}

pub fn a_stop_handle_ends_every_wait<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let (mut receiving, _other) = stage.pair(&mut server);
    let (mut sending, _full) = stage.pair(&mut server);
    fill(&mut sending);
    let stop = StopHandle::new().unwrap();
    server.stop_with(&stop);
    IpcConnection::stop_with(&mut receiving, &stop);
    IpcConnection::stop_with(&mut sending, &stop);
    thread::scope(|scope| {
        let waits = [
            scope.spawn(|| kind_of(&server.accept_client()).cloned()),
            scope.spawn(|| kind_of(&receiving.recv_info(&mut Vec::new())).cloned()),
            scope.spawn(|| until_it_fails(|| sending.send_info(b"x"))),
        ];
        stop.stop();
        for wait in waits {
            assert_eq!(wait.join().unwrap(), Some(ErrorKind::Stopped));
        }
    });
    assert!(stop.is_stopped());
    assert_eq!(kind_of(&server.accept_client()), Some(&ErrorKind::Stopped), "and every later one");
    assert_eq!(
        kind_of(&server.try_accept_client()),
        Some(&ErrorKind::WouldBlock),
        "what does not wait is not ended"
    );
    receiving.disconnect_from().unwrap();
}

extern "C" fn nothing(_: nix::libc::c_int) {}

pub fn signals_do_not_break_waits<S: Subject>() {
    let action = signal::SigAction::new(
        signal::SigHandler::Handler(nothing),
        signal::SaFlags::empty(),
        signal::SigSet::empty(),
    );
    // SAFETY: the handler does nothing, so it is safe to run at any moment; no one else here uses SIGUSR1.
    unsafe { signal::sigaction(signal::Signal::SIGUSR1, &action) }.unwrap();
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let (target, over) = (pthread::pthread_self(), AtomicBool::new(false));
    thread::scope(|scope| {
        // Not before the storm has begun: each wait below is interrupted many times.
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                pthread::pthread_kill(target, signal::Signal::SIGUSR1).unwrap();
                thread::park_timeout(Duration::from_micros(500));
            }
        });
        let other = scope.spawn(|| {
            thread::park_timeout(Duration::from_millis(20));
            let mut client = stage.connect().unwrap();
            echo(&mut client).unwrap();
        });
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut served = server.accept_client().unwrap();
            let info = pattern(3, 4 << 20);
            for _ in 0..5 {
                served.send_info(&info).unwrap();
                assert!(served.recv_borrowed().unwrap() == Some(&info[..]));
            }
            let short = served.recv_info_by(&mut Vec::new(), Deadline::Within(Duration::from_millis(20)));
            assert_eq!(kind_of(&short), Some(&ErrorKind::TimedOut));
            served.disconnect_from().unwrap();
        }));
        over.store(true, Ordering::Relaxed);
        other.join().unwrap();
        ended.unwrap();
    });
}

/// Edge-triggered use, as documented: try until it would block, then wait for the descriptor.
pub fn readiness_shows_on_the_descriptor<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    assert_eq!(kind_of(&server.try_accept_client()), Some(&ErrorKind::WouldBlock));
    assert!(!server_is_ready::<S>(&server, 0));
    let options: ConnectOptions = stage.client_options();
    let (mut client, mut served) = thread::scope(|scope| {
        let client = scope.spawn(|| S::connect_with(&stage.address, &options).unwrap());
        let served = loop {
            match server.try_accept_client() {
                Ok(served) => break served,
                Err(error) => assert_eq!(*error.kind(), ErrorKind::WouldBlock),
            }
            while !server_is_ready::<S>(&server, 100) {}
        };
        (client.join().unwrap(), served)
    });
    assert_eq!(kind_of(&served.try_recv_info(&mut Vec::new())), Some(&ErrorKind::WouldBlock));
    assert!(!is_ready(&served, 0));
    client.send_info(b"one").unwrap();
    client.send_info(b"two").unwrap();
    while !is_ready(&served, 100) {}
    assert_eq!(served.recv_borrowed_by(Deadline::Now).unwrap(), Some(&b"one"[..]));
    assert_eq!(served.recv_borrowed_by(Deadline::Now).unwrap(), Some(&b"two"[..]));
    assert!(!served.has_buffered());
}

fn is_ready(on: &dyn AsFd, time: u8) -> bool {
    let mut fds = [PollFd::new(on.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::from(time)) {
        Err(Errno::EINTR) => false,
        polled => polled.unwrap() > 0,
    }
}

/// Where a server has no one descriptor, it is only asked.
fn server_is_ready<S: Subject>(server: &S::Server, time: u8) -> bool {
    S::descriptor(server).map_or(time > 0, |fd| is_ready(&fd, time))
}

pub fn a_peer_that_stalls_is_given_up<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server_with(|options| options.stalled_after(Duration::from_millis(50)));
    let (client, mut served) = stage.pair(&mut server);
    let silence = served.recv_borrowed_by(Deadline::Within(Duration::from_millis(200))).map(|_| ());
    assert_eq!(kind_of(&silence), Some(&ErrorKind::TimedOut), "silence between messages is no stall");
    fill(&mut served);
    assert_eq!(until_it_fails(|| served.send_info(&pattern(1, 5000))), Some(ErrorKind::Stalled));
    assert_eq!(
        kind_of(&served.try_send_info(b"more")),
        Some(&ErrorKind::Stalled),
        "and that is the end of it"
    );
    drop((client, served));

    let place = stage.place();
    let (mut half, mut served) = thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut raw = Raw::<S::Transport>::knock(&place);
            raw.shake();
            raw
        });
        let served = server.accept_client().unwrap();
        (client.join().unwrap(), served)
    });
    half.write(&header(FrameKind::Data, 100));
    half.write(b"the first part");
    assert_eq!(kind_of(&served.recv_borrowed()), Some(&ErrorKind::Stalled));
    half.write(&[0; 86]);
    assert_eq!(kind_of(&served.recv_borrowed()), Some(&ErrorKind::Stalled), "and that is the end of it");
}

/// How a send fails at last: a road that is full may find some more room as time goes by.
fn until_it_fails(mut send: impl FnMut() -> Result<()>) -> Option<ErrorKind> {
    loop {
        if let Err(error) = send() {
            return Some(error.kind().clone());
        }
    }
}

pub fn a_watched_peer_is_heard_to_its_last_word<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server_with(|options| options.watch_peer(true));
    let (mut client, mut served) = stage.pair_with(&mut server, |options| options.watch_peer(true));
    thread::scope(|scope| {
        scope.spawn(move || echo(&mut served).unwrap());
        for size in [0, 100, 100_000, 3_000_000] {
            let info = pattern(size, size);
            client.send_info(&info).unwrap();
            let mut echoed = Vec::new();
            assert!(client.recv_info(&mut echoed).unwrap());
            assert_eq!(echoed, info);
        }
        client.disconnect_from().unwrap();
        assert_eq!(client.recv_borrowed().unwrap(), None);
    });
}
