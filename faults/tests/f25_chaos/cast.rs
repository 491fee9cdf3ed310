//! Who takes part in the chaos, and what is done to them.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use faults::{Dice, House, Program, aftermath, settles};
use nix::sys::signal::Signal;

pub struct Cast<'a> {
    pub house: &'a House,
    pub scheme: &'static str,
    pub server: Program,
    /// A server's descriptors and threads while nobody is there.
    at_first: (usize, usize),
    /// Odd while there is no server, or one that may be about to die.
    lives: Arc<AtomicU64>,
    talkers: Vec<Program>,
    vandals: Vec<Program>,
    dice: Dice,
    born: u64,
    done: [u64; DEEDS.len()],
}

const DEEDS: [&str; 7] = [
    "servers killed",
    "servers ended",
    "servers stopped",
    "clients killed",
    "clients stopped",
    "vandals killed",
    "vandals stopped",
];

/// How many of each kind there are.
const MANY: usize = 2;

impl<'a> Cast<'a> {
    pub fn new(house: &'a House, scheme: &'static str, dice: Dice) -> Self {
        let server = start_server(house, scheme);
        let at_first = alone(house, scheme, &server);
        let (talkers, vandals) = (Vec::new(), Vec::new());
        let (lives, born, done) = (Arc::default(), 0, [0; DEEDS.len()]);
        Self { house, scheme, server, at_first, lives, talkers, vandals, dice, born, done }
    }

    /// Changes whenever the server does, and is odd meanwhile.
    pub fn lives(&self) -> Arc<AtomicU64> {
        self.lives.clone()
    }

    /// For somebody else's random deeds.
    pub fn dice(&mut self, number: u64) -> Dice {
        Dice::of(self.dice.roll() ^ number)
    }

    pub fn enter(&mut self) {
        for _ in 0..MANY {
            let (talker, vandal) = (self.talker(), self.vandal());
            self.talkers.push(talker);
            self.vandals.push(vandal);
        }
    }

    fn talker(&mut self) -> Program {
        self.born += 1;
        let arguments = [House::address(self.scheme), self.born.to_string()];
        start(self.house, "soak-talk", &arguments.each_ref().map(String::as_str), "talking")
    }

    fn vandal(&mut self) -> Program {
        self.born += 1;
        let folder = self.house.folder().display().to_string();
        start(self.house, "rage", &[self.scheme, &folder, &self.born.to_string()], "raging")
    }

    /// Something happens to somebody, after a while.
    pub fn deed(&mut self, mortal: bool) {
        thread::park_timeout(self.dice.below(Duration::from_millis(60)));
        // The server is not disturbed all the time: the honest shall have their chance.
        let deed = if mortal && self.dice.one_in(6) {
            self.dice.roll() as usize % 2
        } else {
            2 + self.dice.roll() as usize % 5
        };
        self.done[deed] += 1;
        let (who, span) = (self.dice.roll() as usize % MANY, self.dice.below(Duration::from_millis(150)));
        match deed {
            0 => self.next_server(|server| server.kill()),
            1 => self.next_server(|server| drop(end(server))),
            2 => pause(&self.server, span),
            3 => {
                must_run(&mut self.talkers[who]);
                self.talkers[who].kill();
                self.talkers[who] = self.talker();
            }
            4 => pause(&self.talkers[who], span),
            5 => {
                must_run(&mut self.vandals[who]);
                self.vandals[who].kill();
                self.vandals[who] = self.vandal();
            }
            _ => pause(&self.vandals[who], span),
        }
    }

    fn next_server(&mut self, end: impl FnOnce(&mut Program)) {
        self.lives.fetch_add(1, SeqCst);
        must_run(&mut self.server);
        end(&mut self.server);
        self.server = start_server(self.house, self.scheme);
        self.lives.fetch_add(1, SeqCst);
    }

    /// The vandals go; the honest shall talk in peace.
    pub fn calm(&mut self) {
        self.vandals.iter_mut().for_each(must_run);
        self.vandals.clear();
    }

    /// Nobody is left but the server.
    pub fn leave(&mut self) {
        self.talkers.iter_mut().for_each(must_run);
        self.talkers.clear();
    }

    pub fn server_is_as_at_first(&mut self) {
        must_run(&mut self.server);
        let process = self.server.process();
        settles("descriptors and threads of the server, with all its clients gone", &self.at_first, || {
            (process.descriptors(), process.threads())
        });
    }

    /// Ends the last server; gives its own account of who came.
    pub fn stop(mut self) -> String {
        must_run(&mut self.server);
        end(&mut self.server)
    }

    /// What was done, and how often.
    pub fn deeds(&self) -> String {
        let mut text = String::new();
        for (deed, times) in DEEDS.iter().zip(self.done) {
            let _ = write!(text, "{}{times} {deed}", if text.is_empty() { "" } else { ", " });
        }
        text
    }
}

fn start(house: &House, role: &str, arguments: &[&str], word: &str) -> Program {
    // One arena for all threads: how many there are otherwise is chance, and shows in the memory.
    let mut program = Program::start(house.actor(role, arguments).env("MALLOC_ARENA_MAX", "1"));
    program.wait_for(word);
    program
}

fn start_server(house: &House, scheme: &str) -> Program {
    start(house, "soak-serve", &[&House::address(scheme)], "listening")
}

/// The descriptors and threads of a server that has served its first client, who has left.
fn alone(house: &House, scheme: &str, server: &Program) -> (usize, usize) {
    aftermath::reaches_a_server(house, scheme, "at first");
    let process = server.process();
    settles("threads", &THREADS, || process.threads());
    (process.descriptors(), THREADS)
}

/// One accepts, one waits for signals, and one for the end of standard input.
const THREADS: usize = 3;

/// In an orderly way.
fn end(server: &mut Program) -> String {
    server.signal(Signal::SIGTERM);
    let account = server.wait_for("stopped: ");
    assert_eq!(server.ended(), (Some(0), None), "the server's end");
    account.replace("stopped: ", "").trim_end().to_owned()
}

fn pause(program: &Program, span: Duration) {
    program.signal(Signal::SIGSTOP);
    thread::park_timeout(span);
    program.signal(Signal::SIGCONT);
}

/// Nobody ends but by our hand: not a server for what a client does, and not a client for a wrong answer.
fn must_run(program: &mut Program) {
    if let Some(status) = program.child.try_wait().unwrap() {
        panic!("it has ended by itself: {status}, and said {:?}", program.rest());
    }
}
