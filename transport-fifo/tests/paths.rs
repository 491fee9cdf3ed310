//! Servers at a path, and what others have put there.
#![allow(clippy::unwrap_used)]

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink},
    os::unix::net::UnixListener,
    path::PathBuf,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use conformance::{Stage, kind_of, watched};
use ipc_core::{
    Config, Deadline, ErrorKind, IpcReceiver, IpcSender, IpcServer, Listener as _, Place, Refusal, Result,
    Seams, ServerOptions, Transport as _,
};
use nix::{libc, sys::stat::Mode, unistd::mkfifo};
use transport_fifo::{Connection, Fifo, Server, record::Knock};

struct Path {
    stage: Stage<Fifo>,
    fifo: PathBuf,
    clients: PathBuf,
}

impl Path {
    fn new() -> Self {
        let mut stage = Stage::<Fifo>::new();
        let fifo = stage.dir.path().join("calc");
        stage.address = format!("fifo:{}", fifo.display()).parse().unwrap();
        let clients = stage.dir.path().join("calc.clients");
        Self { stage, fifo, clients }
    }

    fn server(&self) -> Result<Server> {
        Server::new_server_with(&self.stage.address, &self.stage.server_options())
    }

    /// One that holds no lease of ours.
    fn server_of_another_directory(&self) -> Result<Server> {
        let options = ServerOptions::new().directory(self.stage.dir.path().join("other names"));
        Server::new_server_with(&self.stage.address, &options)
    }

