//! Tests that need another process start themselves again, in a role.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use ipc_core::{Address, Faults, IpcServer, ServerOptions};

use crate::{
    Subject,
    stage::{Stage, echo},
};

const ROLE: &str = "HOBNOB_TEST_ROLE";
const NAMES: &str = "HOBNOB_TEST_NAMES";
const ADDRESS: &str = "HOBNOB_TEST_ADDRESS";

/// Another process that plays a role until it is told or killed.
pub struct Actor {
    child: Child,
    /// Kept open: what it prints later must go somewhere.
    _output: BufReader<ChildStdout>,
}

impl Actor {
    /// Starts this test again in `role`, and waits for its word that it has begun.
    pub fn start<S: Subject>(role: &str, stage: &Stage<S>, uid: Option<u32>) -> Self {
        let mut command = match uid {
            None => Command::new(env::current_exe().unwrap()),
            Some(uid) => {
                let mut command = Command::new(readable_copy(stage.dir.path()));
                command.uid(uid).gid(uid).current_dir("/");
                command
            }
        };
        command.args([crate::watchdog::current(), "--exact", "--nocapture", "--test-threads=1"]);
        command.env(crate::seed::SEED, crate::seed().to_string());
        command.env(ROLE, role).env(NAMES, stage.names()).env(ADDRESS, stage.address.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let said = output.by_ref().lines().map_while(Result::ok).find(|line| line.contains("begun"));
        assert!(said.is_some(), "the other process did not begin");
        Self { child, _output: output }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it ended well, by itself.
    pub fn ended_well(&mut self) -> bool {
        self.child.wait().unwrap().success()
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This test's binary where every user can reach it.
fn readable_copy(dir: &Path) -> std::path::PathBuf {
    let copy = dir.join("test");
    // A storm of signals may be on.
    while let Err(error) = fs::copy(env::current_exe().unwrap(), &copy) {
        assert_eq!(error.kind(), io::ErrorKind::Interrupted, "{error}");
    }
    for (path, mode) in [(dir, 0o755), (copy.as_path(), 0o755)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    copy
}

/// Whether this process is there for a role, which then has been played.
#[must_use]
pub fn play_role<S: Subject>() -> bool {
    let Ok(role) = env::var(ROLE) else { return false };
    let address: Address = env::var(ADDRESS).unwrap().parse().unwrap();
    let options = ServerOptions::new().directory(env::var(NAMES).unwrap());
    let options = options.seams(Faults::seed(crate::seed()));
    match role.as_str() {
        "echo" => serve::<S>(&address, &options),
        "mute" => mute::<S>(&address, &options),
        "count descriptors" => crate::lifecycle::count_descriptors::<S>(),
        other => panic!("no such role: {other}"),
    }
    true
}

fn serve<S: Subject>(address: &Address, options: &ServerOptions) {
    let mut server = S::new_server_with(address, options).unwrap();
    println!("begun");
    loop {
        let _ = echo(&mut server.accept_client().unwrap());
    }
}

/// Has the name, and never looks at its clients.
fn mute<S: Subject>(address: &Address, options: &ServerOptions) {
    let _server = S::new_server_with(address, options).unwrap();
    println!("begun");
    // To its end: one read could be ended by a signal.
    let _ = std::io::read_to_string(std::io::stdin());
}
