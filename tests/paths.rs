//! Path addresses (`unix:/PATH`, `fifo:/PATH`) and directories that are deep.
#![cfg(feature = "_transport")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, path::PathBuf, thread};

use conformance::watched;
use hobnob::{
    Address, AnyConnection, AnyServer, ConnectOptions, IpcReceiver, IpcSender, IpcServer, Result,
    ServerOptions,
};
use tempfile::TempDir;

#[test]
fn a_name_works_in_a_directory_deeper_than_a_socket_address() {
    watched("a_name_works_in_a_directory_deeper_than_a_socket_address", || {
        for scheme in hobnob::transports() {
            let place = Place::deep();
            let mut server = place.server(&format!("{scheme}:deep")).unwrap();
            place.converse(&mut server, &format!("{scheme}:deep"));
        }
    });
}

/// What is the same over every transport that has paths.
#[cfg(any(feature = "unix", feature = "fifo"))]
mod at_a_path {
    use std::os::unix::fs::MetadataExt;

    use conformance::kind_of;
    use hobnob::{Deadline, ErrorKind, IpcConnection, PeerPid};

    use super::*;

    fn each(name: &'static str, test: impl Fn(&Place)) {
        watched(name, || with_paths().for_each(|scheme| test(&Place { scheme, ..Place::shallow() })));
    }

    fn with_paths() -> impl Iterator<Item = &'static str> {
        hobnob::transports().filter(|scheme| ["unix", "fifo"].contains(scheme))
    }

    #[test]
    fn a_dead_predecessors_file_is_taken_over() {
        each("a_dead_predecessors_file_is_taken_over", |place| {
            drop(foreign::serve(place));
            let dead = fs::metadata(place.path()).unwrap().ino();
            let nobody = place.connect(&place.path_address());
            assert!(
                matches!(kind_of(&nobody), Some(ErrorKind::NoSuchServer { .. })),
                "{:?}",
                kind_of(&nobody)
            );
            let mut server = place.server(&place.path_address()).unwrap();
            assert_ne!(fs::metadata(place.path()).unwrap().ino(), dead);
            place.converse(&mut server, &place.path_address());
            drop(server);
            assert_eq!(place.beside(), ["names"], "what the server made and nothing else is gone");
        });
    }

    #[test]
    fn a_foreign_live_server_keeps_its_path() {
        each("a_foreign_live_server_keeps_its_path", |place| {
            let foreign = foreign::serve(place);
            let before = fs::metadata(place.path()).unwrap().ino();
            let refused = place.server(&place.path_address());
            assert!(
                matches!(kind_of(&refused), Some(ErrorKind::NameInUse { .. })),
                "{:?}",
                kind_of(&refused)
            );
            assert_eq!(fs::metadata(place.path()).unwrap().ino(), before);
            foreign.must_still_hear(place);
            assert_eq!(place.beside(), ["it", "names"]);
        });
    }

    #[test]
    fn a_plain_file_in_the_way_is_denied_and_untouched() {
        each("a_plain_file_in_the_way_is_denied_and_untouched", |place| {
            fs::write(place.path(), "precious").unwrap();
            let refused = place.server(&place.path_address());
            assert!(matches!(kind_of(&refused), Some(ErrorKind::Denied { .. })), "{:?}", kind_of(&refused));
            assert_eq!(fs::read_to_string(place.path()).unwrap(), "precious");
            assert_eq!(place.beside(), ["it", "names"]);
        });
    }

    #[test]
    fn a_second_live_server_at_a_path_is_refused_and_told_the_pid() {
        each("a_second_live_server_at_a_path_is_refused_and_told_the_pid", |place| {
            let mut server = place.server(&place.path_address()).unwrap();
            for scheme in with_paths() {
                let refused = place.server(&format!("{scheme}:{}", place.path().display()));
                let Some(ErrorKind::NameInUse { holder: Some(holder), .. }) = kind_of(&refused) else {
                    panic!("{scheme}: {:?}", kind_of(&refused));
                };
                assert_eq!((holder.pid, holder.transport.as_str()), (std::process::id(), place.scheme));
            }
            place.converse(&mut server, &place.path_address());
        });
    }

    #[test]
    fn a_client_over_another_transport_is_told_that_the_path_is_none_of_its_own() {
        each("a_client_over_another_transport_is_told_that_the_path_is_none_of_its_own", |place| {
            let _server = place.server(&place.path_address()).unwrap();
            for scheme in with_paths().filter(|scheme| *scheme != place.scheme) {
                let address: Address = format!("{scheme}:{}", place.path().display()).parse().unwrap();
                // One that waited would not come back before the watchdog.
                let options = ConnectOptions::new().deadline(Deadline::Forever);
                let told = AnyConnection::connect_with(&address, &options);
                assert!(
                    matches!(
                        kind_of(&told),
                        Some(ErrorKind::BadAddress { .. } | ErrorKind::NoSuchServer { .. })
                    ),
                    "{scheme}: {:?}",
                    kind_of(&told)
                );
            }
        });
    }

    #[test]
    fn both_sides_know_each_other_at_a_path() {
        each("both_sides_know_each_other_at_a_path", |place| {
            let mut server = place.server(&place.path_address()).unwrap();
            let us = nix::unistd::geteuid().as_raw();
            let (client, served) = place.pair(&mut server, &place.path_address());
            assert_eq!((client.peer().uid, served.peer().uid), (Some(us), Some(us)));
            assert_ne!(served.peer().pid, PeerPid::Unknown);
        });
    }
}

