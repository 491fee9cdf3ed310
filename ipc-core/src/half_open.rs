//! The clients in mid-handshake: a bounded table, each with its own deadline, stepped only when it has something
//! to say. Nothing that one of them does is an error of the server.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    Config, Connection, ErrorKind, Handshake, Interests, IpcReceiver as _, Nonce, Peer, Refusal, Transport,
    Wait,
    door::Door,
    drive::Try,
    frame::Frame,
    hello::Terms,
    readiness::{Readiness, Token},
    shares::{NoPlace, Shares, Slot},
};

pub(crate) struct HalfOpen<T: Transport> {
    entries: BTreeMap<Token, Entry<T>>,
    last: Token,
    places: Arc<Shares>,
}

/// Whether one more can be taken in.
pub(crate) enum Room {
    Taken(Slot),
    /// Those who have it are on their way: soon there will be.
    NotYet,
    /// Its user has a share already.
    OverShare,
}

struct Entry<T: Transport> {
    stage: Stage<T>,
    /// Never, if the time that a hello may take is beyond the clock.
    expires: Option<Instant>,
    /// When it came, or when it last said something that makes sense.
    spoke: Instant,
    heard: bool,
    uid: Option<u32>,
    _slot: Slot,
}

/// How far a client has come.
pub(crate) enum Stage<T: Transport> {
    Arriving(T::Incoming),
    /// Its hello is awaited, with this nonce if the transport has seen one.
    Hello(Box<Connection<T>>, Option<Nonce>),
    /// Its ready is awaited, with this nonce.
    Ready(Box<Connection<T>>, Nonce, Terms),
}

/// What one step came to.
pub(crate) enum Step<T: Transport> {
    Wait(Stage<T>),
    Up(Box<Connection<T>>),
    Refused(Refusal),
}

impl<T: Transport> HalfOpen<T> {
    pub(crate) fn new(config: &Config) -> Self {
        let places = Shares::new(config.limits.half_open, config);
        Self { entries: BTreeMap::new(), last: 0, places }
    }

    /// A place for one more of this peer's user. If there is none, the oldest silent one goes, of the same user if
    /// that user has a share already; one that has only just come or only just spoken is not silent, but on its
    /// way: then the arrival waits outside. But nobody waits outside for its own user's share, for that would keep
    /// the others waiting too.
    pub(crate) fn make_room(
        &mut self,
        peer: Option<&Peer>,
        now: Instant,
        door: &Door,
        readiness: &Readiness,
    ) -> Room {
        let uid = peer.and_then(|peer| peer.uid);
        for _ in 0..2 {
            let evicted = match self.places.take(peer) {
                Ok(slot) => return Room::Taken(slot),
                Err(NoPlace::Full) => self.evict(|_| true, now, door, readiness),
                Err(NoPlace::OverShare) => self.evict(|entry| entry.uid == uid, now, door, readiness),
            };
            if !evicted {
                break;
            }
        }
        if self.has_room(door) { Room::OverShare } else { Room::NotYet }
    }

    /// Turns out the oldest silent one of those. False: none of them is silent.
    fn evict(
        &mut self,
        which: impl Fn(&Entry<T>) -> bool,
        now: Instant,
        door: &Door,
        readiness: &Readiness,
    ) -> bool {
        let silent = self.entries.iter().filter(|(_, entry)| which(entry) && entry.silent_at(door) <= now);
        let oldest = silent.min_by_key(|(_, entry)| entry.heard).map(|(token, _)| *token);
        oldest.is_some_and(|token| {
            self.drop_entry(token, Refusal::Evicted, door, readiness);
            true
        })
    }

    pub(crate) fn has_room(&self, door: &Door) -> bool {
        self.entries.len() < door.config.limits.half_open
    }

    /// When the first of them counts as silent.
    pub(crate) fn next_silence(&self, door: &Door) -> Option<Instant> {
        self.entries.values().map(|entry| entry.silent_at(door)).min()
    }

