//! The clients of one loop, each at a number.

use super::client::Client;

/// What an event belongs to: a place, and how many clients had it before.
pub(super) type Token = u64;

#[derive(Debug)]
pub(super) struct Slots<S> {
    all: Vec<Slot<S>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<S> {
    generation: u32,
    held: Held<S>,
}

/// Whether a client is here.
#[derive(Debug)]
pub(super) enum Held<S> {
    Nobody,
    Here(Box<Client<S>>),
    /// A worker has it; and it is to be looked at again when it comes back.
    Away {
        again: bool,
    },
}

impl<S> Slots<S> {
    pub(super) fn new() -> Self {
        Self { all: Vec::new(), free: Vec::new() }
    }

    /// A place that is kept until it is vacated; none if there are too many.
    pub(super) fn reserve(&mut self) -> Option<Token> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                // The last number is not a client's.
                let index = u32::try_from(self.all.len()).ok().filter(|index| *index < u32::MAX)?;
                self.all.push(Slot { generation: 0, held: Held::Nobody });
                index
            }
        };
        let slot = self.all.get_mut(usize::try_from(index).ok()?)?;
        slot.held = Held::Away { again: false };
        Some(u64::from(slot.generation) << 32 | u64::from(index))
    }

    /// The place with this number, unless another client has it by now.
    pub(super) fn get(&mut self, token: Token) -> Option<&mut Held<S>> {
        let slot = self.all.get_mut(index(token))?;
        (u64::from(slot.generation) == token >> 32).then_some(&mut slot.held)
    }

    /// The client at this number, if it is here.
    pub(super) fn here(&mut self, token: Token) -> Option<&mut Box<Client<S>>> {
        match self.get(token)? {
            Held::Here(client) => Some(client),
            _ => None,
        }
    }

    /// Takes the client away for a while, if it is here. If a worker has it, it is to be looked at again.
    pub(super) fn lend(&mut self, token: Token) -> Option<Box<Client<S>>> {
        let held = self.get(token)?;
        match std::mem::replace(held, Held::Away { again: true }) {
            Held::Here(client) => {
                *held = Held::Away { again: false };
                Some(client)
            }
            Held::Away { .. } => None,
            Held::Nobody => {
                *held = Held::Nobody;
                None
            }
        }
    }

    /// It is back. True: it is to be looked at again.
    pub(super) fn bring_back(&mut self, token: Token, client: Box<Client<S>>) -> bool {
        let Some(held) = self.get(token) else { return false };
        let again = matches!(held, Held::Away { again: true });
        *held = Held::Here(client);
        again
    }

    /// It has gone for good.
    pub(super) fn vacate(&mut self, token: Token) {
        let Some(held) = self.get(token) else { return };
        *held = Held::Nobody;
        if let Some(slot) = self.all.get_mut(index(token)) {
            // Wrapped around, an event for a client of long ago would be a look in vain.
            slot.generation = slot.generation.wrapping_add(1);
        }
        self.free.extend(u32::try_from(index(token)));
    }

    /// How many there are, wherever they are.
    pub(super) fn count(&self) -> usize {
        self.all.len() - self.free.len()
    }

    /// The number of each.
    pub(super) fn tokens(&self) -> impl Iterator<Item = Token> {
        let taken = self.all.iter().zip(0u64..).filter(|(slot, _)| !matches!(slot.held, Held::Nobody));
        taken.map(|(slot, index)| u64::from(slot.generation) << 32 | index)
    }

    /// Those that are here.
    pub(super) fn all_here(&self) -> impl Iterator<Item = (Token, &Client<S>)> {
        self.all.iter().zip(0u64..).filter_map(|(slot, index)| match &slot.held {
            Held::Here(client) => Some((u64::from(slot.generation) << 32 | index, &**client)),
            _ => None,
        })
    }
}

fn index(token: Token) -> usize {
    // The lower half is a u32; where a usize is smaller there are never so many clients.
    usize::try_from(token & u64::from(u32::MAX)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_for_one_who_has_left_does_not_reach_the_next_one_there() {
        let mut slots = Slots::<()>::new();
        let (first, other) = (slots.reserve().unwrap(), slots.reserve().unwrap());
        slots.vacate(first);
        let next = slots.reserve().unwrap();
        assert_eq!(index(first), index(next), "places are used again");
        assert!(slots.get(first).is_none() && slots.get(next).is_some());
        slots.vacate(first);
        assert_eq!(slots.tokens().collect::<Vec<_>>(), [next, other], "nobody leaves twice");
        assert_eq!(slots.count(), 2);
    }
}
