//! Many clients served from few threads.

use std::{
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

use ipc_core::{
    Connection, Deadline, ErrorKind, EventHandler, EventOptions, IpcConnection, IpcReceiver, IpcSender,
    IpcServer, Left, Mailbox, Reply, Result, Served, Server, StopHandle, Transport, WhenFull,
    frame::{FrameKind, header},
    serve_events,
};
use nix::unistd::geteuid;

use crate::{Raw, Stage, kind_of, stage::pattern};

/// A server in a thread; stopped when dropped.
struct Serving(StopHandle, Option<thread::JoinHandle<Result<Served>>>);

impl Serving {
    fn start<T: Transport>(mut server: Server<T>, options: EventOptions, handler: impl EventHandler) -> Self {
        let stop = server.stop_handle().unwrap();
        Self(stop, Some(thread::spawn(move || serve_events(server, options, handler))))
    }

    fn stop(mut self) -> Served {
        self.0.stop();
        self.1.take().unwrap().join().unwrap().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn patient() -> EventOptions {
    EventOptions::new().drain(Duration::from_secs(3600))
}

fn echo(info: &[u8], reply: &mut Reply<'_>) -> Result<()> {
    reply.send(info)
}

/// Echoes, and tells who has come and why they have left. What it is told to do comes as a message.
struct Telling {
    come: Mutex<Sender<Mailbox>>,
    left: Mutex<Sender<String>>,
    /// Where a handler is held.
    hold: Arc<Barrier>,
}

impl Telling {
    fn new() -> (Self, Receiver<Mailbox>, Receiver<String>) {
        let ((come, who), (left, why)) = (mpsc::channel(), mpsc::channel());
        let hold = Arc::new(Barrier::new(2));
        (Self { come: Mutex::new(come), left: Mutex::new(left), hold }, who, why)
    }
}

impl EventHandler for Telling {
    type Client = ();

    fn joined(&self, reply: &mut Reply<'_>) -> Result<()> {
        let _ = self.come.lock().unwrap().send(reply.mailbox().clone());
        Ok(())
    }

    fn message(&self, (): &mut (), info: &[u8], reply: &mut Reply<'_>) -> Result<()> {
        match info {
            b"send me away" => {
                reply.send_away();
                reply.mailbox().send(b"and by mail")?;
            }
            b"fail" => return Err(ErrorKind::NoSpace.into()),
            b"hold" => {
                self.come.lock().unwrap().send(reply.mailbox().clone()).unwrap();
                self.hold.wait();
                return Ok(());
            }
            b"last words" => return Ok(()),
            b"panic" => panic!("on purpose"),
            _ => {}
        }
        reply.send(info)
    }

    fn left(&self, (): (), why: Left) {
        let said = match why {
            Left::Failed(error) => format!("{:?}", error.kind()),
            why => format!("{why:?}"),
        };
        let _ = self.left.lock().unwrap().send(said);
    }
}

fn trip<T: Transport>(client: &mut Connection<T>, info: &[u8]) {
    client.send_info(info).unwrap();
    assert!(client.recv_borrowed().unwrap() == Some(info));
}

pub fn few_threads_answer_each_client_its_own<T: Transport>() {
    for options in [patient(), patient().threads(3), patient().threads(2).workers(3)] {
        let stage = Stage::<T>::new();
        let serving = Serving::start(stage.server(), options, echo);
        thread::scope(|scope| {
            for client in 0..12 {
                let stage = &stage;
                scope.spawn(move || {
                    let mut server = stage.connect().unwrap();
                    for i in 0..50 {
                        trip(&mut server, &pattern(client * 1000 + i, 10 + client * 100 + i));
                    }
                    server.disconnect_from().unwrap();
                    assert_eq!(server.recv_borrowed().unwrap(), None, "its goodbye is answered");
                });
            }
        });
        let served = serving.stop();
        assert_eq!((served.clients, served.abandoned), (12, 0));
    }
}

/// What lies in the connection already is heard without a descriptor's word: small, large and in one go.
pub fn messages_that_come_together_are_all_answered<T: Transport>() {
    for options in [patient(), patient().workers(1)] {
        let stage = Stage::<T>::new();
        let _serving = Serving::start(stage.server(), options.queue(1 << 20), echo);
        let (mut sender, mut receiver) = stage.connect().unwrap().split();
        let sizes = || (0..600).map(|i| if i % 97 == 0 { 70_000 } else { i % 50 });
        thread::scope(|scope| {
            scope.spawn(|| {
                for (i, size) in sizes().enumerate() {
                    sender.feed_info(&pattern(i, size)).unwrap();
                }
                sender.disconnect_from().unwrap();
            });
            for (i, size) in sizes().enumerate() {
                assert!(receiver.recv_borrowed().unwrap() == Some(&pattern(i, size)[..]), "message {i}");
            }
            assert_eq!(receiver.recv_borrowed().unwrap(), None);
        });
    }
}

/// It has sent what takes many turns, and sends once more in the middle of that: its descriptor tells of this when it is
/// in line for another turn anyway.
pub fn what_comes_between_two_turns_of_a_client_is_heard<T: Transport>() {
    const HALF: usize = 200;
    for options in [patient(), patient().workers(1)] {
        let stage = Stage::<T>::new();
        let (telling, come, _left) = Telling::new();
        let hold = telling.hold.clone();
        let _serving = Serving::start(stage.server(), options, telling);
        let mut client = stage.connect().unwrap();
        (0..HALF).for_each(|_| client.feed_info(b"").unwrap());
        client.feed_info(b"hold").unwrap();
        (0..HALF).for_each(|_| client.feed_info(b"").unwrap());
        client.flush_info().unwrap();
        // The one who has come, and its message that holds the handler.
        (0..2).for_each(|_| drop(come.recv().unwrap()));
        client.send_info(b"one more").unwrap();
        hold.wait();
        (0..2 * HALF).for_each(|_| assert_eq!(client.recv_borrowed().unwrap(), Some(&b""[..])));
        assert_eq!(client.recv_borrowed().unwrap(), Some(&b"one more"[..]));
    }
}

pub fn one_that_dribbles_is_heard_and_delays_nobody<T: Transport>() {
    let stage = Stage::<T>::new();
    let server = stage.server();
    let place = stage.place();
    let serving = Serving::start(server, patient(), echo);
    let mut slow = Raw::<T>::knock(&place);
    slow.shake();
    let mut quick = stage.connect().unwrap();
    for byte in header(FrameKind::Data, 3).into_iter().chain(*b"abc") {
        slow.write(&[byte]);
        trip(&mut quick, &[byte; 100]);
    }
    assert_eq!(slow.read_frame(), Some((FrameKind::Data, b"abc".to_vec())));
    drop((slow, quick));
    assert_eq!(serving.stop().clients, 2);
}

/// It never reads: its answers fill its queue, and then nothing is received from it until it reads.
pub fn a_client_that_does_not_read_fills_its_own_queue_only<T: Transport>() {
    const QUEUE: usize = 100_000;
    const SIZE: usize = 10_000;
    let stage = Stage::<T>::new();
    let most = Arc::new(AtomicUsize::new(0));
    let (seen, handler) = (most.clone(), move |info: &[u8], reply: &mut Reply<'_>| {
        reply.send(info)?;
        most.fetch_max(reply.queued(), SeqCst);
        Ok(())
    });
    let _serving = Serving::start(stage.server(), patient().queue(QUEUE), handler);
    let mut slow = stage.connect().unwrap();
    let mut sent = 0;
    let brief = || Deadline::Within(Duration::from_millis(200));
    while slow.send_info_by(&pattern(sent, SIZE), brief()).is_ok() {
        sent += 1;
        assert!(sent < 10_000, "it is received from without end");
    }
    let mut quick = stage.connect().unwrap();
    (0..100).for_each(|i| trip(&mut quick, &pattern(i, 1000)));
    let most = seen.load(SeqCst);
    assert!((QUEUE..QUEUE + SIZE + 100).contains(&most), "its queue held {most}");
    for i in 0..sent {
        assert!(slow.recv_borrowed().unwrap() == Some(&pattern(i, SIZE)[..]), "answer {i} of {sent}");
    }
    trip(&mut slow, b"and on it goes");
}

/// Each message is answered with many: those that find no room are refused, and the handler is told.
pub fn answers_beyond_a_full_queue_are_refused<T: Transport>() {
    let stage = Stage::<T>::new();
    let (tell, told) = mpsc::channel();
    let handler = move |info: &[u8], reply: &mut Reply<'_>| {
        let sent = (0..10_000).map(|_| reply.send(info)).find(|sent| sent.is_err());
        tell.send((sent.map(|sent| kind_of(&sent).cloned()), reply.queued())).unwrap();
        Ok(())
    };
    let _serving = Serving::start(stage.server(), patient().queue(50_000), handler);
    let mut client = stage.connect().unwrap();
    client.send_info(&[1; 1000]).unwrap();
    let (refused, queued) = told.recv().unwrap();
    assert_eq!(refused, Some(Some(ErrorKind::WouldBlock)));
    assert!((50_000..52_000).contains(&queued), "{queued}");
}

/// The loop is held until a flood and one polite message have come: that message is not the last to be handled.
pub fn a_flood_takes_bounded_turns<T: Transport>() {
    let stage = Stage::<T>::new();
    let (go, wait) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let (wait, handled) = (Mutex::new(wait), AtomicUsize::new(0));
    let handler = move |info: &[u8], reply: &mut Reply<'_>| match info {
        b"here" => reply.send(info),
        b"hold" => {
            reply.send(b"held")?;
            tell.send(0).unwrap();
            let _ = wait.lock().unwrap().recv();
            Ok(())
        }
        b"polite" => {
            tell.send(handled.load(SeqCst)).unwrap();
            Ok(())
        }
        _ => {
            handled.fetch_add(1, SeqCst);
            Ok(())
        }
    };
    let _serving = Serving::start(stage.server(), patient(), handler);
    let (mut holds, mut floods) = (stage.connect().unwrap(), stage.connect().unwrap());
    let mut polite = stage.connect().unwrap();
    // The loop has them all before it is held up.
    for client in [&mut floods, &mut polite] {
        client.send_info(b"here").unwrap();
        assert_eq!(client.recv_borrowed().unwrap(), Some(&b"here"[..]));
    }
    holds.send_info(b"hold").unwrap();
    told.recv().unwrap();
    let flood = 1000;
    (0..flood).for_each(|_| floods.feed_info(b"").unwrap());
    floods.flush_info().unwrap();
    polite.send_info(b"polite").unwrap();
    drop(go);
    let before = told.recv().unwrap();
    assert!(before < flood / 2, "{before} of {flood} messages of the flood came first");
}

