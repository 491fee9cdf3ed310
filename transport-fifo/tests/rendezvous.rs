//! The rendezvous against hostile and dead clients, written with plain files.
#![allow(clippy::unwrap_used)]

use std::{
    fs::{self, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::PathBuf,
    thread,
    time::Duration,
};

use conformance::{Stage, kind_of, watched};
use ipc_core::{
    Deadline, ErrorKind, IpcReceiver, IpcSender, IpcServer, Refusal,
    hello::{Hello, Terms, VERSION},
};
use nix::{libc, sys::stat::Mode, unistd::mkfifo};
use transport_fifo::{Connection, Fifo, Server, record::Knock};

struct Scene {
    stage: Stage<Fifo>,
    server: Server,
    folder: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let stage = Stage::<Fifo>::new();
        let server = stage.server();
        let folder = stage.names().join(stage.address.to_string());
        Self { stage, server, folder }
    }

    fn write(&self, bytes: &[u8]) {
        let mut rendezvous = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(self.folder.join("fifo"))
            .unwrap();
        rendezvous.write_all(bytes).unwrap();
    }

    /// Makes the pair of a knock, as its own client would.
    fn make_pair(&self, knock: &Knock) -> [PathBuf; 2] {
        knock.names().map(|name| {
            let path = self.folder.join("clients").join(name);
            mkfifo(&path, Mode::from_bits_truncate(0o600)).unwrap();
            path
        })
    }

    fn refuses(&mut self, reason: Refusal) {
        let before = self.server.stats().refused(reason);
        let accepted = self.server.accept_client_by(Deadline::Within(Duration::from_millis(20)));
        assert_eq!(kind_of(&accepted), Some(&ErrorKind::TimedOut));
        assert_eq!(self.server.stats().refused(reason), before + 1, "{:?}", self.server.stats());
    }
}

fn knock(seed: u8) -> Knock {
    Knock { pid: std::process::id(), id: [seed; 16], nonce: [seed ^ 1; 16] }
}

fn open(path: &PathBuf, write: bool) -> fs::File {
    OpenOptions::new().read(!write).write(write).custom_flags(libc::O_NONBLOCK).open(path).unwrap()
}

#[test]
fn garbage_from_other_writers_costs_no_honest_client() {
    watched("garbage_from_other_writers_costs_no_honest_client", || {
        let mut scene = Scene::new();
        let stop = scene.server.stop_handle().unwrap();
        let options = scene.stage.client_options();
        thread::scope(|scope| {
            let (folder, address) = (&scene.folder, &scene.stage.address);
            let hostile = scope.spawn(move || {
                let mut rendezvous = OpenOptions::new().write(true).open(folder.join("fifo")).unwrap();
                for i in 0..2000usize {
                    let torn = knock(i as u8).encode();
                    // The server may end the game at any moment.
                    let _ = rendezvous.write_all(&torn[..1 + i % 63]);
                }
            });
            let honest = scope.spawn(move || {
                for _ in 0..100 {
                    let mut client = Connection::connect_with(address, &options).unwrap();
                    // It is counted before the server is stopped.
                    assert_eq!(client.recv_borrowed().unwrap(), None);
                    client.disconnect_from().unwrap();
                }
                hostile.join().unwrap();
                stop.stop();
            });
            let mut served = 0;
            while scene.server.accept_client().is_ok() {
                served += 1;
            }
            honest.join().unwrap();
            assert_eq!(served, 100);
        });
        assert!(scene.server.stats().refused(Refusal::Malformed) > 0);
    });
}

#[test]
fn a_client_that_died_before_it_was_picked_up_is_dropped() {
    watched("a_client_that_died_before_it_was_picked_up_is_dropped", || {
        let mut scene = Scene::new();
        // Killed: the files are there, and nobody has them open.
        let files = scene.make_pair(&knock(1));
        scene.write(&knock(1).encode());
        scene.refuses(Refusal::Gone);
        assert!(files.iter().all(|file| !file.exists()), "its files are swept away");
        // Gone with its files.
        scene.write(&knock(2).encode());
        scene.refuses(Refusal::Gone);
        let _ = scene.stage.pair(&mut scene.server);
    });
}

/// A killed process lets go of its descriptors one by one. Poll does not show a writer that left before the FIFO was
/// opened.
#[test]
fn a_client_that_dies_while_it_is_picked_up_is_not_waited_for() {
    watched("a_client_that_dies_while_it_is_picked_up_is_not_waited_for", || {
        let mut scene = Scene::new();
        let [c2s, s2c] = scene.make_pair(&knock(1));
        let _still_open = (open(&c2s, false), open(&s2c, false));
        let mut gone = open(&c2s, true);
        gone.write_all(&hello(&knock(1))).unwrap();
        drop(gone);
        scene.write(&knock(1).encode());
        scene.refuses(Refusal::Gone);
    });
}

/// What the knock's own client says first.
fn hello(knock: &Knock) -> Vec<u8> {
    let terms = Terms { version: VERSION, scheme: "fifo".to_owned(), limit: 1 << 20, schema: None };
    let body = Hello { terms, nonce: knock.nonce }.encode();
    let mut frame = (body.len() as u32).to_le_bytes().to_vec();
    frame.extend([7, 0, 0, 0]);
    frame.extend(body);
    frame
}

