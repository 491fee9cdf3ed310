//! A program under strace, where that is to be had: its system calls can be read, or be made slow.

use std::{fs, process::Command};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{House, Program};

/// A server under strace. It ends with this.
pub struct UnderStrace {
    pub program: Program,
    /// The server itself, and not strace.
    pid: Option<Pid>,
    trace: TempDir,
}

impl UnderStrace {
    /// Starts a server that says that it is listening, with these arguments to strace. `None`: there is no strace.
    #[must_use]
    pub fn start(house: &House, server: &Command, arguments: &[&str]) -> Option<Self> {
        Command::new("strace").arg("-V").output().ok().filter(|said| said.status.success())?;
        let trace = tempfile::tempdir().unwrap();
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-qq", "-y", "-s", "300"])
            .args(arguments)
            .arg("-o")
            .arg(trace.path().join("trace"));
        strace.arg(server.get_program()).args(server.get_args());
        for (name, value) in server.get_envs() {
            value.map(|value| strace.env(name, value));
        }
        let mut program = Program::start(&mut strace);
        program.wait_for("listening");
        let record = fs::read_to_string(house.folder().join("record")).unwrap();
        let pid = record.lines().find_map(|line| line.strip_prefix("pid=")).unwrap().parse().unwrap();
        Some(Self { program, pid: Some(Pid::from_raw(pid)), trace })
    }

    /// Ends it, and gives what strace wrote.
    #[must_use]
    pub fn calls(mut self) -> String {
        self.end();
        fs::read_to_string(self.trace.path().join("trace")).unwrap()
    }

    fn end(&mut self) {
        if let Some(pid) = self.pid.take() {
            let _ = kill(pid, Signal::SIGKILL);
            self.program.ended();
        }
    }
}

impl Drop for UnderStrace {
    /// strace that is killed lets its program go on.
    fn drop(&mut self) {
        self.end();
    }
}
