//! Every bug that was fixed stays fixed. A test here is named for what is right and says what went wrong.
#![cfg(feature = "_transport")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod stage;

use std::{
    io,
    sync::{Arc, Barrier, Mutex, mpsc},
    thread,
    time::Duration,
};

use conformance::{kind_of, watched};
use hobnob::{
    AnyConnection, Deadline, Error, ErrorKind, IpcReceiver, IpcSender, IpcServer, Refusal, Seams, StopHandle,
};
use ipc_core::Failpoints;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use stage::{Stage, echo, wait_for, wait_for_server};

/// The end of the handshake's time was computed with `+`, which panics beyond the clock's end.
#[test]
fn a_hello_may_take_for_ever() {
    watched("a_hello_may_take_for_ever", || {
        for scheme in hobnob::transports() {
            let stage = Stage::new();
            let for_ever =
                stage.server_with(&stage.over(scheme), |options| options.hello_within(Duration::MAX));
            let mut server = for_ever.unwrap();
            let (mut client, mut served) = stage.pair(&mut server, &stage.over(scheme));
            client.send_info(b"in time").unwrap();
            assert_eq!(served.recv_borrowed().unwrap(), Some(&b"in time"[..]), "{scheme}");
        }
    });
}

/// More at once than the 64 in mid-handshake: honest clients were thrown out to make room for each other.
#[test]
fn three_hundred_clients_at_once_all_get_in() {
    const CLIENTS: usize = 300;
    // On a busy machine a client may be held up between its knock and its hello.
    const PATIENT: Duration = Duration::from_secs(60);
    watched("three_hundred_clients_at_once_all_get_in", || {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
        for scheme in hobnob::transports() {
            let stage = Stage::new();
            let mut server = stage
                .server_with(&stage.over(scheme), |it| it.max_clients(1024).hello_within(PATIENT))
                .unwrap();
            let stop = server.stop_handle().unwrap();
            let serving = thread::spawn(move || hobnob::serve(server, Duration::from_secs(9), echo).unwrap());
            let together = Barrier::new(CLIENTS);
            let failures: Vec<Error> = thread::scope(|scope| {
                let client = || {
                    together.wait();
                    let mut server = stage.connect(&stage.over(scheme))?;
                    let info = format!("{:?}", thread::current().id());
                    server.send_info(info.as_bytes())?;
                    assert_eq!(server.recv_borrowed()?, Some(info.as_bytes()));
                    server.disconnect_from()
                };
                let clients = [0; CLIENTS].map(|_| scope.spawn(client));
                clients.into_iter().filter_map(|client| client.join().unwrap().err()).collect()
            });
            stop.stop();
            let served = serving.join().unwrap();
            assert_eq!(failures.len(), 0, "{scheme}: {:?}; {served:?}", failures.first());
            assert_eq!(served.clients, CLIENTS as u64, "{scheme}");
        }
    });
}

/// Told twice that something had come after all, `try_` said "would block" without asking to be woken.
#[test]
fn an_event_loop_is_woken_for_every_message() {
    watched("an_event_loop_is_woken_for_every_message", || {
        for scheme in hobnob::transports() {
            let stage = Stage::new();
            let mut server = stage.server(&stage.over(scheme)).unwrap();
            listen_to_a_flood(scheme, stage.pair(&mut server, &stage.over(scheme)));
        }
        #[cfg(feature = "inproc")]
        listen_to_a_flood("pair", hobnob::transport::inproc::pair().unwrap());
    });
}

/// As the documentation asks: `try_` until it would block, then wait for the descriptor.
fn listen_to_a_flood<C: IpcSender + IpcReceiver + 'static>(scheme: &str, (mut from, mut to): (C, C)) {
    const MESSAGES: usize = 500;
    // It never sleeps, so that bytes come at every moment; and it leaves only once the goodbye has.
    let flood = thread::spawn(move || {
        for i in 0..MESSAGES {
            let info = vec![i as u8; 1 << 20];
            while kind_of(&from.try_send_info(&info)) == Some(&ErrorKind::WouldBlock) {
                std::hint::spin_loop();
            }
        }
        from.disconnect_from_by(Deadline::Forever).unwrap();
    });
    let (mut info, mut received) = (Vec::new(), 0);
    loop {
        match to.try_recv_info(&mut info) {
            Ok(true) => {
                assert_eq!((info.len(), info[0]), (1 << 20, received as u8), "{scheme}: message {received}");
                received += 1;
            }
            Ok(false) => break,
            waits => {
                assert_eq!(kind_of(&waits), Some(&ErrorKind::WouldBlock), "{scheme}, message {received}");
                wait_for(std::os::fd::AsFd::as_fd(&to));
            }
        }
    }
    assert_eq!(received, MESSAGES, "{scheme}");
    flood.join().unwrap();
}

