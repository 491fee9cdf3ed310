//! What the tests share: a place of their own, a server in it, and clients that know nothing of hobnob.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    io::Write,
    os::unix::{fs::PermissionsExt, net::UnixDatagram, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use ipc_core::{Address, Deadline, ErrorKind, Result};
use plain_datagrams::{Client, ClientOptions, Sender, Server, ServerOptions};
use tempfile::TempDir;

/// A user that is not root.
pub const OTHER: u32 = 1001;

/// So long something may take that takes no time.
pub const SOON: Duration = Duration::from_secs(100);

/// A directory that no other test has.
pub struct Stage(TempDir);

impl Stage {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Other users may make their sockets beside ours.
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o1777)).unwrap();
        Self(dir)
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Where the server's socket is.
    pub fn socket(&self) -> PathBuf {
        self.at("calc.sock")
    }

    pub fn address(&self) -> Address {
        format!("dgram:{}", self.socket().display()).parse().unwrap()
    }

    pub fn options(&self) -> ServerOptions {
        ServerOptions::new().directory(self.at("names")).receive_deadline(SOON)
    }

    pub fn try_server(&self, options: &ServerOptions) -> Result<Server> {
        Server::new_server_with(&self.address(), options)
    }

    pub fn server(&self) -> Server {
        self.try_server(&self.options()).unwrap()
    }

    pub fn client_options(&self) -> ClientOptions {
        ClientOptions::new().directory(self.at("names")).deadline(SOON)
    }

    pub fn client(&self) -> Client {
        Client::connect_with(&self.address(), &self.client_options()).unwrap()
    }

    /// A client that knows nothing of hobnob, bound to this name.
    pub fn stranger(&self, name: &str) -> UnixDatagram {
        let stranger = UnixDatagram::bind(self.at(name)).unwrap();
        stranger.set_read_timeout(Some(SOON)).unwrap();
        stranger
    }

    pub fn left(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "names");
        names.sort();
        names
    }

    /// A program of another user, or of ours, in another language; `$ARGV[0]` is the server's path.
    pub fn perl(&self, uid: Option<u32>, script: &str, arguments: &[&Path]) -> Output {
        let mut perl = Command::new("/usr/bin/perl");
        perl.args(["-MSocket", "-e", script]).arg(self.socket()).args(arguments).current_dir(self.0.path());
        if let Some(uid) = uid {
            perl.uid(uid).gid(uid);
        }
        let ended = perl.output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        ended
    }
}

/// The next datagram.
pub fn next(server: &mut Server) -> (Sender, Vec<u8>) {
    let mut info = vec![1, 2, 3];
    let sender = server.recv_info(&mut info).unwrap();
    (sender, info)
}

pub fn said(stranger: &UnixDatagram) -> Vec<u8> {
    let mut room = vec![0; 1 << 20];
    let count = stranger.recv(&mut room).unwrap();
    room.truncate(count);
    room
}

/// Nothing has come.
pub fn heard_nothing(socket: &UnixDatagram) -> bool {
    socket.set_nonblocking(true).unwrap();
    let heard = socket.recv(&mut [0; 16]);
    heard.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

pub fn kind<T>(result: Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("it should have failed"),
        Err(error) => error.kind().clone(),
    }
}

pub fn would_block(server: &mut Server) -> bool {
    kind(server.recv_borrowed_by(Deadline::Now).map(drop)) == ErrorKind::WouldBlock
}

/// Whether the test can act as another user, and has the program that acts. If not, says loudly what is not tested.
pub fn can_act_as_others(what: &str) -> bool {
    let can = nix::unistd::geteuid().is_root() && has_perl();
    if !can {
        skipped(&format!("{what}: it needs root, to act as another user, and perl"));
    }
    can
}

pub fn has_perl() -> bool {
    Path::new("/usr/bin/perl").exists()
}

/// Past the test harness, which keeps what a passing test prints.
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
