//! The server, under strace where that is to be had.

use std::{fs, path::Path, process::Command};

use faults::{House, Program, skipped};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

const TRACE: &str = "trace";

pub struct Server {
    pub program: Program,
    /// The server itself, and not strace.
    pid: Option<Pid>,
    trace: Option<TempDir>,
}

impl Server {
    pub fn start(house: &House) -> Self {
        let actor = house.actor("witness", &[&House::address("unix")]);
        let has_strace = Command::new("strace").arg("-V").output().is_ok_and(|said| said.status.success());
        let trace = has_strace.then(|| tempfile::tempdir().unwrap());
        let mut program = match &trace {
            Some(trace) => Program::start(&mut traced(&actor, &trace.path().join(TRACE))),
            None => Program::start(&mut { actor }),
        };
        program.wait_for("listening");
        let record = fs::read_to_string(house.folder().join("record")).unwrap();
        let pid = record.lines().find_map(|line| line.strip_prefix("pid=")).unwrap();
        Self { program, pid: Some(Pid::from_raw(pid.parse().unwrap())), trace }
    }

    /// Ends the server and reads what it did since it listened: nothing but look at, and unlink, plain names in
    /// `clients/`.
    pub fn check_calls(mut self, folder: &Path) -> String {
        self.end();
        let Some(trace) = &self.trace else {
            skipped("F9, the server's system calls: there is no strace");
            return "its system calls were not read: no strace".into();
        };
        let lines = fs::read_to_string(trace.path().join(TRACE)).unwrap();
        let at = lines.find("\"listening\\n\"").unwrap();
        let clients = format!("<{}/clients>, \"", folder.display());
        let mut count = 0;
        // The C library asks once how many processors there are.
        let named =
            |line: &&str| line.contains('"') && !line.contains(" write(") && !line.contains("\"/sys/");
        for line in lines[at..].lines().skip(1).filter(named) {
            let name = line.split_once(&clients).and_then(|(_, rest)| Some(rest.split_once('"')?.0));
            let plain = name.is_some_and(|name| !name.contains('/') && !name.starts_with('.'));
            let looks = plain && (line.contains(" newfstatat(") || line.contains(" unlinkat("));
            // Now and then it looks for what dead clients have left.
            let sweeps = name == Some(".") && line.contains(" openat(");
            assert!(looks || sweeps, "the server should not have done this: {line}");
            count += 1;
        }
        assert!(count > 0, "strace showed no call at all");
        format!("{count} calls of the server name a file, all in clients/")
    }
}

impl Server {
    fn end(&mut self) {
        if let Some(pid) = self.pid.take() {
            kill(pid, Signal::SIGKILL).unwrap();
            self.program.ended();
        }
    }
}

impl Drop for Server {
    /// strace that is killed lets its program go on.
    fn drop(&mut self) {
        self.end();
    }
}

/// The calls that name files, and those that write: the word "listening" is among them.
fn traced(actor: &Command, into: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-y", "-s", "300", "-e", "trace=%file,write", "-o"]).arg(into);
    strace.arg(actor.get_program()).args(actor.get_args());
    actor.get_envs().for_each(|(name, value)| {
        if let Some(value) = value {
            strace.env(name, value);
        }
    });
    strace
}
