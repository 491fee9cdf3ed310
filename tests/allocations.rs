//! In steady state a message costs no allocation: neither to send nor to receive, nor to find that there is none.
#![cfg(feature = "_transport")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod stage;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    thread,
    time::Duration,
};

use conformance::{kind_of, watched};
use hobnob::{
    AnyConnection, Deadline, ErrorKind, EventOptions, IpcConnection, IpcReceiver, IpcSender, IpcServer,
    Reply, StopHandle, WaitStrategy, serve_events,
};
use stage::Stage;

/// The system's allocator, with a count for each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count_one() {
    // A thread that is ending has no counter any more; none of ours is.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is handed to the system's allocator as it came. The counter has neither a destructor nor an
// initialiser that allocates, so counting does not come back here.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller keeps the promises of `GlobalAlloc::alloc`, which are the same there.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one();
        // SAFETY: as in `alloc`; `block` came from the system's allocator, for all of ours do.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as in `realloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

const WARM_UP: usize = 50;
const TRIPS: usize = 500;
const SIZES: [usize; 4] = [64, 4 << 10, 64 << 10, 1 << 20];
/// How many messages go together where several do; few enough for every road to hold them.
const BATCH: usize = 20;

#[test]
fn the_counter_counts() {
    assert!(allocations(|| drop(std::hint::black_box(Box::new(7)))) > 0);
}

#[test]
fn a_message_sent_and_received_allocates_nothing() {
    watched("a_message_sent_and_received_allocates_nothing", || {
        let _turn = turn();
        for (scheme, size) in cases() {
            let (client, server) = pair(scheme);
            // Both ends of the same thread's work: one begins, the other answers.
            let far = thread::spawn(move || trips(server, size, false));
            assert_eq!(trips(client, size, true), 0, "{scheme}, {size} B, the client");
            assert_eq!(far.join().unwrap(), 0, "{scheme}, {size} B, the server");
        }
    });
}

#[test]
#[cfg(any(feature = "unix", feature = "inproc"))]
fn a_message_on_a_foreign_wire_allocates_nothing() {
    watched("a_message_on_a_foreign_wire_allocates_nothing", || {
        let _turn = turn();
        let schemes = hobnob::transports().filter(|scheme| ["unix", "inproc"].contains(scheme));
        for (scheme, size) in schemes.flat_map(|scheme| SIZES.map(|size| (scheme, size))) {
            // A large message may come in pieces, and then take one more room, which is lent from then on.
            let most = if size <= 4 << 10 { 0 } else { 2 };
            let raw = (size <= 4 << 10).then_some("raw".to_owned());
            for wire in raw.into_iter().chain(["line".to_owned(), format!("fixed:{size}")]) {
                let (client, server) = pair_on(scheme, wire.parse().unwrap());
                let far = thread::spawn(move || trips(server, size, false));
                let counts = [trips(client, size, true), far.join().unwrap()];
                assert!(counts.iter().all(|count| *count <= most), "{scheme}, {wire}, {size} B: {counts:?}");
            }
        }
    });
}

#[test]
fn a_message_awaited_with_a_deadline_allocates_nothing() {
    watched("a_message_awaited_with_a_deadline_allocates_nothing", || {
        let _turn = turn();
        for (scheme, size) in cases() {
            let (mut client, mut server) = pair(scheme);
            for end in [&mut client, &mut server] {
                end.set_send_deadline(Deadline::Within(Duration::from_secs(100)));
                end.set_recv_deadline(Deadline::Within(Duration::from_secs(100)));
            }
            let far = thread::spawn(move || trips(server, size, false));
            assert_eq!(trips(client, size, true), 0, "{scheme}, {size} B, the client");
            assert_eq!(far.join().unwrap(), 0, "{scheme}, {size} B, the server");
        }
    });
}

#[test]
fn silence_allocates_nothing() {
    watched("silence_allocates_nothing", || {
        let _turn = turn();
        for scheme in hobnob::transports() {
            let (mut client, _server) = pair(scheme);
            let mut info = Vec::new();
            let mut listen = || {
                assert_eq!(kind_of(&client.try_recv_info(&mut info)), Some(&ErrorKind::WouldBlock));
                let brief = Deadline::Within(Duration::from_micros(10));
                assert_eq!(kind_of(&client.recv_info_by(&mut info, brief)), Some(&ErrorKind::TimedOut));
            };
            listen();
            assert_eq!(allocations(|| (0..100).for_each(|_| listen())), 0, "{scheme}");
        }
    });
}