pub fn a_mailbox_reaches_its_client_from_any_thread<T: Transport>() {
    let stage = Stage::<T>::new();
    let (telling, come, _left) = Telling::new();
    let serving = Serving::start(stage.server(), patient().queue(100_000), telling);
    let (mut client, mut other) = (stage.connect().unwrap(), stage.connect().unwrap());
    let (mailbox, others) = (come.recv().unwrap(), come.recv().unwrap());
    assert!(mailbox == mailbox.clone() && mailbox != others);
    for i in 0..300 {
        mailbox.send(&pattern(i, i)).unwrap();
        assert!(client.recv_borrowed().unwrap() == Some(&pattern(i, i)[..]), "push {i}");
    }
    let (mut pushed, mut refused) = (0, 0);
    while refused < 2 {
        let sent = mailbox.send(&pattern(pushed, 1000));
        if sent.is_ok() {
            (pushed, refused) = (pushed + 1, 0);
            assert!(pushed < 10_000, "pushes are taken without end");
        } else {
            assert_eq!(kind_of(&sent), Some(&ErrorKind::WouldBlock));
            refused += 1;
            // Answered, what was pushed before is on its way.
            trip(&mut other, b"meanwhile");
        }
    }
    others.send(b"not for the other").unwrap();
    assert_eq!(other.recv_borrowed().unwrap(), Some(&b"not for the other"[..]));
    for i in 0..pushed {
        assert!(client.recv_borrowed().unwrap() == Some(&pattern(i, 1000)[..]), "push {i} of {pushed}");
    }
    trip(&mut client, b"all of it has been received");
    mailbox.send(b"room again").unwrap();
    assert_eq!(client.recv_borrowed().unwrap(), Some(&b"room again"[..]));
    let too_large = vec![0; (16 << 20) + 1];
    assert!(matches!(kind_of(&mailbox.send(&too_large)), Some(ErrorKind::TooLarge { .. })));
    others.send_away();
    assert_eq!(other.recv_borrowed().unwrap(), None);
    assert_eq!(kind_of(&others.send(b"")), Some(&ErrorKind::PeerGone));
    assert_eq!(serving.stop().abandoned, 0);
    assert!(!mailbox.is_open());
}

