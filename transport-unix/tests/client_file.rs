//! The client file against hostile and unlucky clients, written with plain sockets: whatever is shown, nothing but
//! the client's own fresh file is ever unlinked, and nobody comes in on another's.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{fs::PermissionsExt, net::UnixStream},
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use conformance::{Raw, Stage, kind_of, watched};
use ipc_core::{ClientFile, Deadline, ErrorKind, IpcServer, Refusal};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, connect, socket};
use transport_unix::{Server, Unix};

const RANDOM: &str = "0123456789abcdef0123456789abcdef";

/// A server, its `clients/`, and a file elsewhere that must survive everything.
struct Scene {
    stage: Stage<Unix>,
    server: Server,
    folder: PathBuf,
    bystander: PathBuf,
}

impl Scene {
    fn new(rule: ClientFile) -> Self {
        let stage = Stage::<Unix>::new();
        let server = stage.server_with(|options| options.client_file(rule));
        let folder = stage.names().join(stage.address.to_string());
        let bystander = stage.dir.path().join(format!("{}-{RANDOM}", std::process::id()));
        fs::write(&bystander, "not yours").unwrap();
        Self { stage, server, folder, bystander }
    }

    fn good_name(&self) -> PathBuf {
        self.folder.join("clients").join(format!("{}-{RANDOM}", std::process::id()))
    }

    /// Connects from a socket bound to `file`, after `prepare` has changed things.
    fn connect_from(&self, file: Option<&Path>, prepare: impl FnOnce()) -> UnixStream {
        let socket: OwnedFd =
            socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        if let Some(file) = file {
            bind(socket.as_raw_fd(), &UnixAddr::new(file).unwrap()).unwrap();
            fs::set_permissions(file, fs::Permissions::from_mode(0o700)).unwrap();
        }
        prepare();
        connect(socket.as_raw_fd(), &UnixAddr::new(&self.folder.join("sock")).unwrap()).unwrap();
        UnixStream::from(socket)
    }

    /// Nobody comes in; the reason is counted.
    fn refuses(&mut self, reason: Refusal) {
        let before = self.server.stats().refused(reason);
        let accepted = self.server.accept_client_by(Deadline::Within(Duration::from_millis(20)));
        assert_eq!(kind_of(&accepted), Some(&ErrorKind::TimedOut));
        assert_eq!(self.server.stats().refused(reason), before + 1, "{:?}", self.server.stats());
        assert_eq!(fs::read_to_string(&self.bystander).unwrap(), "not yours");
    }
}

#[test]
fn a_right_file_is_taken_and_unlinked() {
    watched("a_right_file_is_taken_and_unlinked", || {
        let mut scene = Scene::new(ClientFile::Required);
        let file = scene.good_name();
        let _client = scene.connect_from(Some(&file), || ());
        let before = scene.server.stats();
        assert_eq!(kind_of(&scene.server.try_accept_client()), Some(&ErrorKind::WouldBlock));
        assert_eq!(scene.server.stats().refused_in_all(), before.refused_in_all());
        assert!(!file.exists());
    });
}

#[test]
fn a_file_that_is_not_right_is_refused_and_left_where_it_is() {
    watched("a_file_that_is_not_right_is_refused_and_left_where_it_is", || {
        let set_mode =
            |file: &Path, mode| fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
        let replace = |file: &Path, make: &dyn Fn(&Path)| {
            fs::remove_file(file).unwrap();
            make(file);
        };
        type Spoil<'a> = (&'a str, &'a dyn Fn(&Path));
        let spoilt: [Spoil<'_>; 6] = [
            ("another mode", &|file| set_mode(file, 0o755)),
            ("a plain file", &|file| replace(file, &|file| fs::write(file, "").unwrap())),
            ("a directory", &|file| replace(file, &|file| fs::create_dir(file).unwrap())),
            ("a link", &|file| {
                replace(file, &|file| std::os::unix::fs::symlink("/etc/passwd", file).unwrap())
            }),
            ("two names", &|file| fs::hard_link(file, file.with_extension("2")).unwrap()),
            ("another's", &|file| {
                // Without root there is nobody else to give it to; another mode must do.
                let other = nix::unistd::Uid::from_raw(1002);
                nix::unistd::chown(file, Some(other), None).unwrap_or_else(|_| set_mode(file, 0o755));
            }),
        ];
        for (what, spoil) in spoilt {
            let mut scene = Scene::new(ClientFile::Required);
            let file = scene.good_name();
            let _client = scene.connect_from(Some(&file), || spoil(&file));
            scene.refuses(Refusal::BadClientFile);
            assert!(fs::symlink_metadata(&file).is_ok(), "{what} was unlinked");
        }
    });
}

