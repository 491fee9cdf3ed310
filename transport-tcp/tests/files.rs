//! What lies in the folder of a server with a name, and what a client makes of it.
#![allow(clippy::unwrap_used)]

mod hand;

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    sync::{Arc, Mutex, mpsc},
    thread,
};

use conformance::{Actor, Stage, kind_of, play_role, watched};
use hand::Folder;
use ipc_core::{ErrorKind, Failpoints, IpcReceiver, IpcSender, IpcServer, Seams, ServerOptions};
use nix::sys::stat::Mode;
use transport_tcp::{Connection, Server, Tcp};

#[test]
fn each_server_has_a_key_of_its_own() {
    watched("each_server_has_a_key_of_its_own", || {
        let stage = Stage::<Tcp>::new();
        let keys: std::collections::HashSet<_> = (0..20)
            .map(|_| {
                let _server = stage.server();
                Folder::of(&stage).key()
            })
            .collect();
        assert_eq!(keys.len(), 20);
    });
}

#[test]
fn what_a_dead_server_left_is_replaced() {
    watched("what_a_dead_server_left_is_replaced", || {
        if play_role::<Tcp>() {
            return;
        }
        let stage = Stage::<Tcp>::new();
        let folder = Folder::of(&stage);
        let mut dead = Actor::start("echo", &stage, None);
        let (key, address) = (folder.key(), folder.address());
        dead.kill();
        assert_eq!(folder.key(), key, "it had no time to remove it");
        assert!(matches!(kind_of(&stage.connect()), Some(ErrorKind::NoSuchServer { .. })));
        let mut server = stage.server();
        assert_ne!(folder.key(), key);
        assert_ne!(folder.address(), address);
        let (mut client, mut served) = stage.pair(&mut server);
        client.send_info(b"alive").unwrap();
        assert_eq!(served.recv_borrowed().unwrap(), Some(&b"alive"[..]));
    });
}

/// Somebody has put something else in the place of a server's file.
#[test]
fn a_client_believes_no_file_that_a_server_would_not_have_made() {
    watched("a_client_believes_no_file_that_a_server_would_not_have_made", || {
        let stage = Stage::<Tcp>::new();
        let _server = stage.server();
        let folder = Folder::of(&stage);
        let (key, address) = (folder.0.join("key"), folder.0.join("address"));
        let denied = |what: &str| {
            let Err(error) = stage.connect() else { panic!("{what} was believed") };
            assert!(matches!(error.kind(), ErrorKind::Denied { .. }), "{what}: {error}");
            assert!(error.to_string().contains(&folder.0.display().to_string()), "{what}: {error}");
        };
        fs::set_permissions(&key, fs::Permissions::from_mode(0o604)).unwrap();
        denied("a key that others may read");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::hard_link(&key, folder.0.join("second")).unwrap();
        denied("a key with two names");
        fs::remove_file(&key).unwrap();
        symlink("second", &key).unwrap();
        denied("a key that is a link");
        fs::remove_file(&key).unwrap();
        fs::write(&key, [1; 31]).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        denied("a key that is too short");
        fs::remove_file(&key).unwrap();
        assert!(matches!(kind_of(&stage.connect()), Some(ErrorKind::NoSuchServer { .. })), "no key");
        fs::rename(folder.0.join("second"), &key).unwrap();
        stage.connect_later();
        for (text, what) in [
            ("", "nothing"),
            ("127.0.0.1", "no port"),
            ("192.0.2.1:80", "another machine"),
            ("localhost:80", "a name"),
            ("127.0.0.1:80 127.0.0.1:80", "two addresses"),
            ("\u{1}\u{2}", "garbage"),
        ] {
            fs::write(&address, text).unwrap();
            denied(what);
        }
        fs::write(&address, vec![b'1'; 100_000]).unwrap();
        denied("a giant");
        fs::remove_file(&address).unwrap();
        symlink("record", &address).unwrap();
        denied("an address that is a link");
        fs::remove_file(&address).unwrap();
        nix::unistd::mkfifo(&address, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        denied("an address that is a FIFO");
        fs::remove_file(&address).unwrap();
        fs::create_dir(&address).unwrap();
        denied("an address that is a directory");
        fs::remove_dir(&address).unwrap();
        assert!(matches!(kind_of(&stage.connect()), Some(ErrorKind::NoSuchServer { .. })), "no address");
    });
}

/// When a client has read one of the two files.
struct HalfFound<F>(Mutex<Option<F>>);

impl<F: FnOnce() + Send> Failpoints for HalfFound<F> {
    fn reach(&self, point: &'static str) -> io::Result<()> {
        let once = if point == "tcp.half_found" { self.0.lock().unwrap().take() } else { None };
        once.into_iter().for_each(|once| once());
        Ok(())
    }
}

/// It was killed, and another has taken its folder over: the key of one at the address of the other would make an
/// impostor of the successor.
#[test]
fn a_server_that_is_replaced_while_a_client_looks_for_it_is_nobody() {
    watched("a_server_that_is_replaced_while_a_client_looks_for_it_is_nobody", || {
        if play_role::<Tcp>() {
            return;
        }
        let stage = Stage::<Tcp>::new();
        let (mut first, (tell, told)) = (Actor::start("echo", &stage, None), mpsc::channel());
        let (at, options) = (stage.address.clone(), stage.server_options());
        let replace = move || {
            first.kill();
            let mut second = Server::new_server_with(&at, &options).unwrap();
            tell.send(second.stop_handle().unwrap()).unwrap();
            thread::spawn(move || second.accept_client());
        };
        let seams = Seams::default().with_failpoints(Arc::new(HalfFound(Mutex::new(Some(replace)))));
        let connected = Connection::connect_with(&stage.address, &stage.client_options().seams(seams));
        assert!(matches!(kind_of(&connected), Some(ErrorKind::NoSuchServer { .. })), "{connected:?}");
        told.recv().unwrap().stop();
    });
}

/// Nobody accepts: it has come in as far as it can.
trait ConnectLater {
    fn connect_later(&self);
}

impl ConnectLater for Stage<Tcp> {
    fn connect_later(&self) {
        let options = self.client_options().deadline(std::time::Duration::from_millis(20));
        let connected = transport_tcp::Connection::connect_with(&self.address, &options);
        assert_eq!(kind_of(&connected), Some(&ErrorKind::TimedOut));
    }
}

#[test]
fn a_path_is_no_address_of_this_transport() {
    watched("a_path_is_no_address_of_this_transport", || {
        let refused = Server::new_server_with(&"tcp:/tmp/x".parse().unwrap(), &ServerOptions::new());
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("expected tcp:NAME or tcp:HOST:PORT"), "{said}");
    });
}
