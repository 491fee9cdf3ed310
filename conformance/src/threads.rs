//! Several threads and several clients at once.

use std::{
    sync::{Barrier, mpsc},
    thread,
    time::Duration,
};

use ipc_core::{Deadline, ErrorKind, IpcConnection, IpcReceiver, IpcSender, IpcServer, StopHandle};

use crate::{
    Handler, Stage, Subject, kind_of,
    stage::{echo, pattern},
};

pub fn halves_work_from_two_threads<S: Subject>() {
    let stage = Stage::<S>::new();
    let (client, mut served) = stage.pair(&mut stage.server());
    let (mut sender, mut receiver) = S::split(client);
    thread::scope(|scope| {
        scope.spawn(move || {
            echo(&mut served).unwrap();
            // Dropping it would not wait for room to say goodbye in.
            served.disconnect_from().unwrap();
        });
        scope.spawn(move || {
            for i in 0..500 {
                sender.send_info(&pattern(i, i * 11)).unwrap();
            }
            sender.disconnect_from().unwrap();
        });
        let mut info = Vec::new();
        for i in 0..500 {
            assert!(receiver.recv_info(&mut info).unwrap());
            assert!(info == pattern(i, i * 11), "message {i}");
        }
        assert!(!receiver.recv_info(&mut info).unwrap());
    });
}

pub fn both_sides_can_flood_at_once_with_halves<S: Subject>() {
    let stage = Stage::<S>::new();
    let (client, served) = stage.pair(&mut stage.server());
    let begin = Barrier::new(4);
    thread::scope(|scope| {
        for connection in [client, served] {
            let (mut sender, mut receiver) = S::split(connection);
            let begin = &begin;
            scope.spawn(move || {
                begin.wait();
                for i in 0..200 {
                    sender.send_info(&pattern(i, 50_000)).unwrap();
                }
                sender.disconnect_from().unwrap();
            });
            scope.spawn(move || {
                begin.wait();
                let mut info = Vec::new();
                for i in 0..200 {
                    assert!(receiver.recv_info(&mut info).unwrap());
                    assert!(info == pattern(i, 50_000), "message {i}");
                }
                assert!(!receiver.recv_info(&mut info).unwrap());
            });
        }
    });
}

pub fn dropping_a_half_closes_its_direction_only<S: Subject>() {
    let stage = Stage::<S>::new();
    let (client, served) = stage.pair(&mut stage.server());
    let (sender, mut receiver) = S::split(client);
    let (mut far_sender, mut far_receiver) = S::split(served);
    drop(sender);
    assert_eq!(far_receiver.recv_borrowed().unwrap(), None);
    drop(far_receiver);
    far_sender.send_info(b"still open").unwrap();
    assert_eq!(receiver.recv_borrowed().unwrap(), Some(&b"still open"[..]));
    drop(receiver);
    let gone = (0..3).map(|_| far_sender.send_info(b"x")).find_map(|sent| kind_of(&sent).cloned());
    assert_eq!(gone, Some(ErrorKind::PeerGone));
}

/// An echo server in a thread; stopped when dropped.
struct Echoing(StopHandle, Option<thread::JoinHandle<ipc_core::Served>>);

impl Echoing {
    fn start<S: Subject>(mut server: S::Server) -> Self {
        let stop = server.stop_handle().unwrap();
        let serving =
            thread::spawn(move || S::serve(server, Duration::from_secs(3600), Handler::Echo).unwrap());
        Self(stop, Some(serving))
    }

    fn stop(mut self) -> ipc_core::Served {
        self.0.stop();
        self.1.take().unwrap().join().unwrap()
    }
}

pub fn one_slow_client_does_not_stall_another<S: Subject>() {
    let stage = Stage::<S>::new();
    let serving = Echoing::start::<S>(stage.server());
    let mut slow = stage.connect().unwrap();
    // It never reads: its echoes fill the way back, and then its own way is full.
    while slow.send_info_by(&[1; 10_000], Deadline::Within(Duration::from_millis(20))).is_ok() {}
    let mut quick = stage.connect().unwrap();
    for i in 0..100 {
        quick.send_info(&pattern(i, 1000)).unwrap();
        assert!(quick.recv_borrowed().unwrap() == Some(&pattern(i, 1000)[..]));
    }
    quick.disconnect_from().unwrap();
    drop((slow, quick));
    assert_eq!(serving.stop().abandoned, 0);
}

