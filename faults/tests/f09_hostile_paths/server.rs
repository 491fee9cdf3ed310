//! The server, under strace where that is to be had.

use std::path::Path;

use faults::{House, Program, UnderStrace, skipped};

pub enum Server {
    Traced(UnderStrace),
    Plain(Program),
}

impl Server {
    pub fn start(house: &House) -> Self {
        let mut actor = house.actor("witness", &[&House::address("unix")]);
        // The calls that name files, and those that write: the word "listening" is among them.
        if let Some(traced) = UnderStrace::start(house, &actor, &["-e", "trace=%file,write"]) {
            return Self::Traced(traced);
        }
        let mut program = Program::start(&mut actor);
        program.wait_for("listening");
        Self::Plain(program)
    }

    pub fn program(&mut self) -> &mut Program {
        match self {
            Self::Traced(traced) => &mut traced.program,
            Self::Plain(program) => program,
        }
    }

    /// Ends the server and reads what it did since it listened: nothing but look at, and unlink, plain names in
    /// `clients/`.
    pub fn check_calls(self, folder: &Path) -> String {
        let Self::Traced(traced) = self else {
            skipped("F9, the server's system calls: there is no strace");
            return "its system calls were not read: no strace".into();
        };
        let lines = traced.calls();
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
