//! Path addresses (`unix:/PATH`) and directories that are deep.
#![cfg(any(feature = "unix", feature = "fifo", feature = "inproc", feature = "tcp"))]
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

#[cfg(feature = "unix")]
mod over_unix {
    use std::os::unix::{
        fs::MetadataExt,
        net::{UnixListener, UnixStream},
    };

    use conformance::kind_of;
    use hobnob::ErrorKind;

    use super::*;

    #[test]
    fn a_path_longer_than_a_socket_address_is_bad_and_the_limit_is_named() {
        watched("a_path_longer_than_a_socket_address_is_bad_and_the_limit_is_named", || {
            let place = Place::deep();
            let (server, client) =
                (place.server(&place.path_address()), place.connect(&place.path_address()));
            for (side, kind) in [("the server", kind_of(&server)), ("the client", kind_of(&client))] {
                let Some(ErrorKind::BadAddress { why }) = kind else { panic!("{side}: {kind:?}") };
                assert!(why.contains("108"), "{side}: {why}");
            }
            assert!(!place.path().exists());
        });
    }

    #[test]
    fn a_dead_predecessors_socket_file_is_taken_over() {
        watched("a_dead_predecessors_socket_file_is_taken_over", || {
            let place = Place::shallow();
            drop(UnixListener::bind(place.path()).unwrap());
            let dead = fs::metadata(place.path()).unwrap().ino();
            assert!(matches!(
                kind_of(&place.connect(&place.path_address())),
                Some(ErrorKind::NoSuchServer { .. })
            ));
            let mut server = place.server(&place.path_address()).unwrap();
            assert_ne!(fs::metadata(place.path()).unwrap().ino(), dead);
            place.converse(&mut server, &place.path_address());
            drop(server);
            assert_eq!(place.beside(), ["names"], "the socket file and nothing else is gone");
        });
    }

    #[test]
    fn a_foreign_live_listener_keeps_its_path() {
        watched("a_foreign_live_listener_keeps_its_path", || {
            let place = Place::shallow();
            let foreign = UnixListener::bind(place.path()).unwrap();
            let before = fs::metadata(place.path()).unwrap().ino();
            let refused = place.server(&place.path_address());
            assert!(
                matches!(kind_of(&refused), Some(ErrorKind::NameInUse { .. })),
                "{:?}",
                kind_of(&refused)
            );
            assert_eq!(fs::metadata(place.path()).unwrap().ino(), before);
            // The probe is the first to have knocked; it is still served after that.
            let _client = UnixStream::connect(place.path()).unwrap();
            foreign.accept().unwrap();
            assert_eq!(place.beside(), ["it.sock", "names"]);
        });
    }

    #[test]
    fn a_plain_file_in_the_way_is_denied_and_untouched() {
        watched("a_plain_file_in_the_way_is_denied_and_untouched", || {
            let place = Place::shallow();
            fs::write(place.path(), "precious").unwrap();
            let refused = place.server(&place.path_address());
            assert!(matches!(kind_of(&refused), Some(ErrorKind::Denied { .. })), "{:?}", kind_of(&refused));
            assert_eq!(fs::read_to_string(place.path()).unwrap(), "precious");
            assert_eq!(place.beside(), ["it.sock", "names"]);
        });
    }

    #[test]
    fn a_second_live_server_at_a_path_is_refused_and_told_the_pid() {
        watched("a_second_live_server_at_a_path_is_refused_and_told_the_pid", || {
            let place = Place::shallow();
            let mut server = place.server(&place.path_address()).unwrap();
            let refused = place.server(&place.path_address());
            let Some(ErrorKind::NameInUse { holder: Some(holder), .. }) = kind_of(&refused) else {
                panic!("{:?}", kind_of(&refused));
            };
            assert_eq!(holder.pid, std::process::id());
            place.converse(&mut server, &place.path_address());
        });
    }
}

/// A directory with `names/` and a path in it that no other test has.
struct Place {
    _dir: TempDir,
    inner: PathBuf,
}

#[allow(dead_code, reason = "without the unix transport there are no paths")]
impl Place {
    fn shallow() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { inner: dir.path().to_owned(), _dir: dir }
    }

    /// Deeper than the 108 bytes of a socket address.
    fn deep() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("d".repeat(60)).join("e".repeat(60));
        fs::create_dir_all(&inner).unwrap();
        Self { inner, _dir: dir }
    }

    fn path(&self) -> PathBuf {
        self.inner.join("it.sock")
    }

    fn path_address(&self) -> String {
        format!("unix:{}", self.path().display())
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

    fn converse(&self, server: &mut AnyServer, address: &str) {
        thread::scope(|scope| {
            let client = scope.spawn(|| self.connect(address).unwrap());
            let mut served = server.accept_client().unwrap();
            let mut client = client.join().unwrap();
            client.send_info(b"there").unwrap();
            assert_eq!(served.recv_borrowed().unwrap(), Some(&b"there"[..]));
        });
    }

    /// What lies in the directory, sorted.
    fn beside(&self) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut all: Vec<_> = fs::read_dir(&self.inner).unwrap().map(name).collect();
        all.sort_unstable();
        all
    }
}
