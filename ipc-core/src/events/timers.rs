//! When clients are to be looked at though no descriptor says so. Most never are.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use super::slots::Token;

#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, Token)>>);

impl Timers {
    pub(super) fn add(&mut self, at: Instant, token: Token) {
        self.0.push(Reverse((at, token)));
    }

    /// How long it is until the first; none if there is none.
    pub(super) fn next(&self) -> Option<Duration> {
        self.0.peek().map(|Reverse((at, _))| at.saturating_duration_since(Instant::now()))
    }

    /// The first that is due.
    pub(super) fn pop_due(&mut self) -> Option<Token> {
        let Reverse((at, token)) = *self.0.peek()?;
        (at <= Instant::now()).then(|| {
            self.0.pop();
            token
        })
    }
}
