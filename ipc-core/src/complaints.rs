//! Tells the log of clients that are turned away: once for each user and reason, however often they come back.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use crate::Refusal;

/// What was told already.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Mutex<HashSet<(Option<u32>, Refusal)>>);

/// So many are remembered. Whoever can act as more users than that is not to fill the memory too.
const MOST: usize = 1024;

impl Complaints {
    /// Tells of a client of this user.
    pub(crate) fn tell(&self, address: &str, uid: Option<u32>, reason: Refusal) {
        let who = uid.map_or_else(|| "of an unknown user".to_owned(), |uid| format!("of uid {uid}"));
        if self.is_new(uid, reason) {
            log::warn!("{address}: a client {who} was turned away: {reason} (said once)");
        } else {
            log::trace!("{address}: a client {who} was turned away: {reason}");
        }
    }

    fn is_new(&self, uid: Option<u32>, reason: Refusal) -> bool {
        // A set is whole at every instant.
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MOST && told.insert((uid, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_and_reason_is_new_once() {
        let complaints = Complaints::default();
        let new = |uid, reason| complaints.is_new(uid, reason);
        assert!(new(Some(1), Refusal::Silent));
        assert!(!new(Some(1), Refusal::Silent));
        assert!(new(Some(1), Refusal::Malformed));
        assert!(new(None, Refusal::Silent));
        assert_eq!((0..2 * MOST as u32).filter(|uid| new(Some(*uid), Refusal::Busy)).count() + 3, MOST);
        assert!(!new(Some(u32::MAX), Refusal::Busy), "no more are remembered");
    }
}
