//! What a server counts.

use std::fmt;

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dropped {
    /// It was larger than [`max_message`](crate::ServerOptions::max_message).
    TooLarge = 0,
    /// Descriptors came along. None of them was let in.
    Descriptors = 1,
    /// The kernel did not say who sent it: it lay in the queue of a socket that was given to us before we asked for
    /// credentials.
    Anonymous = 2,
    /// The policy does not admit its sender.
    NotAllowed = 3,
    /// Its user has sent more than the [`rate`](crate::ServerOptions::rate) allows.
    OverRate = 4,
}

impl Dropped {
    /// Every reason.
    pub const ALL: [Self; 5] =
        [Self::TooLarge, Self::Descriptors, Self::Anonymous, Self::NotAllowed, Self::OverRate];
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "larger than admitted",
            Self::Descriptors => "descriptors came along",
            Self::Anonymous => "without credentials",
            Self::NotAllowed => "not admitted by the server's policy",
            Self::OverRate => "its user is over the rate",
        })
    }
}

/// A server's counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Datagrams that were handed out.
    pub received: u64,
    dropped: [u64; Dropped::ALL.len()],
}

impl Stats {
    /// How many datagrams were dropped for this reason.
    #[must_use]
    pub fn dropped(&self, reason: Dropped) -> u64 {
        self.dropped[reason as usize]
    }

    /// How many datagrams were dropped in all.
    #[must_use]
    pub fn dropped_in_all(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// True: it was the first for this reason.
    pub(crate) fn drop(&mut self, reason: Dropped) -> bool {
        let count = &mut self.dropped[reason as usize];
        *count += 1;
        *count == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_count_of_its_own() {
        let mut stats = Stats::default();
        for (i, reason) in Dropped::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i);
            assert!((0..=i).filter(|_| stats.drop(reason)).count() == 1, "only the first is the first");
            assert_eq!(stats.dropped(reason), i as u64 + 1);
        }
        assert_eq!(stats.dropped_in_all(), 15);
    }
}