pub fn many_clients_each_get_their_own_answers<S: Subject>() {
    let stage = Stage::<S>::new();
    let serving = Echoing::start::<S>(stage.server());
    thread::scope(|scope| {
        for client in 0..24 {
            let stage = &stage;
            scope.spawn(move || {
                let mut server = stage.connect().unwrap();
                for i in 0..50 {
                    let info = pattern(client * 1000 + i, 10 + client * 100 + i);
                    server.send_info(&info).unwrap();
                    assert!(
                        server.recv_borrowed().unwrap() == Some(&info[..]),
                        "client {client} got another's answer"
                    );
                }
                server.disconnect_from().unwrap();
            });
        }
    });
    assert_eq!(serving.stop().clients, 24);
}

pub fn works_behind_dyn<S: Subject>() {
    let stage = Stage::<S>::new();
    let (client, served) = stage.pair(&mut stage.server());
    let mut client: Box<dyn IpcConnection> = Box::new(client);
    let mut served: Box<dyn IpcConnection> = Box::new(served);
    client.send_info(b"boxed").unwrap();
    assert_eq!(served.recv_borrowed().unwrap(), Some(&b"boxed"[..]));
    assert_eq!(served.peer().uid, client.peer().uid);
    let (mut sender, mut receiver) = served.split();
    sender.send_info(b"halves").unwrap();
    assert_eq!(client.recv_borrowed().unwrap(), Some(&b"halves"[..]));
    client.disconnect_from().unwrap();
    assert_eq!(receiver.recv_borrowed().unwrap(), None);
}

pub fn serve_drains_and_says_goodbye<S: Subject>() {
    let stage = Stage::<S>::new();
    let serving = Echoing::start::<S>(stage.server());
    let mut client = stage.connect().unwrap();
    client.send_info(b"before").unwrap();
    assert_eq!(client.recv_borrowed().unwrap(), Some(&b"before"[..]));
    let mut idle = stage.connect().unwrap();
    let big = pattern(1, 3 << 20);
    thread::scope(|scope| {
        // A message that is under way when the server stops is answered whole or not at all.
        scope.spawn(|| {
            let sent = client.send_info(&big);
            assert!(matches!(kind_of(&sent), None | Some(ErrorKind::PeerGone)), "{sent:?}");
            match client.recv_borrowed() {
                Ok(Some(answer)) => assert!(answer == big),
                Ok(None) => {}
                Err(error) => panic!("{error}"),
            }
        });
        let served = scope.spawn(|| serving.stop());
        assert_eq!(idle.recv_borrowed().unwrap(), None, "the idle one hears a goodbye");
        assert_eq!(served.join().unwrap().abandoned, 0);
    });
    assert!(matches!(kind_of(&stage.connect()), Some(ErrorKind::NoSuchServer { .. })));
}

pub fn a_drain_ends_though_a_handler_does_not<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let stop = server.stop_handle().unwrap();
    let (begun, has_begun) = mpsc::channel();
    let serving = thread::spawn(move || S::serve(server, Duration::from_millis(50), Handler::Endless(begun)));
    let _client = stage.connect().unwrap();
    has_begun.recv().unwrap();
    stop.stop();
    let served = serving.join().unwrap().unwrap();
    assert_eq!((served.clients, served.abandoned), (1, 1));
}

pub fn a_panicking_handler_ends_its_own_connection_only<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let stop = server.stop_handle().unwrap();
    let serving = thread::spawn(move || S::serve(server, Duration::from_secs(5), Handler::Fragile));
    let (mut doomed, mut other) = (stage.connect().unwrap(), stage.connect().unwrap());
    doomed.send_info(b"panic").unwrap();
    assert_eq!(kind_of(&doomed.recv_borrowed()), Some(&ErrorKind::PeerGone));
    other.send_info(b"unharmed").unwrap();
    assert_eq!(other.recv_borrowed().unwrap(), Some(&b"unharmed"[..]));
    stop.stop();
    assert_eq!(serving.join().unwrap().unwrap().abandoned, 0);
}