/// A client in its last step, which it could take without the server, was sent a second verdict: to it a message
/// that is none.
#[test]
fn a_server_that_goes_in_the_last_step_of_a_handshake_is_gone_and_not_rude() {
    watched("a_server_that_goes_in_the_last_step_of_a_handshake_is_gone_and_not_rude", || {
        for scheme in hobnob::transports() {
            for _ in 0..200 {
                let stage = Stage::new();
                let mut server = stage.server(&stage.over(scheme)).unwrap();
                let (stopped, wait) = mpsc::channel();
                let last_step = LastStep { stop: server.stop_handle().unwrap(), stopped: Mutex::new(wait) };
                let options =
                    stage.client_options().seams(Seams::default().with_failpoints(Arc::new(last_step)));
                let address = stage.over(scheme).parse().unwrap();
                let mut client = thread::scope(|scope| {
                    let client = scope.spawn(|| AnyConnection::connect_with(&address, &options).unwrap());
                    assert_eq!(kind_of(&server.accept_client()), Some(&ErrorKind::Stopped), "{scheme}");
                    stopped.send(()).unwrap();
                    client.join().unwrap()
                });
                server.destroy_server().unwrap();
                assert_is_over(scheme, &mut client);
            }
        }
    });
}

/// Holds a client between the server's yes and its own last word, until the server accepts no more.
struct LastStep {
    stop: StopHandle,
    stopped: Mutex<mpsc::Receiver<()>>,
}

impl Failpoints for LastStep {
    fn reach(&self, point: &'static str) -> io::Result<()> {
        if point == "connect.ready" {
            self.stop.stop();
            self.stopped.lock().unwrap().recv().unwrap();
        }
        Ok(())
    }
}

/// The same, with nobody holding anybody: the end comes after a varying number of looks.
#[test]
fn a_server_that_goes_at_any_moment_is_gone_and_not_rude() {
    watched("a_server_that_goes_at_any_moment_is_gone_and_not_rude", || {
        for (scheme, looks) in
            hobnob::transports().flat_map(|scheme| (0..200).map(move |round| (scheme, round % 12)))
        {
            let stage = Stage::new();
            let mut server = stage.server(&stage.over(scheme)).unwrap();
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| match stage.connect(&stage.over(scheme)) {
                        Ok(mut client) => assert_is_over(scheme, &mut client),
                        refused => {
                            use ErrorKind::{NoSuchServer, PeerGone, Refused};
                            let kind = kind_of(&refused).unwrap();
                            let told =
                                matches!(kind, Refused { reason: Refusal::Stopping } | NoSuchServer { .. });
                            assert!(told || *kind == PeerGone, "{scheme}: {kind:?}");
                        }
                    });
                }
                let mut clients = Vec::new();
                for _ in 0..looks {
                    // Until it would block: the descriptor is silent about a second client that is up already.
                    clients.extend(std::iter::from_fn(|| server.try_accept_client().ok()));
                    if clients.len() == 2 {
                        break;
                    }
                    wait_for_server(&server);
                }
                server.destroy_server().unwrap();
            });
        }
    });
}

fn assert_is_over(scheme: &str, client: &mut AnyConnection) {
    let last = client.recv_borrowed();
    assert!(matches!(last, Ok(None)) || kind_of(&last) == Some(&ErrorKind::PeerGone), "{scheme}: {last:?}");
}

