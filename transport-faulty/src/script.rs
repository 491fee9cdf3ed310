//! What each call of one half meets. The n-th call always meets the n-th draw, whatever the timing.

use std::{io, thread, time::Duration};

use ipc_core::{Fault, Faults, Happening, Part, Side, Spot};

/// One connection with faults, or the listener.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    faults: Faults,
    side: Side,
    number: u64,
}

/// The faults of one part of a connection.
#[derive(Debug)]
pub(crate) struct Script {
    faults: Faults,
    spot: Spot,
    key: u64,
    call: u64,
    /// The last call did nothing, so this one must do something.
    held_up: bool,
}

impl Origin {
    pub(crate) fn listener(faults: &Faults) -> Self {
        Self { faults: faults.clone(), side: Side::Server, number: 0 }
    }

    pub(crate) fn next(faults: &Faults, side: Side) -> Self {
        Self { faults: faults.clone(), side, number: faults.next_connection(side) }
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    pub(crate) fn script(&self, part: Part) -> Script {
        let spot = Spot { side: self.side, number: self.number, part };
        let key = [spot.side as u64, spot.number, spot.part as u64]
            .into_iter()
            .fold(self.faults.seed, |key, word| mix(key ^ mix(word)));
        Script { faults: self.faults.clone(), spot, key, call: 0, held_up: false }
    }
}

impl Script {
    /// How many of the bytes asked for the next call may move.
    ///
    /// # Errors
    /// `Interrupted` or `WouldBlock`, if that is what it meets.
    pub(crate) fn meet(&mut self, asked: usize) -> io::Result<usize> {
        self.call += 1;
        let bits = mix(self.key.wrapping_add(self.call));
        let fault = self.faults.draw(bits);
        let was_held_up = std::mem::take(&mut self.held_up);
        // From other bits than the draw itself.
        let share = bits >> 32;
        match fault {
            Some(Fault::Interrupted) if !was_held_up => self.hold_up(Fault::Interrupted),
            Some(Fault::NotNow) if !was_held_up => self.hold_up(Fault::NotNow),
            Some(Fault::Short) => Ok(self.shorten(Fault::Short, asked, part_of(asked, share))),
            Some(Fault::OneByte) => Ok(self.shorten(Fault::OneByte, asked, 1)),
            Some(Fault::Delay) => {
                self.happened(Fault::Delay, 0);
                thread::sleep(self.delay(share));
                Ok(asked)
            }
            _ => Ok(asked),
        }
    }

    pub(crate) fn happened(&self, fault: Fault, bytes: u64) {
        if let Some(trace) = &self.faults.trace {
            trace.add(Happening { spot: self.spot, call: self.call, fault, bytes });
        }
    }

    fn hold_up(&mut self, fault: Fault) -> io::Result<usize> {
        self.held_up = true;
        self.happened(fault, 0);
        Err(if fault == Fault::NotNow { io::ErrorKind::WouldBlock } else { io::ErrorKind::Interrupted }
            .into())
    }

    /// What is one byte long cannot be cut.
    fn shorten(&self, fault: Fault, asked: usize, most: usize) -> usize {
        if asked <= 1 {
            return asked;
        }
        self.happened(fault, most as u64);
        most
    }

    fn delay(&self, share: u64) -> Duration {
        let longest = u64::try_from(self.faults.longest_delay.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(share % longest.saturating_add(1).max(1))
    }
}

/// At least 1, and less than `asked`. Few bytes are as likely as many: a read is asked for all that there is room for,
/// and cut only if it gets less than was sent.
fn part_of(asked: usize, share: u64) -> usize {
    let most = asked.saturating_sub(1).max(1) as u64;
    let doublings = share % u64::from(most.ilog2() + 1);
    let upto = most.min((2 << doublings) - 1);
    (1 + (share >> 8) % upto) as usize
}

/// The finisher of splitmix64: every bit of the result depends on every bit of the word.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(seed: u64, part: Part) -> Vec<Result<usize, io::ErrorKind>> {
        let mut script = Origin::next(&Faults::seed(seed), Side::Client).script(part);
        (0..500).map(|_| script.meet(100).map_err(|error| error.kind())).collect()
    }

    #[test]
    fn the_seed_decides_and_each_part_has_its_own_faults() {
        assert_eq!(calls(1, Part::Tx), calls(1, Part::Tx));
        assert_ne!(calls(1, Part::Tx), calls(2, Part::Tx));
        assert_ne!(calls(1, Part::Tx), calls(1, Part::Rx));
    }

    #[test]
    fn every_second_call_goes_on_whatever_the_rates() {
        let faults = Faults::none().rate(Fault::NotNow, 512).rate(Fault::Interrupted, 512);
        let mut script = Origin::listener(&faults).script(Part::Listener);
        for _ in 0..100 {
            assert_eq!((script.meet(9).is_err(), script.meet(9).ok()), (true, Some(9)));
        }
    }

    #[test]
    fn a_short_call_moves_something_and_not_all() {
        let mut script = Origin::listener(&Faults::none().rate(Fault::Short, 1024)).script(Part::Tx);
        let mut seen = [0; 5];
        for _ in 0..400 {
            seen[script.meet(4).unwrap()] += 1;
        }
        assert!(seen[0] == 0 && seen[4] == 0 && seen[1..4].iter().all(|count| *count > 50), "{seen:?}");
        assert_eq!((script.meet(1).unwrap(), script.meet(0).unwrap()), (1, 0));
    }
}
