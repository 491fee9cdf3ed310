//! Random conversations: what is said, with which of the words, and by how many threads.

use std::{
    thread,
    time::{Duration, Instant},
};

use conformance::kind_of;
use ipc_core::{Connection, Deadline, ErrorKind, IpcReceiver, IpcSender, Result, Transport};
use transport_faulty::Faulty;

use crate::house::{Chance, Message};

/// The messages that one end sends.
pub struct Plan(Vec<Message>);

impl Plan {
    /// Mostly a few small messages; sometimes more than any buffer holds.
    pub fn draw(chance: &mut Chance) -> Self {
        let count = chance.below(12);
        let message = |_| {
            let bound =
                if chance.below(64) == 0 { 300_000 } else { chance.one_of(&[2, 40, 1100, 5000, 40_000]) };
            let size = chance.below(bound) as usize;
            Message::new(chance, size)
        };
        Self((0..count).map(message).collect())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|message| message.bytes().len() as u64 + 8).sum()
    }
}

/// How one end fared.
#[derive(Debug, Default)]
pub struct Ended {
    pub accepted: usize,
    /// More only if several were given at once and the call failed.
    pub at_most: usize,
    pub heard: usize,
    /// What the messages ended with; none is the goodbye.
    pub end: Option<ErrorKind>,
    /// Why a send failed, or the goodbye.
    pub refused: Option<ErrorKind>,
}

pub type Ends<T> = [Option<Connection<Faulty<T>>>; 2];

/// One end: it sends what is planned and receives what the other end has planned.
struct Side<'a> {
    ours: &'a [Message],
    theirs: &'a [Message],
    chance: Chance,
    ended: Ended,
    info: Vec<u8>,
}

/// Both ends in one thread, in which nothing may wait.
pub fn by_turns<T: Transport>(
    mut ends: Ends<T>,
    plans: &[Plan; 2],
    chance: &mut Chance,
) -> [Option<Ended>; 2] {
    let mut sides = sides(plans, chance);
    let mut open = [(true, true); 2];
    while ends.iter().zip(open).any(|(end, open)| end.is_some() && open != (false, false)) {
        for ((end, side), open) in ends.iter_mut().zip(&mut sides).zip(&mut open) {
            if let Some(end) = end {
                open.0 = open.0 && side.speak(end, &mut |_| Deadline::Now);
                open.1 = open.1 && side.hear(end, &mut |_| Deadline::Now);
            }
        }
    }
    results(&ends, sides)
}

/// Each end in a thread of its own, in which it does both and does not wait long for either.
pub fn in_two_threads<T: Transport>(
    ends: Ends<T>,
    plans: &[Plan; 2],
    chance: &mut Chance,
) -> [Option<Ended>; 2] {
    let sides = sides(plans, chance);
    let both = ends.into_iter().zip(sides).map(|(end, mut side)| {
        move || {
            let mut end = end?;
            let mut open = (true, true);
            while open != (false, false) {
                open.0 = open.0 && side.speak(&mut end, &mut soon);
                open.1 = open.1 && side.hear(&mut end, &mut soon);
            }
            Some(side.ended)
        }
    });
    thread::scope(|scope| {
        let threads: Vec<_> = both.map(|end| scope.spawn(end)).collect();
        in_order(threads.into_iter().map(|thread| thread.join().unwrap()))
    })
}

/// Each half in a thread of its own, in which it may wait for ever.
pub fn by_halves<T: Transport>(ends: Ends<T>, plans: &[Plan; 2], chance: &mut Chance) -> [Option<Ended>; 2] {
    let both = ends.into_iter().zip(sides(plans, chance)).zip(sides(plans, chance));
    thread::scope(|scope| {
        let threads: Vec<_> = both
            .map(|((end, mut speaking), mut hearing)| {
                let (mut sender, mut receiver) = end?.split();
                let spoken = scope.spawn(move || {
                    while speaking.speak(&mut sender, &mut any) {}
                    speaking.ended
                });
                let heard = scope.spawn(move || {
                    while hearing.hear(&mut receiver, &mut any) {}
                    hearing.ended
                });
                Some((spoken, heard))
            })
            .collect();
        in_order(threads.into_iter().map(|both| {
            let (spoken, heard) = both?;
            let (spoken, heard) = (spoken.join().unwrap(), heard.join().unwrap());
            Some(Ended { heard: heard.heard, end: heard.end, ..spoken })
        }))
    })
}

