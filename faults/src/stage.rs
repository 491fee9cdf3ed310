//! Death at every stop of a deed, one after the other, and what must hold after each.

use crate::{
    House, Program,
    aftermath::{Neighbour, next_start_works, shown},
    saw, skipped,
    traced::{Fate, kill_at, seize},
};

/// Several deeds that were done before the stop: what waits may need a call more the next time.
const SEVERAL: usize = 3;

/// Where one victim dies.
pub struct Stage<'a> {
    house: &'a House,
    scheme: &'a str,
    deed: &'a str,
    number: usize,
    /// What has happened, for the texts of failures.
    pub after: String,
}

/// Has an actor die at each stop of a deed, and looks after each death whether the next server can start.
pub fn at_every_stop(house: &House, scheme: &str, deed: &str, once: impl Fn(&Stage<'_>) -> Fate) {
    if !seize(&Program::start(&mut house.actor("deed", &["start", &House::address(scheme)]))) {
        return skipped("death at every system call: ptrace(2) is not permitted here");
    }
    let neighbour = Neighbour::of(house, scheme);
    let (mut deaths, mut done, mut most) = (0, 0, 0);
    for number in 1.. {
        let after = format!("death at stop {number} of {deed} over {scheme}");
        let stage = Stage { house, scheme, deed, number, after };
        match once(&stage) {
            Fate::Killed => deaths += 1,
            Fate::Done(stops) => (done, most) = (done + 1, most.max(stops)),
        }
        next_start_works(house, scheme, &stage.after);
        neighbour.must_be_untouched(&stage.after);
        if done == SEVERAL {
            break;
        }
    }
    neighbour.must_still_serve(house);
    let seen = "every next start worked at the first try; nothing left";
    saw("F2", shown(scheme), format!("{deed}: {deaths} deaths in {} system calls", most / 2), seen);
}

impl Stage<'_> {
    /// One that is ready for its deed, and seized.
    #[must_use]
    pub fn victim(&self) -> Program {
        let arguments = [self.deed, &House::address(self.scheme)];
        let mut victim = Program::start(&mut self.house.actor("deed", &arguments));
        victim.wait_for("ready");
        assert!(seize(&victim));
        victim
    }

    /// Lets it do its deed, to its death.
    pub fn kill(&self, mut victim: Program) -> Fate {
        kill_at(&mut victim, self.number)
    }
}
