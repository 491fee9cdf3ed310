//! A token bucket for each user: how many datagrams of one user are handed out in a row, and how many a second.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// A user that the kernel cannot name is one user.
pub(crate) type Uid = Option<u32>;

/// A token bucket for each user. [`ServerOptions::rate`](crate::ServerOptions::rate) keeps one and drops what is over it;
/// a program that would rather answer that keeps its own.
///
/// 1,024 users are told apart; any more at the same time share one bucket.
#[derive(Debug)]
pub struct Rates {
    /// How long it takes for a token to come.
    each: Duration,
    /// How long it takes until a bucket with one token is full.
    slack: Duration,
    /// Each bucket as the instant at which it will be full again.
    users: HashMap<Uid, Instant>,
    /// Shared by all users for whom the table has no room.
    others: Instant,
}

/// So many users are told apart: whoever can act as more is not to fill the memory too.
const USERS: usize = 1024;

impl Rates {
    /// So many tokens a second for each user, and at most `burst` after a pause. Both are at least 1.
    #[must_use]
    pub fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let each = Duration::from_secs(1) / per_second.max(1);
        let slack = each.saturating_mul(burst.max(1) - 1);
        Self { each, slack, users: HashMap::new(), others: now }
    }

    /// Pays for one datagram of this user. False: there is no token left.
    #[must_use]
    pub fn pay(&mut self, uid: Uid, now: Instant) -> bool {
        let (each, slack) = (self.each, self.slack);
        let full_at = self.bucket(uid, now);
        let from = (*full_at).max(now);
        let has_token = from.duration_since(now) <= slack;
        if has_token {
            *full_at = from + each;
        }
        has_token
    }

    fn bucket(&mut self, uid: Uid, now: Instant) -> &mut Instant {
        if self.users.len() >= USERS && !self.users.contains_key(&uid) {
            // A full bucket says no more than none.
            self.users.retain(|_, full_at| *full_at > now);
            if self.users.len() >= USERS {
                return &mut self.others;
            }
        }
        self.users.entry(uid).or_insert(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paid(rates: &mut Rates, uid: u32, now: Instant, tries: usize) -> usize {
        (0..tries).filter(|_| rates.pay(Some(uid), now)).count()
    }

    #[test]
    fn a_burst_is_free_and_then_there_are_so_many_a_second() {
        let start = Instant::now();
        let mut rates = Rates::new(10, 3, start);
        assert_eq!(paid(&mut rates, 1, start, 100), 3);
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!(paid(&mut rates, 1, at(99), 100), 0);
        assert_eq!(paid(&mut rates, 1, at(100), 100), 1);
        let in_two_seconds: usize = (1..=200).map(|i| paid(&mut rates, 1, at(100 + i * 10), 5)).sum();
        assert_eq!(in_two_seconds, 20);
        assert_eq!(paid(&mut rates, 1, at(60_000), 100), 3, "it holds no more than a burst");
    }

    #[test]
    fn one_user_pays_for_itself_only() {
        let start = Instant::now();
        let mut rates = Rates::new(1, 2, start);
        assert_eq!(paid(&mut rates, 1, start, 100), 2);
        assert_eq!(paid(&mut rates, 2, start, 100), 2);
    }

    #[test]
    fn the_table_is_bounded_and_users_beyond_it_share_a_bucket_until_others_are_full_again() {
        let start = Instant::now();
        let mut rates = Rates::new(1, 1, start);
        let users = USERS as u32;
        assert!((0..users).all(|uid| paid(&mut rates, uid, start, 2) == 1));
        assert_eq!((users..2 * users).map(|uid| paid(&mut rates, uid, start, 1)).sum::<usize>(), 1);
        assert_eq!(rates.users.len(), USERS);
        assert_eq!(paid(&mut rates, u32::MAX, start + Duration::from_secs(2), 2), 1);
        assert_eq!(rates.users.len(), 1, "those who are full again are forgotten");
    }
}