pub fn one_that_cannot_keep_up_is_cut_off_if_so_chosen<T: Transport>() {
    let stage = Stage::<T>::new();
    let (telling, come, left) = Telling::new();
    let options = patient().queue(50_000).when_full(WhenFull::CutOff);
    let _serving = Serving::start(stage.server(), options, telling);
    let mut slow = stage.connect().unwrap();
    let mailbox = come.recv().unwrap();
    while mailbox.send(&[1; 1000]).is_ok() {}
    assert_eq!(left.recv().unwrap(), "CutOff");
    assert_eq!(kind_of(&mailbox.send(b"")), Some(&ErrorKind::PeerGone));
    let ended = loop {
        match slow.recv_borrowed() {
            Ok(Some(info)) => assert_eq!(info, [1; 1000]),
            ended => break ended.map(|_| ()),
        }
    };
    let kind = kind_of(&ended);
    // What had been accepted before may all have left by then.
    assert!(matches!(kind, None | Some(ErrorKind::PeerGone | ErrorKind::Truncated)), "{ended:?}");
}

pub fn the_handler_learns_why_a_client_has_left<T: Transport>() {
    let stage = Stage::<T>::new();
    let (telling, _come, left) = Telling::new();
    let server = stage.server();
    let place = stage.place();
    let serving = Serving::start(server, patient(), telling);
    let mut client = stage.connect().unwrap();
    client.disconnect_from().unwrap();
    assert_eq!(left.recv().unwrap(), "Goodbye");
    let mut client = stage.connect().unwrap();
    trip(&mut client, b"send me away");
    assert_eq!(client.recv_borrowed().unwrap(), Some(&b"and by mail"[..]));
    assert_eq!((client.recv_borrowed().unwrap(), left.recv().unwrap()), (None, "SentAway".into()));
    let mut client = stage.connect().unwrap();
    client.send_info(b"fail").unwrap();
    assert_eq!((client.recv_borrowed().unwrap(), left.recv().unwrap()), (None, "NoSpace".into()));
    stage.connect().unwrap().abandon();
    assert_eq!(left.recv().unwrap(), "PeerGone");
    let mut half = Raw::<T>::knock(&place);
    half.shake();
    half.write(&header(FrameKind::Data, 100));
    half.write(b"the first part");
    drop(half);
    assert_eq!(left.recv().unwrap(), "Truncated");
    let mut client = stage.connect().unwrap();
    trip(&mut client, b"still here");
    serving.stop();
    assert_eq!((client.recv_borrowed().unwrap(), left.recv().unwrap()), (None, "Stopping".into()));
}