#[test]
fn messages_sent_together_allocate_nothing() {
    watched("messages_sent_together_allocate_nothing", || {
        let _turn = turn();
        for (scheme, size) in hobnob::transports().flat_map(|scheme| [(scheme, 64), (scheme, 1 << 10)]) {
            let (mut near, mut far) = pair(scheme);
            let (sent, mut info) = (vec![7; size], Vec::new());
            let many = [&sent[..]; BATCH];
            let mut batch = || {
                many.iter().for_each(|one| near.feed_info(one).unwrap());
                near.flush_info().unwrap();
                many.iter().for_each(|one| assert!(far.recv_info(&mut info).unwrap() && info == *one));
                assert_eq!(near.send_many(&many).unwrap(), BATCH);
                many.iter().for_each(|one| assert_eq!(far.recv_borrowed().unwrap(), Some(*one)));
            };
            (0..WARM_UP).for_each(|_| batch());
            assert_eq!(allocations(|| (0..TRIPS).for_each(|_| batch())), 0, "{scheme}, {size} B");
        }
    });
}

/// A wait that ends because a message comes, which is the usual one: asleep in poll(2), as a deadline demands.
#[test]
fn a_wait_that_a_message_ends_allocates_nothing() {
    watched("a_wait_that_a_message_ends_allocates_nothing", || {
        let _turn = turn();
        for scheme in hobnob::transports() {
            for strategy in [WaitStrategy::Sleep, WaitStrategy::Adaptive, WaitStrategy::Spin] {
                let (mut client, mut server) = pair(scheme);
                client.set_wait(strategy);
                client.set_recv_deadline(Deadline::Within(Duration::from_secs(100)));
                let far = thread::spawn(move || {
                    let mut info = Vec::new();
                    while server.recv_info(&mut info).unwrap() {
                        // Long enough for the client to fall asleep first, nearly always.
                        thread::sleep(Duration::from_micros(200));
                        server.send_info(&info).unwrap();
                    }
                });
                let mut info = Vec::new();
                let mut trip = || {
                    client.send_info(&[7; 64]).unwrap();
                    assert!(client.recv_info(&mut info).unwrap());
                };
                (0..WARM_UP).for_each(|_| trip());
                assert_eq!(allocations(|| (0..100).for_each(|_| trip())), 0, "{scheme}, {strategy:?}");
                client.disconnect_from().unwrap();
                far.join().unwrap();
            }
        }
    });
}

/// With a `StopHandle` there is one more descriptor to wait for.
#[test]
fn a_wait_that_can_be_stopped_allocates_nothing() {
    watched("a_wait_that_can_be_stopped_allocates_nothing", || {
        let _turn = turn();
        for (scheme, size) in cases() {
            let (mut client, mut server) = pair(scheme);
            let handle = StopHandle::new().unwrap();
            client.stop_with(&handle);
            server.stop_with(&handle);
            let far = thread::spawn(move || trips(server, size, false));
            assert_eq!(trips(client, size, true), 0, "{scheme}, {size} B, the client");
            assert_eq!(far.join().unwrap(), 0, "{scheme}, {size} B, the server");
        }
    });
}

