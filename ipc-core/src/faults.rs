//! What shall go wrong on the road, as data. `transport-faulty` reads it; nothing else looks at it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{Seams, Side, Trace};

/// Something that goes wrong in one call of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A signal interrupted it (EINTR).
    Interrupted,
    /// It says "not now" (EAGAIN) although it could go on.
    NotNow,
    /// It moves only the first of the bytes that it could.
    Short,
    /// It moves a single byte.
    OneByte,
    /// The thread is held up in it for a moment, as if another one had its processor.
    Delay,
    /// The road ends, as if the process at this end had been killed. It is asked for by a number of bytes.
    Death,
}

/// What shall go wrong on the connections of a server or a client. It does so only over the transport wrapper
/// `Faulty`; hand it to the options as [`seams`](crate::ConnectOptions::seams).
///
/// The n-th call on a half of the n-th connection always meets the same fault, for the same seed. Clones count their
/// connections together.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Faults {
    /// What the faults are drawn from.
    pub seed: u64,
    /// The longest [`Fault::Delay`].
    pub longest_delay: Duration,
    /// How many bytes each connection sends before this end dies, the handshake's included.
    pub die_after_sending: Option<u64>,
    /// How many bytes each connection receives before this end dies, the handshake's included.
    pub die_after_receiving: Option<u64>,
    /// Where what happened is written down.
    pub trace: Option<Trace>,
    rates: [u16; KINDS.len()],
    connections: Arc<Connections>,
}

#[derive(Default)]
struct Connections {
    dialled: AtomicU64,
    accepted: AtomicU64,
}

/// Of so many calls, as many meet a fault as its rate says.
const CALLS: u64 = 1024;

/// The faults that have a rate, and how often they usually come.
const KINDS: [(Fault, u16); 5] = [
    (Fault::Interrupted, 64),
    (Fault::NotNow, 128),
    (Fault::Short, 256),
    (Fault::OneByte, 64),
    (Fault::Delay, 8),
];

impl Faults {
    /// The usual mix of faults that no connection dies of.
    #[must_use]
    pub fn seed(seed: u64) -> Self {
        Self {
            seed,
            longest_delay: Duration::from_micros(50),
            die_after_sending: None,
            die_after_receiving: None,
            trace: None,
            rates: KINDS.map(|(_, usual)| usual),
            connections: Arc::default(),
        }
    }

    /// Nothing goes wrong but what is asked for.
    #[must_use]
    pub fn none() -> Self {
        Self { rates: [0; KINDS.len()], ..Self::seed(0) }
    }

    /// Sets how often `fault` comes: in so many of 1,024 calls, on average. `Interrupted` and `NotNow` never come
    /// twice in a row on the same half, so that every second call goes on. `Death` has no rate.
    #[must_use]
    pub fn rate(mut self, fault: Fault, of_1024: u16) -> Self {
        for (rate, (kind, _)) in self.rates.iter_mut().zip(KINDS) {
            if kind == fault {
                *rate = of_1024;
            }
        }
        self
    }

    /// Sets the longest delay.
    #[must_use]
    pub fn longest_delay(mut self, span: Duration) -> Self {
        self.longest_delay = span;
        self
    }

    /// This end of each connection dies when it has sent exactly so many bytes, the handshake's and the frames'
    /// headers included; at 0 before the first.
    #[must_use]
    pub fn die_after_sending(mut self, bytes: u64) -> Self {
        self.die_after_sending = Some(bytes);
        self
    }

    /// This end of each connection dies when it has received exactly so many bytes; counted in the same way.
    #[must_use]
    pub fn die_after_receiving(mut self, bytes: u64) -> Self {
        self.die_after_receiving = Some(bytes);
        self
    }

    /// Writes what happens into `trace`.
    #[must_use]
    pub fn trace(mut self, trace: &Trace) -> Self {
        self.trace = Some(trace.clone());
        self
    }

    /// The fault that these random bits stand for, if they do for one.
    #[must_use]
    pub fn draw(&self, bits: u64) -> Option<Fault> {
        let (draw, mut upto) = (bits % CALLS, 0);
        self.rates.iter().zip(KINDS).find_map(|(rate, (kind, _))| {
            upto += u64::from(*rate);
            (draw < upto).then_some(kind)
        })
    }

    /// Counts one more connection of this side and gives its number, from 0.
    #[must_use]
    pub fn next_connection(&self, side: Side) -> u64 {
        match side {
            Side::Client => self.connections.dialled.fetch_add(1, Relaxed),
            Side::Server => self.connections.accepted.fetch_add(1, Relaxed),
        }
    }

    /// Whether a connection may die.
    #[must_use]
    pub fn kills(&self) -> bool {
        self.die_after_sending.is_some() || self.die_after_receiving.is_some()
    }
}

impl From<Faults> for Seams {
    /// The real clock, no failpoint, and these faults.
    fn from(faults: Faults) -> Self {
        Self::default().with_faults(faults)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dialled, {} accepted", self.dialled.load(Relaxed), self.accepted.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_its_share_of_the_draws() {
        let faults = Faults::seed(1).rate(Fault::Delay, 0);
        let count = |fault| (0..CALLS).filter(|draw| faults.draw(*draw) == fault).count();
        for (kind, usual) in KINDS {
            assert_eq!(count(Some(kind)), if kind == Fault::Delay { 0 } else { usize::from(usual) });
        }
        assert!((0..CALLS).all(|draw| Faults::none().draw(draw).is_none()));
        assert!((0..CALLS).all(|draw| {
            Faults::none().rate(Fault::OneByte, u16::MAX).draw(draw) == Some(Fault::OneByte)
        }));
    }

    #[test]
    fn clones_count_together() {
        let faults = Faults::none();
        let numbers = [faults.next_connection(Side::Client), faults.clone().next_connection(Side::Client)];
        assert_eq!((numbers, faults.next_connection(Side::Server)), ([0, 1], 0));
    }
}