/// The file of another uid with a matching name: the spoof by renaming one's own file away and letting a victim
/// make one of that name. The owner is not the one that the kernel names.
#[test]
fn a_victims_file_is_neither_believed_nor_unlinked() {
    watched("a_victims_file_is_neither_believed_nor_unlinked", || {
        if !nix::unistd::geteuid().is_root() {
            println!(
                "SKIPPED: a_victims_file_is_neither_believed_nor_unlinked needs root to make another's file"
            );
            return;
        }
        let mut scene = Scene::new(ClientFile::Required);
        let file = scene.good_name();
        let victim = std::os::unix::net::UnixListener::bind(scene.folder.join("clients/victim")).unwrap();
        let _attacker = scene.connect_from(Some(&file), || {
            fs::rename(&file, file.with_extension("away")).unwrap();
            fs::rename(scene.folder.join("clients/victim"), &file).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
            nix::unistd::chown(&file, Some(nix::unistd::Uid::from_raw(1001)), None).unwrap();
        });
        scene.refuses(Refusal::BadClientFile);
        assert!(file.exists(), "the victim's file was unlinked");
        drop(victim);
    });
}

#[test]
fn odd_names_lead_nowhere() {
    watched("odd_names_lead_nowhere", || {
        let mut scene = Scene::new(ClientFile::Required);
        let elsewhere = scene.stage.dir.path().to_owned();
        let pid = std::process::id();
        let names = [
            elsewhere.join("x"),
            scene.folder.join(format!("{pid}-{RANDOM}")),
            scene.folder.join(format!("clients/{}-{RANDOM}", pid + 1)),
            scene.folder.join(format!("clients/0{pid}-{RANDOM}")),
            scene.folder.join(format!("clients/{pid}-{}", RANDOM.to_uppercase())),
            scene.folder.join(format!("clients/{pid}-{RANDOM}0")),
            scene.folder.join("clients/a\nb"),
        ];
        for name in names {
            let _client = scene.connect_from(Some(&name), || ());
            // A well-formed base name from elsewhere means the file of that name in `clients/`, which is not there.
            let reason = if name == scene.folder.join(format!("{pid}-{RANDOM}")) {
                Refusal::StaleClientFile
            } else {
                Refusal::BadClientFile
            };
            scene.refuses(reason);
            assert!(name.exists(), "{} was unlinked", name.display());
        }
        let _unbound = scene.connect_from(None, || ());
        scene.refuses(Refusal::BadClientFile);
    });
}

#[test]
fn an_old_file_is_stale_and_a_client_from_the_future_too() {
    watched("an_old_file_is_stale_and_a_client_from_the_future_too", || {
        for age in [11, 3600, -3, -3600] {
            let mut scene = Scene::new(ClientFile::Required);
            let file = scene.good_name();
            let _client = scene.connect_from(Some(&file), || {
                let now = SystemTime::now();
                let span = Duration::from_secs(i64::abs(age) as u64);
                let time = if age > 0 { now - span } else { now + span };
                let time = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
                let time = nix::sys::time::TimeSpec::from(time);
                let flag = nix::sys::stat::UtimensatFlags::NoFollowSymlink;
                nix::sys::stat::utimensat(nix::fcntl::AT_FDCWD, &file, &time, &time, flag).unwrap();
            });
            scene.refuses(Refusal::StaleClientFile);
            assert!(file.exists());
        }
    });
}

