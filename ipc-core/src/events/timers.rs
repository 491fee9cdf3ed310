//! When clients are to be looked at though no descriptor says so. Most never are.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use super::slots::Token;

/// One time for each client at most, and none for who is gone.
#[derive(Debug, Default)]
pub(super) struct Timers {
    times: BTreeSet<(Instant, Token)>,
    of: HashMap<Token, Instant>,
}

impl Timers {
    /// It is looked at then, unless it will be before.
    pub(super) fn add(&mut self, at: Instant, token: Token) {
        if self.of.get(&token).is_some_and(|due| *due <= at) {
            return;
        }
        self.forget(token);
        self.of.insert(token, at);
        self.times.insert((at, token));
    }

    pub(super) fn forget(&mut self, token: Token) {
        if let Some(at) = self.of.remove(&token) {
            self.times.remove(&(at, token));
        }
    }

    /// How long it is until the first; none if there is none.
    pub(super) fn next(&self) -> Option<Duration> {
        self.times.first().map(|(at, _)| at.saturating_duration_since(Instant::now()))
    }

    /// The first that is due.
    pub(super) fn pop_due(&mut self) -> Option<Token> {
        let (at, token) = *self.times.first()?;
        (at <= Instant::now()).then(|| {
            self.forget(token);
            token
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.times.is_empty() && self.of.is_empty()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_is_due_once_at_the_earliest_of_its_times() {
        let (now, mut timers) = (Instant::now(), Timers::default());
        let later = |seconds| now.checked_add(Duration::from_secs(seconds)).unwrap();
        for (at, token) in [(later(900), 1), (now, 1), (later(900), 1), (now, 2), (later(800), 3)] {
            timers.add(at, token);
        }
        assert_eq!([timers.pop_due(), timers.pop_due(), timers.pop_due()], [Some(1), Some(2), None]);
        assert!(timers.next().unwrap() > Duration::from_secs(700), "the third is still to come");
    }

    /// With a long time to wait and many clients that come and go they would be without bound.
    #[test]
    fn who_is_gone_has_no_time() {
        let (at, mut timers) = (Instant::now(), Timers::default());
        for token in 0..100 {
            timers.add(at, token);
            timers.forget(token);
        }
        assert!(timers.is_empty());
    }
}
