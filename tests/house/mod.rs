//! What the tests with real processes share: a directory of names, and the example programs run in it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
    time::Duration,
};

use hobnob::{
    Address, AnyConnection, AnyServer, ConnectOptions, Deadline, IpcReceiver, IpcSender, ServerOptions,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// Every address the programs can be given for the name `calc`: over each transport, and bare.
pub fn addresses() -> Vec<String> {
    let kernel = hobnob::transports().filter(|scheme| *scheme != "inproc");
    kernel.map(|scheme| format!("{scheme}:calc")).chain(["calc".to_owned()]).collect()
}

pub fn parsed(address: &str) -> Address {
    address.parse().unwrap()
}

pub fn echoes(client: &mut AnyConnection, info: &[u8]) {
    client.send_info(info).unwrap();
    assert_eq!(client.recv_borrowed().unwrap(), Some(info));
}

/// Runs a test over every address, each in a directory of its own.
pub fn each_address(name: &'static str, test: impl Fn(&House, &str)) {
    conformance::watched(name, || addresses().iter().for_each(|address| test(&House::new(), address)));
}

/// Past the test harness, which keeps what a passing test prints.
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// What a program said that ended well.
pub fn said(ended: &Output) -> String {
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
    String::from_utf8(ended.stdout.clone()).unwrap()
}

/// The one line of a program that failed.
pub fn complaint(ended: &Output) -> String {
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let said = String::from_utf8(ended.stderr.clone()).unwrap();
    assert!(said.lines().count() == 1 && ended.stdout.is_empty(), "{ended:?}");
    said
}

/// A directory of names that no other test has.
pub struct House(TempDir);

impl House {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn names(&self) -> PathBuf {
        self.0.path().join("names")
    }

    /// For files of the test.
    pub fn place(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn left_over(&self) -> Vec<PathBuf> {
        fs::read_dir(self.names()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let test = env::current_exe().unwrap();
        let path = test.parent().unwrap().parent().unwrap().join("examples").join(program);
        assert!(path.exists(), "{} is not built: run `cargo build --examples` first", path.display());
        self.inside(Command::new(path), arguments)
    }

    /// This program, in the house.
    pub fn inside(&self, mut command: Command, arguments: &[&str]) -> Command {
        command
            .args(arguments)
            .env(hobnob::VARIABLE, self.names())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    pub fn client(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command("echo_client", arguments);
        let mut client =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // One that failed at once may not read it.
        let _ = client.stdin.take().unwrap().write_all(input.as_bytes());
        client.wait_with_output().unwrap()
    }

    pub fn serve(&self, address: &str) -> Program {
        let mut server = Program::start(&mut self.command("echo_server", &[address]));
        server.wait_for("listening on");
        server
    }

    /// A server in the test's own process.
    pub fn serve_here(&self, address: &str) -> AnyServer {
        let options = ServerOptions::new().directory(self.names()).accept_deadline(Duration::from_secs(100));
        AnyServer::new_server_with(&parsed(address), &options).unwrap()
    }

    pub fn connect(&self, address: &str) -> AnyConnection {
        let options = ConnectOptions::new().directory(self.names()).deadline(Deadline::Forever);
        AnyConnection::connect_with(&parsed(address), &options).unwrap()
    }
}

/// A running program; killed if the test ends before it does.
pub struct Program {
    pub child: Child,
    pub stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Program {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, stdin, stdout }
    }

    pub fn wait_for(&mut self, words: &str) {
        let found = self.lines().any(|line| line.contains(words));
        assert!(found, "it ended without {words:?}; are the examples built, with these features?");
    }

    /// What it prints from now on.
    pub fn lines(&mut self) -> impl Iterator<Item = String> {
        self.stdout.by_ref().lines().map_while(Result::ok)
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Its exit code, or the signal that ended it.
    pub fn ended(&mut self) -> (Option<i32>, Option<i32>) {
        let status = self.child.wait().unwrap();
        (status.code(), status.signal())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