/// Lets nobody stay.
struct Closed;

impl EventHandler for Closed {
    type Client = ();

    fn joined(&self, reply: &mut Reply<'_>) -> Result<()> {
        reply.send(b"not today")?;
        reply.mailbox().send(b"come tomorrow")?;
        Err(ErrorKind::Busy.into())
    }

    fn message(&self, (): &mut (), _: &[u8], _: &mut Reply<'_>) -> Result<()> {
        unreachable!("nobody has joined")
    }
}

pub fn one_who_may_not_stay_receives_what_it_was_told<T: Transport>() {
    for options in [patient(), patient().workers(1)] {
        let stage = Stage::<T>::new();
        let _serving = Serving::start(stage.server(), options, Closed);
        let mut client = stage.connect().unwrap();
        for said in [&b"not today"[..], b"come tomorrow"] {
            assert_eq!(client.recv_borrowed().unwrap(), Some(said));
        }
        assert_eq!(client.recv_borrowed().unwrap(), None);
    }
}

pub fn a_panicking_event_handler_ends_its_own_connection_only<T: Transport>() {
    for options in [patient(), patient().workers(1)] {
        let stage = Stage::<T>::new();
        let (telling, come, _left) = Telling::new();
        let serving = Serving::start(stage.server(), options, telling);
        let mut doomed = stage.connect().unwrap();
        let mailbox = come.recv().unwrap();
        let mut other = stage.connect().unwrap();
        doomed.send_info(b"panic").unwrap();
        assert_eq!(kind_of(&doomed.recv_borrowed()), Some(&ErrorKind::PeerGone));
        assert_eq!(kind_of(&mailbox.send(b"")), Some(&ErrorKind::PeerGone));
        trip(&mut other, b"unharmed");
        assert_eq!(serving.stop().abandoned, 0);
    }
}