/// Told that its file is stale, a client makes a new one and tries again, once, on its own.
#[test]
fn a_client_that_waited_too_long_in_the_backlog_comes_back_once_by_itself() {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };
    /// A wall clock that is an hour ahead for the first so many looks.
    struct Ahead(AtomicU32);
    impl ipc_core::Clock for Ahead {
        fn now(&self) -> std::time::Instant {
            std::time::Instant::now()
        }
        fn wall(&self) -> SystemTime {
            let ahead =
                self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            SystemTime::now() + if ahead { Duration::from_secs(3600) } else { Duration::ZERO }
        }
    }
    watched("a_client_that_waited_too_long_in_the_backlog_comes_back_once_by_itself", || {
        for (stale_looks, comes_in) in [(1, true), (2, false)] {
            // The record's time is the first look at the clock.
            let clock = Arc::new(Ahead(AtomicU32::new(stale_looks + 1)));
            let stage = Stage::<Unix>::new();
            let seams = ipc_core::Seams::default().with_clock(clock);
            let mut server = stage.server_with(|options| options.seams(seams));
            if comes_in {
                let _ = stage.pair(&mut server);
            } else {
                let refused = stage.refused(&mut server, || stage.connect());
                assert_eq!(kind_of(&refused), Some(&ErrorKind::StaleClientFile));
            }
            assert_eq!(server.stats().refused(Refusal::StaleClientFile), u64::from(stale_looks));
            let left =
                fs::read_dir(stage.names().join(stage.address.to_string()).join("clients")).unwrap().count();
            assert_eq!(left, 0, "the client cleans up after itself");
        }
    });
}

#[test]
fn optional_takes_clients_without_a_file_and_off_does_not_look() {
    watched("optional_takes_clients_without_a_file_and_off_does_not_look", || {
        for rule in [ClientFile::Optional, ClientFile::Off] {
            let mut scene = Scene::new(rule);
            let _unbound = scene.connect_from(None, || ());
            assert_eq!(kind_of(&scene.server.try_accept_client()), Some(&ErrorKind::WouldBlock));
            assert_eq!(scene.server.stats().refused_in_all(), 0);
            let _ = scene.stage.pair(&mut scene.server);
            let _ = scene.stage.pair_with(&mut scene.server, |options| options.client_file(ClientFile::Off));
        }
        let mut scene = Scene::new(ClientFile::Optional);
        let odd = scene.folder.join("clients/odd");
        let _client = scene.connect_from(Some(&odd), || ());
        scene.refuses(Refusal::BadClientFile);
    });
}

/// A raw client keeps its file until the server has looked; afterwards nothing is left.
#[test]
fn files_do_not_pile_up() {
    watched("files_do_not_pile_up", || {
        let mut scene = Scene::new(ClientFile::Required);
        let place = scene.stage.place();
        for _ in 0..30 {
            let silent = Raw::<Unix>::knock(&place);
            assert_eq!(kind_of(&scene.server.try_accept_client()), Some(&ErrorKind::WouldBlock));
            drop(silent);
        }
        assert_eq!(fs::read_dir(scene.folder.join("clients")).unwrap().count(), 0);
    });
}

/// Nobody accepts: the client takes its file along when it gives up.
#[test]
fn a_client_that_gives_up_takes_its_file_along() {
    watched("a_client_that_gives_up_takes_its_file_along", || {
        let scene = Scene::new(ClientFile::Required);
        let options = scene.stage.client_options().deadline(Duration::from_millis(20));
        let given_up = transport_unix::Connection::connect_with(&scene.stage.address, &options);
        assert_eq!(kind_of(&given_up), Some(&ErrorKind::TimedOut));
        assert_eq!(fs::read_dir(scene.folder.join("clients")).unwrap().count(), 0);
    });
}