/// What the thread that serves all clients allocates, as the handler sees it: from one message to one much later.
#[test]
fn a_request_to_a_loop_allocates_nothing() {
    watched("a_request_to_a_loop_allocates_nothing", || {
        let _turn = turn();
        for scheme in hobnob::transports() {
            let (stage, (tell, told)) = (Stage::new(), std::sync::mpsc::channel());
            let mut server = stage.server(&stage.over(scheme)).unwrap();
            let stop = server.stop_handle().unwrap();
            let handler = move |info: &[u8], reply: &mut Reply<'_>| {
                if info == b"count" {
                    tell.send(ALLOCATIONS.get()).unwrap();
                }
                reply.send(info)
            };
            let serving = thread::spawn(move || serve_events(server, EventOptions::new(), handler));
            let mut clients: Vec<_> =
                (0..BATCH).map(|_| stage.connect(&stage.over(scheme)).unwrap()).collect();
            let mut ask_all = |info: &[u8]| {
                clients.iter_mut().for_each(|client| client.send_info(info).unwrap());
                let answered = |client: &mut AnyConnection| client.recv_borrowed().unwrap() == Some(info);
                assert!(clients.iter_mut().all(answered));
            };
            let mut count = || {
                (0..WARM_UP).for_each(|_| ask_all(&[7; 64]));
                ask_all(b"count");
            };
            (0..3).for_each(|_| count());
            let counts: Vec<_> = told.try_iter().collect();
            // Between the last one's counts: the channel has an allocation of its own for every 31.
            let per_round = counts[2 * BATCH] - counts[2 * BATCH - 1];
            assert_eq!(per_round, 0, "{scheme}");
            stop.stop();
            serving.join().unwrap().unwrap();
        }
    });
}

/// Round trips, half of the messages received into a `Vec`, half borrowed: what this thread allocated for them.
fn trips(mut connection: AnyConnection, size: usize, begins: bool) -> u64 {
    let (sent, mut info) = (vec![7; size], Vec::new());
    let mut trip = |i: usize| {
        if begins {
            connection.send_info(&sent).unwrap();
        }
        if i.is_multiple_of(2) {
            assert!(connection.recv_info(&mut info).unwrap() && info == sent);
        } else {
            assert_eq!(connection.recv_borrowed().unwrap(), Some(&sent[..]));
        }
        if !begins {
            connection.send_info(&sent).unwrap();
        }
    };
    (0..WARM_UP).for_each(&mut trip);
    allocations(|| (0..TRIPS).for_each(&mut trip))
}

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// The clients of a process share a pool of buffers: one test would take what another has just made warm.
fn turn() -> std::sync::MutexGuard<'static, ()> {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn cases() -> impl Iterator<Item = (&'static str, usize)> {
    hobnob::transports().flat_map(|scheme| SIZES.map(|size| (scheme, size)))
}

/// Both ends of one connection.
#[cfg(any(feature = "unix", feature = "inproc"))]
fn pair_on(scheme: &str, wire: hobnob::Wire) -> (AnyConnection, AnyConnection) {
    let stage = Stage::new();
    let address = stage.over(scheme);
    let mut server = stage.server_with(&address, |options| options.wire(wire).allow(|_| true)).unwrap();
    let client =
        AnyConnection::connect_with(&address.parse().unwrap(), &stage.client_options().wire(wire)).unwrap();
    (client, server.accept_client().unwrap())
}

fn pair(scheme: &str) -> (AnyConnection, AnyConnection) {
    let stage = Stage::new();
    let mut server = stage.server(&stage.over(scheme)).unwrap();
    stage.pair(&mut server, &stage.over(scheme))
}

#[test]
#[cfg(feature = "datagrams")]
fn a_datagram_received_and_answered_allocates_nothing() {
    use hobnob::datagrams::{Client, ClientOptions, Server, ServerOptions};
    watched("a_datagram_received_and_answered_allocates_nothing", || {
        let _turn = turn();
        let stage = Stage::new();
        let address = stage.over("dgram").parse().unwrap();
        let options = ServerOptions::new().directory(stage.names()).rate(1_000_000_000, 1000);
        let mut server = Server::new_server_with(&address, &options).unwrap();
        let options = ClientOptions::new().directory(stage.names());
        let mut client = Client::connect_with(&address, &options).unwrap();
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        let mut trip = |info: &[u8]| {
            assert_eq!(kind_of(&server.try_recv_info(&mut asked)), Some(&ErrorKind::WouldBlock));
            client.send_info(info).unwrap();
            let sender = server.recv_info(&mut asked).unwrap();
            server.send_info(&sender, &asked).unwrap();
            client.recv_info(&mut answered).unwrap();
            assert_eq!(answered, info);
        };
        for info in [vec![7; 64], vec![7; 64 << 10]] {
            (0..WARM_UP).for_each(|_| trip(&info));
            assert_eq!(allocations(|| (0..TRIPS).for_each(|_| trip(&info))), 0, "{} B", info.len());
        }
    });
}
