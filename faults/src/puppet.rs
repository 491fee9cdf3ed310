//! Another user's process that does what the test tells it, one command a line, so that a test can say in one place
//! and in order what each of several users does.

use std::{cell::RefCell, fs, io::Write, path::Path, process::Command};

use crate::{House, Program, wire};

/// A process of some user, in the server's folder: `clients/x` and `sock` are paths to it.
pub struct Puppet {
    program: RefCell<Program>,
    /// The number that it knows itself by.
    pub pid: u32,
}

impl Puppet {
    /// A process of this user; the server's folder must be there.
    #[must_use]
    pub fn start(house: &House, uid: u32) -> Self {
        Self::of(Program::start(&mut house.actor_as(uid, "puppet", &[house.folder().to_str().unwrap()])))
    }

    /// The same, in a PID namespace of its own, inside ours.
    #[must_use]
    pub fn start_in_new_pids(house: &House, uid: u32) -> Self {
        let actor = house.actor_as(uid, "puppet", &[house.folder().to_str().unwrap()]);
        Self::of(Program::start(&mut in_new_pids(&actor, uid)))
    }

    /// One that was started some other way.
    #[must_use]
    pub fn of(mut program: Program) -> Self {
        let ready = program.wait_for("puppet");
        let pid = ready.rsplit_once(' ').unwrap().1.parse().unwrap();
        Self { program: RefCell::new(program), pid }
    }

    /// Ends it at once, in the middle of whatever it has begun.
    pub fn kill(self) {
        self.program.into_inner().kill();
    }

    /// Does what `roles::puppet` knows by these words, and gives what came of it, or the error's name.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn tries(&self, words: &str) -> Result<String, String> {
        let mut program = self.program.borrow_mut();
        writeln!(program.stdin, "{words}").unwrap();
        let answer = program.wait_for("");
        match answer.split_once(' ') {
            Some(("done", what)) => Ok(what.to_owned()),
            Some(("failed", why)) => Err(why.to_owned()),
            _ => panic!("{words}: {answer}"),
        }
    }

    /// The same, and it must succeed.
    pub fn does(&self, words: &str) -> String {
        self.tries(words).unwrap_or_else(|why| panic!("{words}: {why}"))
    }

    /// A name that an honest client of this process could have chosen.
    #[must_use]
    pub fn fresh_name(&self) -> String {
        format!("clients/{}", wire::stem(self.pid, wire::fresh()))
    }
}

/// What a file is: device, inode, mode, owner, links. `None`: it is not there.
#[must_use]
pub fn file(path: &Path) -> Option<[u64; 5]> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::symlink_metadata(path).ok()?;
    Some([found.dev(), found.ino(), found.mode().into(), found.uid().into(), found.nlink()])
}

/// This command, for this user, in a PID namespace of its own with its own /proc; as root.
#[must_use]
pub fn in_new_pids(command: &Command, uid: u32) -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    unshare.arg(format!("--setgid={uid}")).arg(format!("--setuid={uid}"));
    unshare.arg(command.get_program()).args(command.get_args()).current_dir("/");
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => unshare.env(name, value),
            None => unshare.env_remove(name),
        };
    }
    unshare
}