/// What had been sent before the stop is handled, what is due leaves, and then the goodbye.
pub fn serve_events_drains_and_says_goodbye<T: Transport>() {
    for options in [patient(), patient().workers(2)] {
        let stage = Stage::<T>::new();
        let ((held, hold), (begun, has_begun)) = (mpsc::channel::<()>(), mpsc::channel());
        let hold = Mutex::new(hold);
        let handler = move |info: &[u8], reply: &mut Reply<'_>| {
            if info == b"hold" {
                begun.send(()).unwrap();
                let _ = hold.lock().unwrap().recv();
            }
            reply.send(info)
        };
        let serving = Serving::start(stage.server(), options, handler);
        let (mut client, mut idle) = (stage.connect().unwrap(), stage.connect().unwrap());
        trip(&mut client, b"here");
        client.send_info(b"hold").unwrap();
        has_begun.recv().unwrap();
        (0..50).for_each(|i| client.feed_info(&pattern(i, 20)).unwrap());
        client.flush_info().unwrap();
        thread::scope(|scope| {
            let served = scope.spawn(|| serving.stop());
            // The name is free before clients are drained.
            while stage.connect().is_ok() {}
            drop(held);
            assert_eq!(client.recv_borrowed().unwrap(), Some(&b"hold"[..]));
            for i in 0..50 {
                assert!(client.recv_borrowed().unwrap() == Some(&pattern(i, 20)[..]), "message {i}");
            }
            assert_eq!(client.recv_borrowed().unwrap(), None);
            assert_eq!(idle.recv_borrowed().unwrap(), None);
            assert_eq!(served.join().unwrap().abandoned, 0);
        });
    }
}

/// It is slow to receive its answers: what it had sent before the stop is handled all the same, as there is room.
pub fn a_full_queue_is_no_reason_to_drop_what_was_sent_before_the_stop<T: Transport>() {
    const MOST: usize = 300;
    const SIZE: usize = 60_000;
    for options in [patient(), patient().workers(1)] {
        let stage = Stage::<T>::new();
        let handler = |_: &[u8], reply: &mut Reply<'_>| reply.send(&[7; SIZE]);
        let serving = Serving::start(stage.server(), options.queue(50_000), handler);
        let (mut slow, mut idle) = (stage.connect().unwrap(), stage.connect().unwrap());
        let brief = || Deadline::Within(Duration::from_millis(50));
        let sent = (0..MOST).take_while(|_| slow.send_info_by(b"", brief()).is_ok()).count();
        thread::scope(|scope| {
            let served = scope.spawn(|| serving.stop());
            assert_eq!(idle.recv_borrowed().unwrap(), None, "the drain has reached both");
            for i in 0..sent {
                assert!(slow.recv_borrowed().unwrap() == Some(&[7; SIZE][..]), "answer {i} of {sent}");
            }
            assert_eq!(slow.recv_borrowed().unwrap(), None);
            assert_eq!(served.join().unwrap().abandoned, 0);
        });
    }
}

