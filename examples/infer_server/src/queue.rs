//! Who is next: users take turns, and within a user its clients do. A queue that is full takes from who has most in it.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use hobnob::{Peer, PeerPid};

/// Where requests are put in. When it is dropped there will be no more.
pub struct Entrance<T>(Arc<Queue<T>>);

/// Where workers take them out.
pub struct Exit<T>(Arc<Queue<T>>);

struct Queue<T> {
    most: usize,
    inside: Mutex<Inside<T>>,
    changed: Condvar,
}

struct Inside<T> {
    users: Turns<Option<u32>, Turns<PeerPid, VecDeque<T>>>,
    count: usize,
    is_open: bool,
}

/// A queue of at most so many.
pub fn queue<T>(most: usize) -> (Entrance<T>, Exit<T>) {
    let inside = Inside { users: Turns::default(), count: 0, is_open: true };
    let queue = Arc::new(Queue { most, inside: Mutex::new(inside), changed: Condvar::new() });
    (Entrance(queue.clone()), Exit(queue))
}

impl<T> Entrance<T> {
    /// Puts it in. What has no room any more comes back: the last of the longest line, be it this one.
    pub fn put(&self, of: &Peer, item: T) -> Option<T> {
        let mut inside = self.0.inside();
        inside.users.of(of.uid).of(of.pid).push_back(item);
        if inside.count == self.0.most {
            return inside.users.last_of_longest();
        }
        inside.count += 1;
        drop(inside);
        self.0.changed.notify_one();
        None
    }
}

impl<T> Exit<T> {
    /// Waits for the next. None: there is none left, and there will be no more.
    pub fn take(&self) -> Option<T> {
        let inside = self.0.inside();
        let waits = |inside: &mut Inside<T>| inside.count == 0 && inside.is_open;
        let mut inside = self.0.changed.wait_while(inside, waits).unwrap_or_else(PoisonError::into_inner);
        let next = inside.users.next();
        inside.count -= usize::from(next.is_some());
        next
    }
}

impl<T> Queue<T> {
    fn inside(&self) -> MutexGuard<'_, Inside<T>> {
        // Nothing that is done with it can panic halfway.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Entrance<T> {
    fn drop(&mut self) {
        self.0.inside().is_open = false;
        self.0.changed.notify_all();
    }
}

impl<T> Clone for Exit<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A line of some kind.
trait Line: Default {
    type Item;
    fn len(&self) -> usize;
    fn next(&mut self) -> Option<Self::Item>;
    fn last_of_longest(&mut self) -> Option<Self::Item>;
}

impl<T> Line for VecDeque<T> {
    type Item = T;

    fn len(&self) -> usize {
        self.len()
    }

    fn next(&mut self) -> Option<T> {
        self.pop_front()
    }

    fn last_of_longest(&mut self) -> Option<T> {
        self.pop_back()
    }
}

/// Lines that take turns, which is a line. None of them is empty.
struct Turns<K, L>(VecDeque<(K, L)>);

impl<K, L> Default for Turns<K, L> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<K: PartialEq, L: Line> Turns<K, L> {
    /// The line of this one, who is about to stand in it. Whoever has none yet comes last.
    fn of(&mut self, key: K) -> &mut L {
        let at = self.0.iter().position(|(other, _)| *other == key).unwrap_or_else(|| {
            self.0.push_back((key, L::default()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }
}

impl<K: PartialEq, L: Line> Line for Turns<K, L> {
    type Item = L::Item;

    fn len(&self) -> usize {
        self.0.iter().map(|(_, line)| line.len()).sum()
    }

    fn next(&mut self) -> Option<L::Item> {
        let (key, mut line) = self.0.pop_front()?;
        let next = line.next();
        if line.len() > 0 {
            self.0.push_back((key, line));
        }
        next
    }

    fn last_of_longest(&mut self) -> Option<L::Item> {
        let at = (0..self.0.len()).max_by_key(|at| self.0[*at].1.len())?;
        let last = self.0[at].1.last_of_longest();
        if self.0[at].1.len() == 0 {
            self.0.remove(at);
        }
        last
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use hobnob::Proof;

    use super::*;

    fn of(uid: u32, pid: u32) -> Peer {
        Peer::new(Some(uid), None, PeerPid::Verified(pid), Proof::Kernel)
    }

    /// Puts in who is at each place of the text, a letter for the user and a digit for its client; gives what came back.
    fn put(entrance: &Entrance<&'static str>, text: &'static str) -> Vec<&'static str> {
        let come_back = |who: &'static str| {
            let bytes = who.as_bytes();
            entrance.put(&of(bytes[0].into(), bytes[1].into()), who)
        };
        text.split(' ').filter_map(come_back).collect()
    }

    fn rest(entrance: Entrance<&str>, exit: &Exit<&'static str>) -> String {
        drop(entrance);
        std::iter::from_fn(|| exit.take()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn users_take_turns_and_within_a_user_its_clients_do() {
        let (entrance, exit) = queue(100);
        assert!(put(&entrance, "a1 a1 a1 a1 a2 a2 b1 b1 c1").is_empty());
        assert_eq!(rest(entrance, &exit), "a1 b1 c1 a2 b1 a1 a2 a1 a1");
    }

    #[test]
    fn what_one_client_has_put_in_comes_out_in_that_order() {
        let (entrance, exit) = queue(100);
        (0..5).for_each(|i| assert_eq!(entrance.put(&of(1, 1), i), None));
        drop(entrance);
        assert_eq!(std::iter::from_fn(|| exit.take()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_full_queue_takes_from_the_client_with_most_of_the_user_with_most() {
        let (entrance, exit) = queue(6);
        assert!(put(&entrance, "a1 a1 a1 a2 a3 b1").is_empty());
        assert_eq!(put(&entrance, "b1 c1 c1 c1"), ["a1", "a1", "a3", "c1"]);
        assert_eq!(put(&entrance, "c1 c1"), ["c1", "c1"], "from now on it has as much as anybody");
        assert_eq!(rest(entrance, &exit), "a1 b1 c1 a2 b1 c1");
    }

    #[test]
    fn whoever_waits_is_woken_by_an_item_and_by_the_end() {
        conformance::watched("whoever_waits_is_woken_by_an_item_and_by_the_end", || {
            let (entrance, exit) = queue(1);
            let waiting = {
                let exit = exit.clone();
                std::thread::spawn(move || (exit.take(), exit.take()))
            };
            assert!(put(&entrance, "a1").is_empty());
            drop(entrance);
            assert_eq!(waiting.join().unwrap(), (Some("a1"), None));
            assert_eq!(exit.take(), None);
        });
    }
}