/// What was due to a client when its loop stopped had 5 s to leave, however long the drain was to be.
#[test]
fn a_drain_of_events_takes_as_long_as_it_may() {
    const BIG: usize = 8 << 20;
    watched("a_drain_of_events_takes_as_long_as_it_may", || {
        thread::scope(|scope| {
            for scheme in hobnob::transports() {
                scope.spawn(move || {
                    let stage = Stage::new();
                    let mut server = stage.server(&stage.over(scheme)).unwrap();
                    let (stop, (ends, ended)) = (server.stop_handle().unwrap(), mpsc::channel());
                    let options = hobnob::EventOptions::new().queue(2 * BIG).drain(Duration::from_secs(3600));
                    let handler = |info: &[u8], reply: &mut hobnob::Reply<'_>| match info {
                        b"here" => reply.send(info),
                        _ => reply.send(&vec![7; BIG]),
                    };
                    thread::spawn(move || {
                        let _ = ends.send(hobnob::serve_events(server, options, handler));
                    });
                    let mut client = stage.connect(&stage.over(scheme)).unwrap();
                    client.send_info(b"here").unwrap();
                    assert_eq!(client.recv_borrowed().unwrap(), Some(&b"here"[..]), "{scheme}");
                    client.send_info(b"all of it").unwrap();
                    stop.stop();
                    let early = ended.recv_timeout(Duration::from_millis(5500));
                    assert!(early.is_err(), "{scheme}: it was cut off: {early:?}");
                    assert!(client.recv_borrowed().unwrap() == Some(&[7; BIG][..]), "{scheme}");
                    assert_eq!(client.recv_borrowed().unwrap(), None, "{scheme}");
                    assert_eq!(ended.recv().unwrap().unwrap().abandoned, 0, "{scheme}");
                });
            }
        });
    });
}

/// A listener that was interrupted by a signal and said so was taken for one that has failed.
#[cfg(feature = "faulty")]
#[test]
fn an_interrupted_accept_is_no_failure_of_the_server() {
    use hobnob::{Fault, Faults};
    watched("an_interrupted_accept_is_no_failure_of_the_server", || {
        for scheme in hobnob::transports() {
            let stage = Stage::new();
            let faults = Faults::none().rate(Fault::Interrupted, 1024);
            let mut server = stage.server_with(&stage.over(scheme), |it| it.seams(faults)).unwrap();
            stage.pair(&mut server, &stage.over(scheme));
        }
    });
}

/// A client on its way in that said "not now", and then "look again first", was left alone until its time was over.
#[cfg(feature = "faulty")]
#[test]
fn a_client_on_its_way_in_is_looked_at_again() {
    use hobnob::{Fault, Faults};
    watched("a_client_on_its_way_in_is_looked_at_again", || {
        for scheme in hobnob::transports() {
            let stage = Stage::new();
            let faults = Faults::none().rate(Fault::NotNow, 1024);
            let change = |it: hobnob::ServerOptions| it.seams(faults).hello_within(Duration::MAX);
            let mut server = stage.server_with(&stage.over(scheme), change).unwrap();
            stage.pair(&mut server, &stage.over(scheme));
        }
    });
}

/// As above, but the server was stopping: some clients were not told so, and some that were did not hear it.
// Without a descriptor of its own a server cannot be waited for until somebody has knocked.
#[cfg(all(feature = "faulty", target_os = "linux", not(hobnob_portable)))]
#[test]
fn a_stopping_server_tells_those_who_knocked() {
    use hobnob::{Fault, Faults};
    watched("a_stopping_server_tells_those_who_knocked", || {
        for scheme in hobnob::transports() {
            for seed in 0..40 {
                let (stage, faults) = (Stage::new(), Faults::seed(seed).rate(Fault::NotNow, 512));
                let address = stage.over(scheme);
                let mut server = stage.server_with(&address, |it| it.seams(faults.clone())).unwrap();
                let options = stage.client_options().seams(faults);
                let told = thread::scope(|scope| {
                    let client =
                        scope.spawn(|| AnyConnection::connect_with(&address.parse().unwrap(), &options));
                    wait_for_server(&server);
                    server.destroy_server().unwrap();
                    client.join().unwrap().map(|_| ())
                });
                let stopping = ErrorKind::Refused { reason: Refusal::Stopping };
                assert_eq!(kind_of(&told), Some(&stopping), "{scheme}, seed {seed}");
            }
        }
    });
}