pub fn a_drain_of_events_ends_though_a_client_or_a_handler_does_not<T: Transport>() {
    let stage = Stage::<T>::new();
    let (begun, has_begun) = mpsc::channel();
    let (_never, forever) = mpsc::channel::<()>();
    let forever = Mutex::new(forever);
    let handler = move |info: &[u8], reply: &mut Reply<'_>| {
        if info == b"hold" {
            begun.send(()).unwrap();
            let _ = forever.lock().unwrap().recv();
        }
        reply.send(info)
    };
    let options = EventOptions::new().drain(Duration::from_millis(50)).workers(2);
    let serving = Serving::start(stage.server(), options, handler);
    let (mut holds, mut deaf) = (stage.connect().unwrap(), stage.connect().unwrap());
    while deaf.send_info_by(&[1; 10_000], Deadline::Within(Duration::from_millis(20))).is_ok() {}
    holds.send_info(b"hold").unwrap();
    has_begun.recv().unwrap();
    let served = serving.stop();
    assert_eq!((served.clients, served.abandoned), (2, 1));
}

/// While one client's handler blocks, others are served; its own messages wait for it, in order.
pub fn workers_may_block<T: Transport>() {
    let stage = Stage::<T>::new();
    let (release, wait) = mpsc::channel::<()>();
    let (wait, inside) = (Mutex::new(wait), AtomicUsize::new(0));
    let handler = move |info: &[u8], reply: &mut Reply<'_>| {
        if info.starts_with(b"slow") {
            assert_eq!(inside.fetch_add(1, SeqCst), 0, "one at a time");
            reply.send(b"begun")?;
            let _ = wait.lock().unwrap().recv();
            inside.fetch_sub(1, SeqCst);
        }
        reply.send(info)
    };
    let serving = Serving::start(stage.server(), patient().workers(2), handler);
    let (mut slow, mut quick) = (stage.connect().unwrap(), stage.connect().unwrap());
    let slow_ones = [&b"slow 1"[..], b"slow 2", b"slow 3"];
    for info in slow_ones {
        slow.feed_info(info).unwrap();
    }
    slow.flush_info().unwrap();
    for info in slow_ones {
        assert_eq!(slow.recv_borrowed().unwrap(), Some(&b"begun"[..]), "an answer leaves before the next");
        trip(&mut quick, b"meanwhile");
        release.send(()).unwrap();
        assert_eq!(slow.recv_borrowed().unwrap(), Some(info));
    }
    assert_eq!(serving.stop().abandoned, 0);
}

pub fn one_that_stalls_is_given_up_by_a_loop<T: Transport>() {
    let stage = Stage::<T>::new();
    let (telling, come, left) = Telling::new();
    let server = stage.server_with(|options| options.stalled_after(Duration::from_millis(50)));
    let place = stage.place();
    let _serving = Serving::start(server, patient(), telling);
    let mut silent = stage.connect().unwrap();
    let mut half = Raw::<T>::knock(&place);
    half.shake();
    half.write(&header(FrameKind::Data, 100));
    half.write(b"the first part");
    assert_eq!(left.recv().unwrap(), "Stalled", "in the middle of a message");
    trip(&mut silent, b"silence between messages is no stall");
    let _deaf = stage.connect().unwrap();
    let mailbox = come.iter().nth(2).unwrap();
    let why = loop {
        let _ = mailbox.send(&[0; 1000]);
        if let Ok(why) = left.try_recv() {
            break why;
        }
    };
    assert_eq!(why, "Stalled", "takes nothing");
    trip(&mut silent, b"and harms nobody");
}

/// Its loop keeps nothing of it, and says so when it ends.
pub fn one_that_is_gone_is_waited_for_no_more_by_a_loop<T: Transport>() {
    let stage = Stage::<T>::new();
    let (telling, _come, left) = Telling::new();
    let server = stage.server_with(|options| options.stalled_after(Duration::from_secs(3600)));
    let place = stage.place();
    let serving = Serving::start(server, patient(), telling);
    let mut honest = stage.connect().unwrap();
    for _ in 0..10 {
        let mut half = Raw::<T>::knock(&place);
        half.shake();
        half.write(&header(FrameKind::Data, 100));
        half.write(b"the first part");
        trip(&mut honest, b"by now it has come");
        drop(half);
        assert_eq!(left.recv().unwrap(), "Truncated");
    }
    drop(honest);
    assert_eq!(left.recv().unwrap(), "Goodbye");
    assert_eq!(serving.stop().clients, 11);
}

