//! Honest clients in the test's own process. Each must be served within a generous time whenever there is a server, and
//! whatever it is answered must be right.

use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use faults::{Dice, House, roles::converse};
use hobnob::{AnyConnection, ErrorKind, Refusal, Result};

use crate::cast::Cast;

const MANY: u64 = 2;

/// Far above what anything here takes on a loaded machine.
const GENEROUS: Duration = Duration::from_secs(30);

/// What became of them.
#[derive(Default)]
pub struct Honest {
    served: AtomicU64,
    /// Cut off by the death of a server.
    cut: AtomicU64,
    /// Had to try again, though nobody had died.
    again: AtomicU64,
    longest: Mutex<Duration>,
}

impl fmt::Display for Honest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (served, cut, again) = (self.served.load(SeqCst), self.cut.load(SeqCst), self.again.load(SeqCst));
        let longest = self.longest.lock().unwrap().as_millis();
        write!(f, "{served} honest talks all right, {cut} cut off with their server, {again} tried again; ")?;
        write!(f, "with a server there the longest took {longest} ms")
    }
}

impl Honest {
    /// They talk while the chaos goes on, and each once more when it is over.
    pub fn while_they_talk<'a>(&self, cast: &mut Cast<'a>, chaos: impl FnOnce(&mut Cast<'a>)) {
        let (house, scheme, lives) = (cast.house, cast.scheme, cast.lives());
        let (lives, over) = (&*lives, AtomicBool::new(false));
        thread::scope(|scope| {
            let at_end = SetAtEnd(&over);
            for number in 0..MANY {
                let mut client = Client { house, scheme, lives, dice: cast.dice(number) };
                let over = &over;
                scope.spawn(move || {
                    while !over.load(SeqCst) {
                        self.talk(&mut client);
                    }
                    self.talk(&mut client);
                });
            }
            chaos(cast);
            drop(at_end);
        });
    }

    /// Until it has been served, or a server has died.
    fn talk(&self, client: &mut Client<'_>) {
        let (began, life) = (Instant::now(), client.lives.load(SeqCst));
        while let Err(error) = client.talk() {
            if life % 2 == 1 || client.lives.load(SeqCst) != life {
                self.cut.fetch_add(1, SeqCst);
                thread::park_timeout(Duration::from_millis(1));
                return;
            }
            let passes =
                matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Refused { reason: Refusal::Evicted });
            assert!(passes, "an honest client failed, and the server was there: {error}");
            assert!(began.elapsed() < GENEROUS, "an honest client is not served: {error}");
            self.again.fetch_add(1, SeqCst);
        }
        self.served.fetch_add(1, SeqCst);
        if life % 2 == 0 && client.lives.load(SeqCst) == life {
            let mut longest = self.longest.lock().unwrap();
            *longest = began.elapsed().max(*longest);
        }
    }
}

struct Client<'a> {
    house: &'a House,
    scheme: &'static str,
    lives: &'a AtomicU64,
    dice: Dice,
}

impl Client<'_> {
    fn talk(&mut self) -> Result<()> {
        let options = self.house.client_options().deadline(Duration::from_secs(2));
        let address = House::address(self.scheme).parse()?;
        converse(AnyConnection::connect_with(&address, &options)?, &mut self.dice)
    }
}

/// Also when the chaos panics: the threads end then, and the test says why.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}