    /// Takes an arrival in and steps it once.
    pub(crate) fn admit(
        &mut self,
        incoming: T::Incoming,
        slot: Slot,
        now: Instant,
        door: &Door,
        readiness: &Readiness,
    ) -> Option<Box<Connection<T>>> {
        let expires = now.checked_add(door.config.limits.hello);
        self.last += 1;
        let uid = incoming.peer().and_then(|peer| peer.uid);
        let stage = Stage::Arriving(incoming);
        let entry = Entry { stage, expires, spoke: now, heard: false, uid, _slot: slot };
        self.advance(self.last, entry, now, door, readiness)
    }

    /// Steps one that has something to say; gives it back once it is up.
    pub(crate) fn step(
        &mut self,
        token: Token,
        now: Instant,
        door: &Door,
        readiness: &Readiness,
    ) -> Option<Box<Connection<T>>> {
        let entry = self.entries.remove(&token)?;
        readiness.remove(&entry.stage.interests());
        self.advance(token, entry, now, door, readiness)
    }

    /// Drops those whose time is over. Called after reading, so that nobody is dropped who has just spoken.
    pub(crate) fn expire(&mut self, now: Instant, door: &Door, readiness: &Readiness) {
        while let Some((&token, _)) =
            self.entries.iter().find(|(_, entry)| entry.expires.is_some_and(|at| at <= now))
        {
            self.drop_entry(token, Refusal::Silent, door, readiness);
        }
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.entries.values().filter_map(|entry| entry.expires).min()
    }

    pub(crate) fn tokens(&self) -> Vec<Token> {
        self.entries.keys().copied().collect()
    }

    pub(crate) fn add_interests<'a>(&'a self, into: &mut Interests<'a>) {
        for entry in self.entries.values() {
            entry.stage.add_interests(into);
        }
    }

    /// Tells everyone no who was not told yes already.
    pub(crate) fn refuse_all(&mut self, reason: Refusal, now: Instant, door: &Door, readiness: &Readiness) {
        for (_, mut entry) in std::mem::take(&mut self.entries) {
            readiness.remove(&entry.stage.interests());
            match entry.stage {
                // One that is up by now hears a goodbye, one that is not sees the end.
                Stage::Ready(..) => drop(entry.stage.step(now, door, &mut entry.heard)),
                early => early.say_no(reason, door),
            }
            door.count(reason, entry.uid);
        }
    }

    fn advance(
        &mut self,
        token: Token,
        mut entry: Entry<T>,
        now: Instant,
        door: &Door,
        readiness: &Readiness,
    ) -> Option<Box<Connection<T>>> {
        let had_spoken = entry.heard;
        let step = entry.stage.step(now, door, &mut entry.heard);
        if entry.heard && !had_spoken {
            entry.spoke = now;
        }
        match step {
            Step::Up(connection) => Some(connection),
            Step::Refused(reason) => {
                door.count(reason, entry.uid);
                None
            }
            Step::Wait(stage) => {
                match readiness.add(&stage.interests(), token) {
                    Ok(()) => drop(self.entries.insert(token, Entry { stage, ..entry })),
                    // The kernel has no room to watch it; those inside are not to suffer for that.
                    Err(_) => door.count(Refusal::Busy, entry.uid),
                }
                None
            }
        }
    }

    fn drop_entry(&mut self, token: Token, reason: Refusal, door: &Door, readiness: &Readiness) {
        if let Some(entry) = self.entries.remove(&token) {
            readiness.remove(&entry.stage.interests());
            entry.stage.say_no(reason, door);
            door.count(reason, entry.uid);
        }
    }
}

impl<T: Transport> Entry<T> {
    /// From when on it counts as silent: soon for one that has said nothing, later for one that owes us the last
    /// word. Both are small parts of the time for the whole hello.
    fn silent_at(&self, door: &Door) -> Instant {
        let part = if self.heard { 5 } else { 50 };
        let patience = door.config.limits.hello.min(LONGEST_HELLO) / part;
        self.spoke + patience
    }
}

/// For reckoning patience: long, and safe to add to any instant.
const LONGEST_HELLO: Duration = Duration::from_secs(60);