pub fn a_full_loop_says_busy_and_has_room_again<T: Transport>() {
    let stage = Stage::<T>::new();
    let (telling, _come, left) = Telling::new();
    let serving = Serving::start(stage.server_with(|options| options.max_clients(2)), patient(), telling);
    let (mut one, mut two) = (stage.connect().unwrap(), stage.connect().unwrap());
    trip(&mut one, b"here");
    trip(&mut two, b"here");
    assert_eq!(kind_of(&stage.connect()), Some(&ErrorKind::Busy));
    one.disconnect_from().unwrap();
    assert_eq!(one.recv_borrowed().unwrap(), None);
    assert_eq!(left.recv().unwrap(), "Goodbye");
    drop(one);
    let mut three = loop {
        // Its place is free a moment after its goodbye.
        match stage.connect() {
            Err(error) if *error.kind() == ErrorKind::Busy => {}
            connected => break connected.unwrap(),
        }
    };
    trip(&mut three, b"room");
    drop((two, three));
    let served = serving.stop();
    assert_eq!(served.clients, 3);
    assert!(served.stats.refused(ipc_core::Refusal::Busy) > 0);
}

pub fn an_event_handler_sees_the_peer<T: Transport>() {
    let stage = Stage::<T>::new();
    let handler = |_: &[u8], reply: &mut Reply<'_>| {
        let uid = reply.peer().uid.map_or(0, |uid| uid + 1);
        reply.send(&uid.to_le_bytes())
    };
    let _serving = Serving::start(stage.server(), patient(), handler);
    let mut client = stage.connect().unwrap();
    client.send_info(b"who am I?").unwrap();
    let expected = (geteuid().as_raw() + 1).to_le_bytes();
    assert_eq!(client.recv_borrowed().unwrap(), Some(&expected[..]));
    assert!(IpcConnection::peer(&client).uid.is_some());
}

/// A handler is held, this client's or another's, until the client has sent its last message and died: one word of
/// its descriptor tells of both.
pub fn last_words_and_the_death_after_them_are_both_noticed<T: Transport>() {
    for (options, by_itself) in
        [(patient(), false), (patient(), true), (patient().workers(1), false), (patient().workers(1), true)]
    {
        let stage = Stage::<T>::new();
        let (telling, come, left) = Telling::new();
        let hold = telling.hold.clone();
        let _serving = Serving::start(stage.server(), options, telling);
        let (mut holds, mut dies) = (stage.connect().unwrap(), stage.connect().unwrap());
        trip(&mut dies, b"here");
        if by_itself { &mut dies } else { &mut holds }.send_info(b"hold").unwrap();
        // The two who have come, and one who holds the handler.
        (0..3).for_each(|_| drop(come.recv().unwrap()));
        dies.send_info(b"last words").unwrap();
        dies.abandon();
        hold.wait();
        assert_eq!(left.recv().unwrap(), "PeerGone");
    }
}

pub fn one_that_dies_while_its_queue_is_full_is_noticed<T: Transport>() {
    for options in [patient(), patient().workers(1)] {
        let stage = Stage::<T>::new();
        let (telling, come, left) = Telling::new();
        let _serving = Serving::start(stage.server(), options.queue(20_000), telling);
        let mut deaf = stage.connect().unwrap();
        let mailbox = come.recv().unwrap();
        while deaf.send_info_by(&[1; 10_000], Deadline::Within(Duration::from_millis(50))).is_ok() {}
        deaf.abandon();
        let why = left.recv().unwrap();
        assert!(["PeerGone", "Truncated"].contains(&why.as_str()), "{why}");
        assert_eq!(kind_of(&mailbox.send(b"")), Some(&ErrorKind::PeerGone));
    }
}