    fn make_fifo(&self, mode: u32) {
        mkfifo(&self.fifo, Mode::from_bits_truncate(mode)).unwrap();
        fs::set_permissions(&self.fifo, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn make_clients(&self, mode: u32) {
        fs::DirBuilder::new().create(&self.clients).unwrap();
        fs::set_permissions(&self.clients, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn converses(&self, server: &mut Server) {
        let (mut client, mut served) = self.stage.pair(server);
        client.send_info(b"path").unwrap();
        assert_eq!(served.recv_borrowed().unwrap(), Some(&b"path"[..]));
    }

    /// What lies beside the directories of names, sorted.
    fn beside(&self) -> Vec<String> {
        let names = fs::read_dir(self.stage.dir.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.ends_with("names")).collect();
        names.sort();
        names
    }
}

fn open(path: &std::path::Path, write: bool) -> fs::File {
    OpenOptions::new().read(!write).write(write).custom_flags(libc::O_NONBLOCK).open(path).unwrap()
}

fn denies<R: std::fmt::Debug>(tried: &Result<R>, words: &str) {
    let Some(ErrorKind::Denied { why }) = kind_of(tried) else { panic!("{words}: {tried:?}") };
    assert!(why.contains(words) && why.contains("expected"), "{words}: {why}");
}

#[test]
fn a_path_serves_and_is_gone_afterwards() {
    watched("a_path_serves_and_is_gone_afterwards", || {
        let path = Path::new();
        let mut server = path.server().unwrap();
        assert!(matches!(kind_of(&path.server()), Some(ErrorKind::NameInUse { holder: Some(_), .. })));
        assert_eq!(fs::metadata(&path.fifo).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::metadata(&path.clients).unwrap().mode() & 0o7777, 0o700);
        path.converses(&mut server);
        drop(server);
        assert_eq!(path.beside(), [""; 0]);
        let nobody = ErrorKind::NoSuchServer { searched: vec![path.fifo.clone()] };
        assert_eq!(kind_of(&path.stage.connect()), Some(&nobody));
        assert_eq!(fs::read_dir(path.stage.names()).unwrap().count(), 0);
    });
}

#[test]
fn a_path_may_be_longer_than_a_socket_address() {
    watched("a_path_may_be_longer_than_a_socket_address", || {
        let mut path = Path::new();
        let deep = path.stage.dir.path().join("d".repeat(100)).join("e".repeat(100));
        fs::create_dir_all(&deep).unwrap();
        path.stage.address = format!("fifo:{}", deep.join("f".repeat(150)).display()).parse().unwrap();
        path.converses(&mut path.server().unwrap());
        assert_eq!(fs::read_dir(deep).unwrap().count(), 0);
    });
}

#[test]
fn a_dead_fifo_is_taken_over_and_one_that_somebody_reads_never() {
    watched("a_dead_fifo_is_taken_over_and_one_that_somebody_reads_never", || {
        let path = Path::new();
        path.make_fifo(0o600);
        let foreign = open(&path.fifo, false);
        for _ in 0..20 {
            let in_use = ErrorKind::NameInUse { name: path.fifo.display().to_string(), holder: None };
            assert_eq!(kind_of(&path.server()), Some(&in_use));
        }
        assert_eq!(fs::metadata(&path.fifo).unwrap().ino(), foreign.metadata().unwrap().ino());
        assert_eq!(path.beside(), ["calc"], "nothing was left beside it");
        let dead = foreign.metadata().unwrap().ino();
        drop(foreign);
        let mut server = path.server().unwrap();
        assert_ne!(fs::metadata(&path.fifo).unwrap().ino(), dead);
        path.converses(&mut server);
    });
}

#[test]
fn what_is_no_fifo_of_a_server_is_left_alone() {
    watched("what_is_no_fifo_of_a_server_is_left_alone", || {
        type Put<'a> = (&'a str, &'a dyn Fn(&Path));
        let mode = |path: &Path, mode| {
            fs::set_permissions(&path.fifo, fs::Permissions::from_mode(mode)).unwrap();
        };
        let put: [Put<'_>; 6] = [
            ("a plain file", &|path| {
                fs::write(&path.fifo, "precious").unwrap();
                mode(path, 0o600);
            }),
            ("a link", &|path| symlink("/dev/null", &path.fifo).unwrap()),
            ("a directory", &|path| fs::create_dir(&path.fifo).unwrap()),
            ("a socket", &|path| {
                drop(UnixListener::bind(&path.fifo).unwrap());
                mode(path, 0o600);
            }),
            ("a FIFO of mkfifo(1)", &|path| path.make_fifo(0o644)),
            ("a FIFO of another user", &|path| {
                path.make_fifo(0o600);
                if nix::unistd::chown(&path.fifo, Some(1001.into()), None).is_err() {
                    println!("SKIPPED: a FIFO of another user needs root");
                    mode(path, 0o644);
                }
            }),
        ];
        for (what, put) in put {
            let path = Path::new();
            put(&path);
            let before = fs::symlink_metadata(&path.fifo).unwrap();
            denies(&path.server(), "calc is there, is");
            let client = path.stage.connect();
            let refused = matches!(
                kind_of(&client),
                Some(ErrorKind::NoSuchServer { .. } | ErrorKind::BadAddress { .. })
            );
            assert!(refused, "{what}: {client:?}");
            let after = fs::symlink_metadata(&path.fifo).unwrap();
            assert_eq!((after.ino(), after.len(), after.mode()), (before.ino(), before.len(), before.mode()));
            assert_eq!(path.beside(), ["calc"], "{what}");
        }
    });
}

#[test]
fn a_folder_beside_that_may_be_somebody_elses_is_not_used_nor_touched() {
    watched("a_folder_beside_that_may_be_somebody_elses_is_not_used_nor_touched", || {
        type Put<'a> = (&'a str, &'a dyn Fn(&Path));
        let put: [Put<'_>; 5] = [
            ("calc.clients is a link or not", &|path| {
                let elsewhere = path.stage.dir.path().join("elsewhere names");
                fs::DirBuilder::new().mode(0o700).create(&elsewhere).unwrap();
                symlink(elsewhere, &path.clients).unwrap();
            }),
            ("calc.clients is a link or not", &|path| fs::write(&path.clients, "x").unwrap()),
            ("with mode 0755", &|path| path.make_clients(0o755)),
            ("with mode 1777", &|path| path.make_clients(0o1777)),
            ("has \"letter\" in it", &|path| {
                path.make_clients(0o700);
                fs::write(path.clients.join("letter"), "precious").unwrap();
            }),
        ];
        for (words, put) in put {
            let path = Path::new();
            put(&path);
            let before = fs::symlink_metadata(&path.clients).unwrap();
            denies(&path.server(), words);
            let after = fs::symlink_metadata(&path.clients).unwrap();
            assert_eq!(
                (after.ino(), after.mode(), after.mtime_nsec()),
                (before.ino(), before.mode(), before.mtime_nsec())
            );
            assert_eq!(path.beside(), ["calc.clients"], "{words}: the FIFO is gone again");
        }
    });
}

/// It could open the client's FIFOs in the server's stead, or make the client write elsewhere.
#[test]
fn a_client_puts_nothing_into_a_folder_that_others_may_have_made() {
    watched("a_client_puts_nothing_into_a_folder_that_others_may_have_made", || {
        let path = Path::new();
        let _server = path.server().unwrap();
        let refuses = |words: &str| {
            denies(&path.stage.connect(), words);
            assert_eq!(fs::read_dir(&path.clients).unwrap().count(), 0, "{words}");
        };
        let mode =
            |file: &PathBuf, mode| fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
        for wide in [0o755, 0o777, 0o1777, 0o2770, 0o730] {
            mode(&path.clients, wide);
            refuses(&format!("with mode {wide:04o}"));
        }
        mode(&path.clients, 0o700);
        for readable in [0o640, 0o604, 0o644] {
            mode(&path.fifo, readable);
            refuses(&format!("with mode {readable:04o}"));
        }
        mode(&path.fifo, 0o600);
        if nix::unistd::geteuid().is_root() {
            nix::unistd::chown(&path.clients, Some(1001.into()), None).unwrap();
            refuses("belongs to uid 1001");
        } else {
            println!("SKIPPED: a folder of another user needs root");
        }
    });
}

#[test]
fn a_successors_fifo_and_folder_are_not_removed_by_its_predecessor() {
    watched("a_successors_fifo_and_folder_are_not_removed_by_its_predecessor", || {
        let path = Path::new();
        let server = path.server().unwrap();
        fs::remove_file(&path.fifo).unwrap();
        fs::remove_dir(&path.clients).unwrap();
        let mut successor = path.server_of_another_directory().unwrap();
        drop(server);
        assert_eq!(path.beside(), ["calc", "calc.clients"]);
        path.converses(&mut successor);
    });
}

/// Its lease is in another directory: only the FIFO says that somebody is there.
#[test]
fn a_server_of_another_directory_keeps_its_path_and_its_folder() {
    watched("a_server_of_another_directory_keeps_its_path_and_its_folder", || {
        let path = Path::new();
        let mut server = path.server_of_another_directory().unwrap();
        for _ in 0..20 {
            assert!(matches!(kind_of(&path.server()), Some(ErrorKind::NameInUse { holder: None, .. })));
        }
        path.converses(&mut server);
    });
}

/// They hold leases in directories of their own: only what lies at the path and beside it stands between them.
#[test]
fn of_servers_of_many_directories_that_race_for_a_path_at_most_one_has_it() {
    watched("of_servers_of_many_directories_that_race_for_a_path_at_most_one_has_it", || {
        const RACERS: usize = 6;
        let path = Path::new();
        let mut won = 0;
        for round in 0..150 {
            if round % 3 > 0 {
                path.make_fifo(0o600);
            }
            let start = Barrier::new(RACERS);
            let race = |racer: usize| {
                let names = path.stage.dir.path().join(format!("{racer} names"));
                let options = ServerOptions::new().directory(names);
                start.wait();
                Server::new_server_with(&path.stage.address, &options)
            };
            let results: Vec<_> = thread::scope(|scope| {
                let race = &race;
                let racers: Vec<_> = (0..RACERS).map(|racer| scope.spawn(move || race(racer))).collect();
                racers.into_iter().map(|racer| racer.join().unwrap()).collect()
            });
            let (mut owners, losers): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
            for loser in &losers {
                assert!(matches!(kind_of(loser), Some(ErrorKind::NameInUse { .. })), "{loser:?}");
            }
            assert!(owners.len() <= 1, "{} have it", owners.len());
            if let Some(Ok(owner)) = owners.first_mut() {
                won += 1;
                assert_eq!(path.beside(), ["calc", "calc.clients"]);
                path.converses(owner);
            }
            drop(owners);
            let _ = fs::remove_file(&path.fifo);
            assert_eq!(path.beside(), [""; 0]);
        }
        assert!(won > 75, "{won} of 150 races had a winner");
    });
}

/// Whoever starts at the same time in another directory makes its FIFO under the same temporary name.
#[test]
fn a_temporary_fifo_is_removed_only_if_it_is_ours_and_nobody_reads_it() {
    watched("a_temporary_fifo_is_removed_only_if_it_is_ours_and_nobody_reads_it", || {
        let path = Path::new();
        let temporary = path.fifo.with_file_name(".tmp-calc");
        fs::write(&temporary, "precious").unwrap();
        denies(&path.server(), ".tmp-calc is there, and is not a FIFO of ours");
        assert_eq!(fs::read_to_string(&temporary).unwrap(), "precious");
        fs::remove_file(&temporary).unwrap();
        mkfifo(&temporary, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let starting = open(&temporary, false);
        assert!(matches!(kind_of(&path.server()), Some(ErrorKind::NameInUse { holder: None, .. })));
        assert_eq!(fs::metadata(&temporary).unwrap().ino(), starting.metadata().unwrap().ino());
        drop(starting);
        path.converses(&mut path.server().unwrap());
        assert_eq!(path.beside(), [""; 0]);
    });
}

/// What a killed server leaves: its FIFO, its folder under either name, pairs of the dead. A client that is still
/// alive has its pair left alone, and tidies up after itself.
#[test]
fn what_a_killed_server_left_is_cleared_and_the_pairs_of_the_living_are_not() {
    watched("what_a_killed_server_left_is_cleared_and_the_pairs_of_the_living_are_not", || {
        for mode in [0o700, 0o3733] {
            let path = Path::new();
            path.make_fifo(0o600);
            path.make_clients(mode);
            let away = path.clients.with_file_name(".tmp-calc.clients");
            let pair = |folder: &PathBuf, seed: u8| {
                let knock = Knock { pid: 1, id: [seed; 16], nonce: [0; 16] };
                let pair = knock.names().map(|name| folder.join(name));
                pair.iter().for_each(|end| mkfifo(end, Mode::S_IRUSR | Mode::S_IWUSR).unwrap());
                pair
            };
            fs::DirBuilder::new().mode(0o700).create(&away).unwrap();
            pair(&away, 3);
            let (dead, living) = (pair(&path.clients, 1), pair(&path.clients, 2));
            let _own_reader = open(&living[0], false);
            if mode == 0o3733 {
                // Only in a shared folder can others have left such things.
                fs::write(path.clients.join("junk"), "").unwrap();
                fs::create_dir(path.clients.join("junk too")).unwrap();
            }
            let mut server = path.server().unwrap();
            assert!(dead.iter().all(|end| !end.exists()), "{mode:o}: a dead client's pair is still there");
            assert!(living.iter().all(|end| end.exists()), "{mode:o}: a living client's pair is gone");
            assert_eq!(fs::read_dir(&path.clients).unwrap().count(), 2, "{mode:o}");
            assert_eq!(fs::metadata(&path.clients).unwrap().mode() & 0o7777, 0o700);
            assert!(!away.exists());
            path.converses(&mut server);
            drop(server);
            assert_eq!(path.beside(), [""; 0], "{mode:o}");
        }
    });
}

/// While the FIFO is ours, so is the folder; but not what our user has put into it meanwhile.
#[test]
fn nothing_but_pairs_is_removed_from_a_folder_beside_a_path() {
    watched("nothing_but_pairs_is_removed_from_a_folder_beside_a_path", || {
        let path = Path::new();
        let mut server = path.server().unwrap();
        fs::write(path.clients.join("letter"), "precious").unwrap();
        fs::create_dir(path.clients.join("box")).unwrap();
        path.converses(&mut server);
        drop(server);
        assert_eq!(path.beside(), ["calc.clients"], "under its own name");
        assert_eq!(fs::read_to_string(path.clients.join("letter")).unwrap(), "precious");
        assert!(path.clients.join("box").exists());
    });
}

/// The predecessor has let the FIFO go, and still tells clients that it is stopping.
#[test]
fn a_successor_keeps_the_folder_that_it_has_made_while_its_predecessor_was_ending() {
    let path = Path::new();
    let (place, config) = (Place::Path(path.fifo.clone()), Config::default());
    let mut ending = Fifo::listen(&place, &config).unwrap();
    let old = fs::metadata(&path.clients).unwrap().ino();
    ending.retire();
    assert_eq!(path.beside(), [".tmp-calc.clients"], "under a name that nobody looks for");
    let successor = Fifo::listen(&place, &config).unwrap();
    let new = fs::metadata(&path.clients).unwrap().ino();
    assert_ne!(old, new);
    drop(ending);
    assert_eq!(fs::metadata(&path.clients).unwrap().ino(), new);
    assert_eq!(path.beside(), ["calc", "calc.clients"]);
    drop(successor);
}

/// After half a minute a file belongs to nobody who is still on the way in; but a letter is no client's.
#[test]
fn the_dead_are_swept_away_beside_a_path_and_nothing_else_is() {
    struct Ahead(AtomicUsize);
    impl ipc_core::Clock for Ahead {
        fn now(&self) -> Instant {
            Instant::now() + Duration::from_secs(self.0.load(SeqCst) as u64)
        }
        fn wall(&self) -> SystemTime {
            SystemTime::now() + Duration::from_secs(self.0.load(SeqCst) as u64)
        }
    }
    watched("the_dead_are_swept_away_beside_a_path_and_nothing_else_is", || {
        for shared in [false, true] {
            let (path, clock) = (Path::new(), Arc::new(Ahead(AtomicUsize::new(0))));
            let seams = Seams::default().with_clock(clock.clone());
            let options = path.stage.server_options().seams(seams).shared(shared);
            let mut server = Server::new_server_with(&path.stage.address, &options).unwrap();
            for end in (Knock { pid: 1, id: [1; 16], nonce: [0; 16] }).names() {
                mkfifo(&path.clients.join(end), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
            }
            fs::write(path.clients.join("letter"), "precious").unwrap();
            fs::create_dir(path.clients.join("box")).unwrap();
            clock.0.store(30, SeqCst);
            assert_eq!(kind_of(&server.try_accept_client()), Some(&ErrorKind::WouldBlock));
            path.converses(&mut server);
            // In a shared folder only others can have put them there.
            assert_eq!(fs::read_dir(&path.clients).unwrap().count(), if shared { 0 } else { 2 });
        }
    });
}

/// Who has knocked is picked up after the folder has lost its name.
#[test]
fn a_stopping_server_at_a_path_tells_those_who_have_knocked() {
    watched("a_stopping_server_at_a_path_tells_those_who_have_knocked", || {
        let path = Path::new();
        let mut server = path.server().unwrap();
        let options = path.stage.client_options().deadline(Deadline::Forever);
        thread::scope(|scope| {
            let client = scope.spawn(|| Connection::connect_with(&path.stage.address, &options));
            // It has knocked once both FIFOs are there and something can be read; nobody has looked yet.
            while fs::read_dir(&path.clients).unwrap().count() < 2 || !knocked(&server) {
                thread::yield_now();
            }
            server.destroy_server().unwrap();
            let told = client.join().unwrap();
            assert_eq!(kind_of(&told), Some(&ErrorKind::Refused { reason: Refusal::Stopping }));
        });
        drop(server);
        assert_eq!(path.beside(), [""; 0]);
    });
}

fn knocked(server: &Server) -> bool {
    let mut interests = ipc_core::Interests::default();
    server.accept_interests(&mut interests);
    let (fd, _) = interests.iter().next().unwrap();
    let mut fds = [nix::poll::PollFd::new(fd, nix::poll::PollFlags::POLLIN)];
    nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO).unwrap() > 0
}

#[test]
fn a_shared_server_at_a_path_opens_its_folder_as_far_as_needed() {
    watched("a_shared_server_at_a_path_opens_its_folder_as_far_as_needed", || {
        let path = Path::new();
        let options = path.stage.server_options().shared(true);
        let mut server = Server::new_server_with(&path.stage.address, &options).unwrap();
        assert_eq!(fs::metadata(&path.fifo).unwrap().mode() & 0o7777, 0o622);
        assert_eq!(fs::metadata(&path.clients).unwrap().mode() & 0o7777, 0o3733);
        assert!(fs::metadata(&path.fifo).unwrap().file_type().is_fifo());
        path.converses(&mut server);
    });
}

/// Fails at the n-th named point, as a full file system would.
struct FailAt(AtomicUsize);

impl ipc_core::Failpoints for FailAt {
    fn reach(&self, _: &'static str) -> std::io::Result<()> {
        let left = self.0.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        if left == Ok(1) { Err(nix::errno::Errno::ENOSPC.into()) } else { Ok(()) }
    }
}

#[test]
fn a_start_at_a_path_that_fails_anywhere_leaves_nothing() {
    watched("a_start_at_a_path_that_fails_anywhere_leaves_nothing", || {
        let path = Path::new();
        for point in 1.. {
            let failing = Seams::default().with_failpoints(Arc::new(FailAt(AtomicUsize::new(point))));
            let options = path.stage.server_options().seams(failing);
            let Err(error) = Server::new_server_with(&path.stage.address, &options) else {
                assert!(point > 5, "too few points were reached");
                break;
            };
            assert_eq!(*error.kind(), ErrorKind::NoSpace);
            assert_eq!(path.beside(), [""; 0], "after failing at point {point}");
            path.converses(&mut path.server().unwrap());
        }
    });
}

/// At a path there is no folder of a server whose owner could be asked: the owner of the FIFO decides.
#[test]
fn a_server_of_another_user_at_a_path_is_not_believed() {
    const OTHER: u32 = 1001;
    watched("a_server_of_another_user_at_a_path_is_not_believed", || {
        if conformance::play_role::<Fifo>() {
            return;
        }
        if !nix::unistd::geteuid().is_root() {
            println!(
                "SKIPPED: a_server_of_another_user_at_a_path_is_not_believed needs root to act as two users"
            );
            return;
        }
        let mut stage = Stage::<Fifo>::new();
        let home = stage.dir.path().join("home");
        for dir in [home.clone(), stage.names()] {
            fs::DirBuilder::new().mode(0o700).create(&dir).unwrap();
            nix::unistd::chown(&dir, Some(OTHER.into()), Some(OTHER.into())).unwrap();
        }
        stage.address = format!("fifo:{}", home.join("calc").display()).parse().unwrap();
        let _server = conformance::Actor::start("echo", &stage, Some(OTHER));
        assert_eq!(kind_of(&stage.connect()), Some(&ErrorKind::ServerUntrusted { uid: OTHER }));
        // It cannot open root's FIFOs, and so cannot even say no.
        let options = stage.client_options().trust_server(OTHER).deadline(Duration::from_millis(300));
        let refused = Connection::connect_with(&stage.address, &options);
        assert_eq!(kind_of(&refused), Some(&ErrorKind::TimedOut));
        assert_eq!(fs::read_dir(home.join("calc.clients")).unwrap().count(), 0, "the client tidied up");
    });
}
