//! A directory of names that no other test has, and the programs that run in it.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use hobnob::{AnyConnection, AnyServer, ConnectOptions, Deadline, Result, ServerOptions};
use tempfile::TempDir;

use crate::{Program, wire};

/// A directory of names that no other test has.
pub struct House(TempDir);

/// The transports between processes.
pub const SCHEMES: [&str; 4] = ["unix", "seqpacket", "dgram", "fifo"];

/// Runs a test over each transport between processes, each in a house of its own.
pub fn each_transport(name: &'static str, test: impl Fn(&House, &str)) {
    over(name, &SCHEMES, test);
}

/// Runs a test of what lies in a server's folder, over one transport for each kind of it: those on sockets share it.
pub fn each_rendezvous(name: &'static str, test: impl Fn(&House, &str)) {
    over(name, &["unix", "fifo"], test);
}

/// The same, and over TCP, where nothing need be said by hand.
pub fn each_road(name: &'static str, test: impl Fn(&House, &str)) {
    over(name, &["unix", "fifo", "tcp"], test);
}

fn over(name: &'static str, schemes: &[&str], test: impl Fn(&House, &str)) {
    conformance::watched(name, || schemes.iter().for_each(|scheme| test(&House::new(), scheme)));
}

/// The name that everything in a house is served under.
pub const NAME: &str = "calc";

impl Default for House {
    fn default() -> Self {
        Self::new()
    }
}

impl House {
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("hobnob-faults").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self(dir)
    }

    /// Around the directory of names; every user may enter it.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The directory of names.
    #[must_use]
    pub fn names(&self) -> PathBuf {
        self.0.path().join("names")
    }

    /// The folder of the server.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.names().join(NAME)
    }

    /// What lies in the directory of names, nothing if that is not there.
    #[must_use]
    pub fn left_over(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.names()).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// The name over this transport. What is a whole address already stays one.
    #[must_use]
    pub fn address(scheme: &str) -> String {
        if scheme.contains(':') { scheme.to_owned() } else { format!("{scheme}:{NAME}") }
    }

    /// The actor in a role of `roles`, with this house's names.
    #[must_use]
    pub fn actor(&self, role: &str, arguments: &[&str]) -> Command {
        self.prepared(Command::new(env_actor()), role, arguments)
    }

    /// The same, as another user and from a place that every user may read.
    #[must_use]
    pub fn actor_as(&self, uid: u32, role: &str, arguments: &[&str]) -> Command {
        let copy = self.path().join("actor");
        if !copy.exists() {
            // By a program of its own: while this process has it open for writing, so may a child that another thread
            // has just forked, and a file open for writing cannot be run (ETXTBSY).
            let copied = Command::new("cp").args([&env_actor(), &copy]).status();
            assert!(copied.unwrap().success());
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = Command::new(copy);
        // Without CAP_SETGID in the child the groups of root would stay; std drops them when it sets a uid as root.
        command.uid(uid).gid(uid).current_dir("/");
        self.prepared(command, role, arguments)
    }

    fn prepared(&self, mut command: Command, role: &str, arguments: &[&str]) -> Command {
        command.arg(role).args(arguments).env(hobnob::VARIABLE, self.names()).env_remove("RUST_LOG");
        command
    }

    /// An echo server in a process of its own, listening.
    #[must_use]
    pub fn serve(&self, scheme: &str) -> Program {
        let mut server = Program::start(&mut self.actor("serve", &[&Self::address(scheme)]));
        server.wait_for("listening");
        server
    }

    /// A server in this process.
    #[must_use]
    pub fn serve_here(&self, scheme: &str) -> AnyServer {
        self.serve_with(scheme, |options| options).unwrap()
    }

    /// # Errors
    /// As `new_server`.
    pub fn serve_with(
        &self,
        scheme: &str,
        change: impl FnOnce(ServerOptions) -> ServerOptions,
    ) -> Result<AnyServer> {
        let options = change(ServerOptions::new().directory(self.names()));
        AnyServer::new_server_with(&Self::address(scheme).parse().unwrap(), &options)
    }

    #[must_use]
    pub fn client_options(&self) -> ConnectOptions {
        ConnectOptions::new().directory(self.names()).deadline(Deadline::Forever)
    }

    #[must_use]
    pub fn connect(&self, scheme: &str) -> AnyConnection {
        self.try_connect(scheme).unwrap()
    }

    /// # Errors
    /// As `connect_to`.
    pub fn try_connect(&self, scheme: &str) -> Result<AnyConnection> {
        AnyConnection::connect_with(&Self::address(scheme).parse().unwrap(), &self.client_options())
    }

    /// A road made by hand, before the hello.
    #[must_use]
    pub fn knock(&self, scheme: &str) -> wire::Road {
        wire::Road::knock(&self.folder(), scheme).unwrap()
    }
}

/// The actor: cargo builds it beside the tests.
fn env_actor() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join("actor");
    assert!(path.exists(), "{} is not built: run `cargo build -p faults` first", path.display());
    path
}