impl<T: Transport> Stage<T> {
    fn interests(&self) -> Interests<'_> {
        let mut interests = Interests::default();
        self.add_interests(&mut interests);
        interests
    }

    fn add_interests<'a>(&'a self, into: &mut Interests<'a>) {
        match self {
            Self::Arriving(incoming) => incoming.interests(into),
            Self::Hello(connection, _) | Self::Ready(connection, ..) => {
                connection.receiver.add_interests(into)
            }
        }
    }

    /// The stage to go on with, or the step that this one ends in.
    fn rest_or_go_on(mut self) -> std::result::Result<Self, Step<T>> {
        match self.rests() {
            Ok(false) => Ok(self),
            Ok(true) => Err(Step::Wait(self)),
            Err(_) => Err(Step::Refused(Refusal::Gone)),
        }
    }

    /// Whether there is nothing to do before something comes.
    fn rests(&mut self) -> std::io::Result<bool> {
        match self {
            Self::Arriving(incoming) => incoming.arm(),
            Self::Hello(connection, _) | Self::Ready(connection, ..) => {
                Ok(!connection.has_buffered() && connection.receiver.intake.arm()?)
            }
        }
    }

    /// Tells it no, if it was not told yes already.
    fn say_no(self, reason: Refusal, door: &Door) {
        match self {
            Self::Arriving(incoming) => door.tell(reason, incoming.give_up()),
            Self::Hello(mut connection, _) => door.say_no(&mut connection, reason, Nonce::default()),
            Self::Ready(..) => {}
        }
    }

    /// Goes on until it must wait.
    fn step(self, now: Instant, door: &Door, heard: &mut bool) -> Step<T> {
        let mut stage = self;
        loop {
            stage = match stage {
                Self::Arriving(mut incoming) => match incoming.step(now) {
                    Ok(Some(link)) => match door.greet(link) {
                        Step::Wait(stage) => stage,
                        over => return over,
                    },
                    Ok(None) => match Self::Arriving(incoming).rest_or_go_on() {
                        Ok(stage) => stage,
                        Err(over) => return over,
                    },
                    Err(error) => {
                        if let ErrorKind::Refused { reason } = *error.kind() {
                            door.tell(reason, incoming.give_up());
                            return Step::Refused(reason);
                        }
                        return Step::Refused(Refusal::Gone);
                    }
                },
                Self::Hello(mut connection, nonce) => match next_word(&mut connection) {
                    Ok(Some(frame)) => {
                        *heard = true;
                        match door.answer(connection, &frame, nonce) {
                            // The last word comes after the verdict: it is not looked for before it is waited for.
                            Step::Wait(stage) => match stage.rest_or_go_on() {
                                Ok(stage) => stage,
                                Err(over) => return over,
                            },
                            over => return over,
                        }
                    }
                    Ok(None) => return Step::Wait(Self::Hello(connection, nonce)),
                    Err(reason) => {
                        door.say_no(&mut connection, reason, Nonce::default());
                        return Step::Refused(reason);
                    }
                },
                Self::Ready(mut connection, nonce, theirs) => match next_word(&mut connection) {
                    Ok(Some(frame)) => return door.finish(connection, &frame, nonce, &theirs),
                    Ok(None) => return Step::Wait(Self::Ready(connection, nonce, theirs)),
                    Err(reason) => return Step::Refused(reason),
                },
            };
        }
    }
}

/// The client's next word, if it is there whole.
fn next_word<T: Transport>(connection: &mut Connection<T>) -> std::result::Result<Option<Frame>, Refusal> {
    loop {
        match connection.receiver.intake.try_frame(false) {
            Ok(Try::Done(frame)) => return Ok(Some(frame)),
            Ok(Try::Again) => {}
            Ok(Try::NotNow) => match connection.receiver.intake.arm() {
                Ok(true) => return Ok(None),
                Ok(false) => {}
                Err(_) => return Err(Refusal::Gone),
            },
            Err(error) if matches!(error.kind(), ErrorKind::Protocol { .. }) => {
                return Err(Refusal::Malformed);
            }
            Err(_) => return Err(Refusal::Gone),
        }
    }
}
