//! Whose datagrams are handed out, and what is counted of those that are not.

use std::sync::Arc;

use ipc_core::{Config, Peer};

use crate::{
    inbox::Taken,
    options::Policy,
    rates::Rates,
    stats::{Dropped, Stats},
};

/// Looks at each datagram before it is handed out.
pub(crate) struct Door {
    pub(crate) config: Config,
    pub(crate) allow: Option<Policy>,
    /// The uid that the server was made under. To ask each time would be a system call for each datagram.
    pub(crate) own: u32,
    pub(crate) rates: Option<Rates>,
    pub(crate) address: Arc<str>,
    pub(crate) stats: Stats,
}

impl Door {
    /// The sender, if the datagram is to be handed out.
    #[inline]
    pub(crate) fn admit(&mut self, taken: Taken) -> Option<Peer> {
        match self.check(&taken) {
            Ok(()) => {
                self.stats.received += 1;
                // Checked: it has one.
                taken.peer
            }
            Err(reason) => {
                self.turn_away(&taken, reason);
                None
            }
        }
    }

    #[inline]
    fn check(&mut self, taken: &Taken) -> Result<(), Dropped> {
        // Where descriptors came along, the credentials may not be whole.
        if taken.had_descriptors {
            return Err(Dropped::Descriptors);
        }
        let peer = taken.peer.as_ref().ok_or(Dropped::Anonymous)?;
        if !self.is_allowed(peer) {
            return Err(Dropped::NotAllowed);
        }
        if !self.has_token(peer) {
            return Err(Dropped::OverRate);
        }
        if taken.is_cut { Err(Dropped::TooLarge) } else { Ok(()) }
    }

    fn is_allowed(&self, peer: &Peer) -> bool {
        self.allow.as_ref().map_or(peer.uid == Some(self.own), |rule| rule(peer))
    }

    fn has_token(&mut self, peer: &Peer) -> bool {
        let Some(rates) = &mut self.rates else { return true };
        rates.pay(peer.uid, self.config.seams.now())
    }

    /// The log has one line for each reason, the counters have every one.
    #[cold]
    fn turn_away(&mut self, taken: &Taken, reason: Dropped) {
        let Self { address, config, .. } = self;
        let who = taken.peer.as_ref().map_or_else(|| "an unknown sender".to_owned(), Peer::to_string);
        let (size, limit) = (taken.size, config.limits.message);
        let level = if self.stats.drop(reason) { log::Level::Warn } else { log::Level::Trace };
        log::log!(
            level,
            "{address}: a datagram of {size} bytes (limit {limit}) from {who} was dropped: {reason}"
        );
    }
}
