//! How much each user may take of what a server has, places for clients or bytes of memory, so that one user cannot
//! keep the others out.
//!
//! The rule is dbus-broker's: with `n` users present, a user may have at most one part in `n + 1` of what the others
//! leave. Whatever one of them takes, a part of the rest remains for the next: of 1,024 places the first user gets
//! 512, the second 170, the third 85.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nix::unistd::geteuid;

use crate::{Config, Peer};

/// What there is, and who has how much of it. In a server for several users those that the transport cannot name are
/// one user.
#[derive(Debug)]
pub(crate) struct Shares {
    most: usize,
    /// May take all: whoever runs the server can end it anyway. Nobody in a server that is there for others too.
    unlimited: Option<u32>,
    /// In order: they are few, and the hash of a map would take longer than to find one.
    users: Mutex<BTreeMap<Option<u32>, usize>>,
}

/// Why there is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// All are taken.
    Full,
    /// This user has a share already.
    OverShare,
}

/// What one client of a user has; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Slot {
    shares: Arc<Shares>,
    uid: Option<u32>,
    amount: usize,
}

impl Shares {
    pub(crate) fn new(most: usize, config: &Config) -> Arc<Self> {
        let unlimited = (!config.shared).then(|| geteuid().as_raw());
        Arc::new(Self { most, unlimited, users: Mutex::default() })
    }

    /// Takes one for a client of this peer's user.
    pub(crate) fn take(self: &Arc<Self>, peer: Option<&Peer>) -> Result<Slot, NoPlace> {
        let mut slot = self.nothing(peer);
        slot.have(1)?;
        Ok(slot)
    }

    /// Nothing yet, for a client of this peer's user. None if that user may take as much as it likes.
    pub(crate) fn account(self: &Arc<Self>, peer: &Peer) -> Option<Slot> {
        (!self.is_unlimited(peer.uid)).then(|| self.nothing(Some(peer)))
    }

    fn nothing(self: &Arc<Self>, peer: Option<&Peer>) -> Slot {
        Slot { shares: self.clone(), uid: peer.and_then(|peer| peer.uid), amount: 0 }
    }

    /// One that cannot be named may be ours.
    fn is_unlimited(&self, uid: Option<u32>) -> bool {
        self.unlimited.is_some() && (uid.is_none() || uid == self.unlimited)
    }

    fn add(&self, uid: Option<u32>, amount: usize) -> Result<(), NoPlace> {
        let mut users = self.users();
        let all: usize = users.values().sum();
        let has = users.get(&uid).copied().unwrap_or_default();
        if all + amount > self.most {
            return Err(NoPlace::Full);
        }
        if !self.is_unlimited(uid) && has + amount > self.share(&users, all, has) {
            return Err(NoPlace::OverShare);
        }
        users.insert(uid, has + amount);
        Ok(())
    }

    fn give_back(&self, uid: Option<u32>, amount: usize) {
        let mut users = self.users();
        if let Some(has) = users.get_mut(&uid) {
            *has -= amount;
            if *has == 0 {
                users.remove(&uid);
            }
        }
    }

    /// What a user may have who has so much. One at least, while there is one.
    fn share(&self, users: &BTreeMap<Option<u32>, usize>, all: usize, has: usize) -> usize {
        let present = users.len() + usize::from(has == 0);
        ((self.most - all + has) / (present + 1)).max(1)
    }

    fn users(&self) -> MutexGuard<'_, BTreeMap<Option<u32>, usize>> {
        // Every change is whole at once, so a panic elsewhere cannot have left it half-made.
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Has so much from now on, or as much as before if there is no more.
    pub(crate) fn have(&mut self, amount: usize) -> Result<(), NoPlace> {
        match amount.checked_sub(self.amount) {
            Some(0) => {}
            Some(more) => self.shares.add(self.uid, more)?,
            None => self.shares.give_back(self.uid, self.amount - amount),
        }
        self.amount = amount;
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shares.give_back(self.uid, self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PeerPid, Proof};

    fn user(uid: u32) -> Peer {
        Peer::new(Some(uid), None, PeerPid::Unknown, Proof::Kernel)
    }

    /// Takes what there is to be had.
    fn grab(shares: &Arc<Shares>, uid: u32) -> (Vec<Slot>, NoPlace) {
        let mut slots = Vec::new();
        loop {
            match shares.take(Some(&user(uid))) {
                Ok(slot) => slots.push(slot),
                Err(no) => return (slots, no),
            }
        }
    }

    fn shared() -> Config {
        Config { shared: true, ..Config::default() }
    }

    #[test]
    fn each_user_leaves_a_part_for_the_next() {
        let shares = Shares::new(1024, &shared());
        let had: Vec<_> = [1, 2, 3, 4].map(|uid| grab(&shares, uid)).into_iter().collect();
        let counts: Vec<_> = had.iter().map(|(slots, _)| slots.len()).collect();
        assert_eq!(counts, [512, 170, 85, 51]);
        assert!(had.iter().all(|(_, no)| *no == NoPlace::OverShare));
        drop(had);
        assert_eq!(grab(&shares, 9).0.len(), 512, "all is given back");
    }

    #[test]
    fn the_servers_own_user_may_take_all_unless_it_is_there_for_others_too() {
        let ours = geteuid().as_raw();
        let shares = Shares::new(10, &Config::default());
        let (others, no) = grab(&shares, ours + 1);
        assert_eq!((others.len(), no), (5, NoPlace::OverShare));
        let (mine, no) = grab(&shares, ours);
        assert_eq!((mine.len(), no), (5, NoPlace::Full));
        assert_eq!(grab(&Shares::new(10, &shared()), ours).0.len(), 5);
    }

    #[test]
    fn what_grows_and_shrinks_is_counted_as_it_is() {
        let shares = Shares::new(1000, &shared());
        let (mut one, mut other) = (shares.account(&user(1)).unwrap(), shares.account(&user(1)).unwrap());
        assert_eq!(one.have(400), Ok(()));
        assert_eq!(other.have(101), Err(NoPlace::OverShare));
        assert_eq!(other.have(100), Ok(()));
        assert_eq!(one.have(10), Ok(()));
        assert_eq!(other.have(490), Ok(()));
        drop((one, other));
        assert!(shares.users().is_empty());
    }

    #[test]
    fn a_single_place_can_be_had() {
        let shares = Shares::new(1, &shared());
        let (slots, no) = grab(&shares, 7);
        assert_eq!((slots.len(), no), (1, NoPlace::Full));
    }
}