/// Servers that know nothing of hobnob.
#[cfg(any(feature = "unix", feature = "fifo"))]
mod foreign {
    use std::{
        fs::{File, OpenOptions},
        io::{Read, Write},
        os::unix::{
            fs::OpenOptionsExt,
            net::{UnixListener, UnixStream},
        },
    };

    use nix::{libc, sys::stat::Mode, unistd::mkfifo};

    use super::Place;

    pub enum Foreign {
        Socket(UnixListener),
        Fifo(File),
    }

    pub fn serve(place: &Place) -> Foreign {
        if place.scheme == "unix" {
            return Foreign::Socket(UnixListener::bind(place.path()).unwrap());
        }
        mkfifo(&place.path(), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(place.path());
        Foreign::Fifo(reader.unwrap())
    }

    impl Foreign {
        pub fn must_still_hear(self, place: &Place) {
            match self {
                // The probe is the first to have knocked; it is still served after that.
                Self::Socket(listener) => {
                    let _client = UnixStream::connect(place.path()).unwrap();
                    listener.accept().unwrap();
                }
                Self::Fifo(mut reader) => {
                    OpenOptions::new().write(true).open(place.path()).unwrap().write_all(b"heard").unwrap();
                    let mut heard = String::new();
                    reader.read_to_string(&mut heard).unwrap();
                    assert_eq!(heard, "heard");
                }
            }
        }
    }
}

#[cfg(feature = "unix")]
#[test]
fn a_path_longer_than_a_socket_address_is_bad_and_the_limit_is_named() {
    use conformance::kind_of;
    use hobnob::ErrorKind;
    watched("a_path_longer_than_a_socket_address_is_bad_and_the_limit_is_named", || {
        let place = Place::deep();
        let (server, client) = (place.server(&place.path_address()), place.connect(&place.path_address()));
        for (side, kind) in [("the server", kind_of(&server)), ("the client", kind_of(&client))] {
            let Some(ErrorKind::BadAddress { why }) = kind else { panic!("{side}: {kind:?}") };
            assert!(why.contains("108"), "{side}: {why}");
        }
        assert!(!place.path().exists());
    });
}

/// A directory with `names/` and a path in it that no other test has.
struct Place {
    _dir: TempDir,
    inner: PathBuf,
    /// That of its path.
    scheme: &'static str,
}

#[allow(dead_code, reason = "inproc has no paths")]
impl Place {
    fn shallow() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { inner: dir.path().to_owned(), _dir: dir, scheme: "unix" }
    }

    /// Deeper than the 108 bytes of a socket address.
    fn deep() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("d".repeat(60)).join("e".repeat(60));
        fs::create_dir_all(&inner).unwrap();
        Self { inner, _dir: dir, scheme: "unix" }
    }

    fn path(&self) -> PathBuf {
        self.inner.join("it")
    }

    fn path_address(&self) -> String {
        format!("{}:{}", self.scheme, self.path().display())
    }

    fn names(&self) -> PathBuf {
        self.inner.join("names")
    }

    fn server(&self, address: &str) -> Result<AnyServer> {
        let address: Address = address.parse().unwrap();
        AnyServer::new_server_with(&address, &ServerOptions::new().directory(self.names()))
    }

    fn connect(&self, address: &str) -> Result<AnyConnection> {
        AnyConnection::connect_with(&address.parse().unwrap(), &ConnectOptions::new().directory(self.names()))
    }

    fn pair(&self, server: &mut AnyServer, address: &str) -> (AnyConnection, AnyConnection) {
        thread::scope(|scope| {
            let client = scope.spawn(|| self.connect(address).unwrap());
            let served = server.accept_client().unwrap();
            (client.join().unwrap(), served)
        })
    }

    fn converse(&self, server: &mut AnyServer, address: &str) {
        let (mut client, mut served) = self.pair(server, address);
        client.send_info(b"there").unwrap();
        assert_eq!(served.recv_borrowed().unwrap(), Some(&b"there"[..]));
    }

    /// What lies in the directory, sorted.
    fn beside(&self) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut all: Vec<_> = fs::read_dir(&self.inner).unwrap().map(name).collect();
        all.sort_unstable();
        all
    }
}