#[test]
fn files_that_are_not_a_private_pair_are_not_opened_nor_removed() {
    watched("files_that_are_not_a_private_pair_are_not_opened_nor_removed", || {
        let mut scene = Scene::new();
        type Spoil<'a> = (&'a str, &'a dyn Fn(&PathBuf));
        let spoilt: [Spoil<'_>; 5] = [
            ("a plain file", &|path| {
                fs::remove_file(path).unwrap();
                fs::write(path, "precious").unwrap();
            }),
            ("a link", &|path| {
                fs::remove_file(path).unwrap();
                std::os::unix::fs::symlink("/dev/zero", path).unwrap();
            }),
            ("a directory", &|path| {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            }),
            ("open to others", &|path| fs::set_permissions(path, fs::Permissions::from_mode(0o606)).unwrap()),
            ("two names", &|path| fs::hard_link(path, path.with_extension("kept")).unwrap()),
        ];
        for (i, (what, spoil)) in spoilt.into_iter().enumerate() {
            let knock = knock(i as u8 * 2);
            let files = scene.make_pair(&knock);
            let _ends = [open(&files[0], false), open(&files[1], false)];
            spoil(&files[i % 2]);
            scene.write(&knock.encode());
            scene.refuses(Refusal::BadRendezvous);
            assert!(
                files.iter().all(|file| fs::symlink_metadata(file).is_ok()),
                "{what}: something was removed"
            );
        }
        let _ = scene.stage.pair(&mut scene.server);
    });
}

/// Reflection: a second knock that names a live client's pair must not make the server write into it.
#[test]
fn a_live_clients_pair_cannot_be_named_again() {
    watched("a_live_clients_pair_cannot_be_named_again", || {
        let mut scene = Scene::new();
        let knock = knock(9);
        let files = scene.make_pair(&knock);
        let (mut from_server, _own_reader) = (open(&files[1], false), open(&files[0], false));
        let _to_server = open(&files[0], true);
        scene.write(&knock.encode());
        assert_eq!(kind_of(&scene.server.try_accept_client()), Some(&ErrorKind::WouldBlock));
        assert!(files.iter().all(|file| !file.exists()), "the names go when the pair is picked up");
        scene.write(&knock.encode());
        scene.refuses(Refusal::Gone);
        let mut heard = [0; 64];
        let nothing = from_server.read(&mut heard);
        assert_eq!(
            nothing.unwrap_err().kind(),
            std::io::ErrorKind::WouldBlock,
            "the server wrote to the victim"
        );
    });
}

/// A full rendezvous: connecting waits for room to its deadline, and not longer.
#[test]
fn a_full_rendezvous_ends_at_the_deadline() {
    watched("a_full_rendezvous_ends_at_the_deadline", || {
        let scene = Scene::new();
        let mut rendezvous = open(&scene.folder.join("fifo"), true);
        while rendezvous.write(&[0; 4096]).is_ok() {}
        let options = scene.stage.client_options().deadline(Duration::from_millis(60));
        let connected = Connection::connect_with(&scene.stage.address, &options);
        assert_eq!(kind_of(&connected), Some(&ErrorKind::TimedOut));
        let left = fs::read_dir(scene.folder.join("clients")).unwrap().count();
        assert_eq!(left, 0, "the client cleans up after itself");
    });
}

#[test]
fn the_last_client_leaving_is_not_the_end() {
    watched("the_last_client_leaving_is_not_the_end", || {
        let mut scene = Scene::new();
        for _ in 0..3 {
            let (mut client, mut served) = scene.stage.pair(&mut scene.server);
            client.disconnect_from().unwrap();
            drop(client);
            assert_eq!(served.recv_borrowed().unwrap(), None);
            let silence = scene.server.accept_client_by(Deadline::Within(Duration::from_millis(10)));
            assert_eq!(kind_of(&silence), Some(&ErrorKind::TimedOut));
        }
    });
}

/// What a killed client left is swept away while the server lives; a client that is only held up keeps its pair, and
/// does not take the sweeping for a server that came and went.
#[test]
fn the_dead_are_swept_away_and_the_slow_are_not_disturbed() {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    };
    struct Ahead(AtomicU64);
    impl ipc_core::Clock for Ahead {
        fn now(&self) -> std::time::Instant {
            std::time::Instant::now() + Duration::from_secs(self.0.load(SeqCst))
        }
        fn wall(&self) -> std::time::SystemTime {
            std::time::SystemTime::now() + Duration::from_secs(self.0.load(SeqCst))
        }
    }
    watched("the_dead_are_swept_away_and_the_slow_are_not_disturbed", || {
        let clock = Arc::new(Ahead(AtomicU64::new(0)));
        let stage = Stage::<Fifo>::new();
        let seams = ipc_core::Seams::default().with_clock(clock.clone());
        let server = stage.server_with(|options| options.seams(seams));
        let folder = stage.names().join(stage.address.to_string());
        let mut scene = Scene { stage, server, folder };
        let (dead, slow) = (scene.make_pair(&knock(1)), scene.make_pair(&knock(2)));
        let (from_server, _own_reader) = (open(&slow[1], false), open(&slow[0], false));
        let _to_server = open(&slow[0], true);
        clock.0.store(30, SeqCst);
        assert_eq!(kind_of(&scene.server.try_accept_client()), Some(&ErrorKind::WouldBlock));
        let _ = scene.stage.pair(&mut scene.server);
        assert!(dead.iter().all(|file| !file.exists()), "the dead client's files are still there");
        assert!(slow.iter().all(|file| file.exists()), "the slow client's files are gone");
        let mut fds =
            [nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&from_server), nix::poll::PollFlags::POLLIN)];
        assert_eq!(nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO), Ok(0), "{fds:?}");
    });
}
