//! One of many who want the same name. Each owner leaves a witness that owes nothing to hobnob's lease, and has a
//! client ask who answers under the name.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
    process, thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hobnob::{
    AnyConnection, AnyServer, ConnectOptions, Deadline, ErrorKind, IpcReceiver, IpcSender, IpcServer, Result,
    StopHandle,
};
use nix::sys::signal::{Signal, raise};

use crate::{Dice, aftermath::PATIENCE};

/// The file in the racers' place that each says its words to, a line each.
pub const DIARY: &str = "diary";
/// It was owner, alone, and reached.
pub const OWNED: &str = "owned";
/// Somebody else was owner at the same time.
pub const DOUBLE: &str = "double";
/// Its name led a client elsewhere or nowhere.
pub const LOST: &str = "lost";
/// It was told something else than that the name is in use.
pub const FAILED: &str = "failed";
/// It died with the name in its hands.
pub const CRASHED: &str = "crashed";
/// The exit code of one who crashes without a signal.
pub const EXIT: i32 = 9;

const WITNESS: &str = "witness";
/// Who answers later than that is lost.
const ANSWER: Deadline = PATIENCE;
const PAUSE: Duration = Duration::from_millis(4);
/// How often an owner has it asked who answers.
const QUESTIONS: usize = 2;

struct Racer<'a> {
    address: &'a str,
    place: &'a Path,
    diary: File,
}

/// Takes the name as often as it can until `end` (milliseconds since 1970). A fifth of the owners die of it.
pub(super) fn play(address: &str, place: &Path, end: u128) -> Result<()> {
    let diary = OpenOptions::new().append(true).create(true).open(place.join(DIARY))?;
    let mut racer = Racer { address, place, diary };
    let mut dice = Dice::of(process::id().into());
    while SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() < end {
        // Not without a pause: an owner that gets no processor time gives nobody anything to race for.
        thread::sleep(dice.below(PAUSE));
        match hobnob::new_server(address) {
            Ok(server) => racer.own(server, dice.roll() % 10),
            Err(error) if matches!(error.kind(), ErrorKind::NameInUse { .. }) => {}
            Err(error) => racer.note(&format!("{FAILED}: {error}")),
        }
    }
    Ok(())
}

impl Racer<'_> {
    fn own(&mut self, mut server: AnyServer, fate: u64) {
        if fate == 0 {
            self.crash();
        }
        let witness = self.place.join(WITNESS);
        match File::create_new(&witness) {
            Ok(_) => self.be_reached(&mut server),
            Err(_) => return self.note(DOUBLE),
        }
        // Before the name is given up: who takes it next finds no witness.
        fs::remove_file(witness).unwrap();
        self.note(OWNED);
        if fate == 1 {
            self.crash();
        }
        server.destroy_server().unwrap();
    }

    /// Without any cleaning up, with a signal or without.
    fn crash(&mut self) {
        self.note(CRASHED);
        if process::id().is_multiple_of(2) {
            process::exit(EXIT);
        }
        raise(Signal::SIGKILL).unwrap();
    }

    fn be_reached(&mut self, server: &mut AnyServer) {
        for _ in 0..QUESTIONS {
            let stop = StopHandle::new().unwrap();
            server.stop_with(&stop);
            let answer = thread::scope(|scope| {
                scope.spawn(|| answer_all(server));
                let answer = who_answers(self.address);
                stop.stop();
                answer
            });
            match answer {
                Ok(id) if id == process::id().to_le_bytes() => {}
                answer => return self.note(&format!("{LOST}: {answer:?}")),
            }
        }
    }

    /// One write, so that the lines of many do not mix.
    fn note(&mut self, words: &str) {
        self.diary.write_all(format!("{words}\n").as_bytes()).unwrap();
    }
}

/// Tells everybody who this is, until it is stopped.
fn answer_all(server: &mut AnyServer) {
    while let Ok(mut client) = server.accept_client() {
        // A racer that asked may have died.
        let _ = client.send_info(&process::id().to_le_bytes());
    }
}

fn who_answers(address: &str) -> Result<Vec<u8>> {
    let options = ConnectOptions::new().deadline(ANSWER);
    let mut server = AnyConnection::connect_with(&address.parse()?, &options)?;
    let mut id = Vec::new();
    server.recv_info_by(&mut id, ANSWER)?;
    Ok(id)
}