fn in_order<V>(mut both: impl Iterator<Item = V>) -> [V; 2] {
    [both.next().unwrap(), both.next().unwrap()]
}

fn sides<'a>(plans: &'a [Plan; 2], chance: &mut Chance) -> [Side<'a>; 2] {
    [(0, 1), (1, 0)].map(|(ours, theirs)| Side {
        ours: &plans[ours].0,
        theirs: &plans[theirs].0,
        chance: Chance::new(chance.below(u64::MAX)),
        ended: Ended::default(),
        info: Vec::new(),
    })
}

fn results<T: Transport>(ends: &Ends<T>, sides: [Side<'_>; 2]) -> [Option<Ended>; 2] {
    in_order(ends.iter().zip(sides).map(|(end, side)| end.is_some().then_some(side.ended)))
}

fn soon(chance: &mut Chance) -> Deadline {
    let span = Duration::from_micros(chance.below(200));
    chance.one_of(&[Deadline::Now, span.into(), (Instant::now() + span).into()])
}

fn any(chance: &mut Chance) -> Deadline {
    if chance.below(2) == 0 { Deadline::Forever } else { soon(chance) }
}

impl Side<'_> {
    /// Says one more thing. False: there is no more to say, or it makes no sense.
    fn speak(&mut self, to: &mut impl IpcSender, by: &mut dyn FnMut(&mut Chance) -> Deadline) -> bool {
        let deadline = by(&mut self.chance);
        let rest = &self.ours[self.ended.accepted..];
        let several: Vec<&[u8]> = rest.iter().take(4).map(Message::bytes).collect();
        let word = self.chance.below(8);
        let said = match (word, several.as_slice()) {
            (_, []) => to.disconnect_from_by(deadline).map(|()| None),
            (0, _) => to.flush_info_by(deadline).map(|()| Some(0)),
            (1 | 2, [first, ..]) => to.feed_info_by(first, deadline).map(|()| Some(1)),
            (3, several) => to.send_many_by(several, deadline).map(Some),
            (_, [first, ..]) => to.send_info_by(first, deadline).map(|()| Some(1)),
        };
        // What is undelivered can be tried again, unless the peer is gone: that is told by a flush.
        let undelivered =
            matches!(&said, Err(error) if matches!(error.kind(), ErrorKind::Undelivered { .. }));
        let lost = undelivered && kind_of(&to.flush_info_by(Deadline::Now)) == Some(&ErrorKind::PeerGone);
        match said {
            Ok(Some(accepted)) => {
                self.ended.accepted += accepted;
                self.ended.at_most = self.ended.accepted;
                true
            }
            Ok(None) => false,
            Err(error) if gave_up(error.kind()) && !lost => {
                thread::yield_now();
                true
            }
            Err(error) => {
                self.ended.at_most = self.ended.accepted;
                self.ended.refused = Some(error.kind().clone());
                false
            }
        }
    }

    /// Hears one more message. False: there are no more.
    fn hear(&mut self, from: &mut impl IpcReceiver, by: &mut dyn FnMut(&mut Chance) -> Deadline) -> bool {
        let deadline = by(&mut self.chance);
        let got: Result<Option<&[u8]>> = if self.chance.below(2) == 0 {
            from.recv_borrowed_by(deadline)
        } else {
            let info = &mut self.info;
            from.recv_info_by(info, deadline).map(|is_message| is_message.then_some(&info[..]))
        };
        match got {
            Ok(Some(info)) => {
                let expected = self.theirs.get(self.ended.heard).map(Message::bytes);
                let right = expected.is_some_and(|expected| expected == info);
                assert!(right, "message {} of {} is not as it was sent", self.ended.heard, self.theirs.len());
                self.ended.heard += 1;
                true
            }
            Ok(None) => false,
            Err(error) if gave_up(error.kind()) => {
                thread::yield_now();
                true
            }
            Err(error) => {
                self.ended.end = Some(error.kind().clone());
                false
            }
        }
    }
}

/// The wait ended, not the connection. With `Undelivered` the goodbye is still to be said.
fn gave_up(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Undelivered { .. })
}
