//! One client: what is received from it, what is due to it, and how it leaves. Nothing here waits.

use std::{
    mem::replace,
    time::{Duration, Instant},
};

use super::{
    Env,
    handler::{EventHandler, Left, Reply},
    mailbox::{Mailbox, Wish},
};
use crate::{Deadline, ErrorKind, Interests, IpcReceiver, IpcSender, Peer, serve::Place};

pub(super) struct Client<S> {
    pub(super) tx: Box<dyn IpcSender>,
    pub(super) rx: Box<dyn IpcReceiver>,
    peer: Peer,
    mailbox: Mailbox,
    phase: Phase<S>,
    /// How many bytes its queue holds.
    unsent: usize,
    /// The same, as its mailbox was told.
    told: usize,
    /// Nothing is received from it until it has received what is in its queue.
    paused: bool,
    /// It receives nothing more; what it has sent can still be received.
    deaf: bool,
    /// One descriptor tells of all that can be received.
    single: bool,
    /// Something was told of, such as an end, that no descriptor tells of again: its turns go on until nothing is left.
    pub(super) to_the_end: bool,
    /// What its descriptors are watched for.
    pub(super) watched: Option<Wants>,
    /// Its turn comes again anyway.
    pub(super) in_line: bool,
    /// Given up last.
    _place: Place,
}

enum Phase<S> {
    New,
    Open(S),
    /// It is over, and the handler does not know yet.
    Ending(S, Left),
    /// It has until then to receive what is due to it, and the goodbye; none is the end of the server's drain.
    Leaving(Option<Instant>),
    Gone,
}

/// What a client's descriptors are watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wants {
    pub(super) read: bool,
    pub(super) write: bool,
}

/// What is to be done next for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing, until a descriptor says so.
    Wait,
    /// Its turn comes again: there was more than one turn may take.
    Again,
    /// Nothing more.
    Forget,
}

/// So much is received from one client before it is the next one's turn.
const MOST_MESSAGES: usize = 64;
const MOST_BYTES: usize = 256 * 1024;
/// As long as `disconnect_from` takes at most.
const GOODBYE: Duration = Duration::from_secs(5);

impl<S> Client<S> {
    pub(super) fn new(
        (tx, rx): (Box<dyn IpcSender>, Box<dyn IpcReceiver>),
        peer: Peer,
        mailbox: Mailbox,
        place: Place,
    ) -> Self {
        let mut interests = Interests::default();
        rx.recv_interests(&mut interests);
        let single = interests.iter().count() == 1;
        Self {
            tx,
            rx,
            peer,
            mailbox,
            phase: Phase::New,
            unsent: 0,
            told: 0,
            paused: false,
            deaf: false,
            single,
            to_the_end: false,
            watched: None,
            in_line: false,
            _place: place,
        }
    }

    /// Its turn: receives what is there, up to a bound, and has it handled. The only place that calls the handler.
    pub(super) fn hear<H: EventHandler<Client = S>>(&mut self, env: &Env<H>) -> Next {
        if env.is_stopped() {
            return self.break_off(env);
        }
        self.join(env);
        self.flush();
        self.resume(env.options.queue);
        let ends = env.is_draining();
        self.to_the_end |= ends;
        let mut more = self.receive(env);
        self.flush();
        more |= self.resume(env.options.queue);
        // One whose queue is full is heard to the end once there is room.
        if !more && ends && !self.paused {
            self.end(Left::Stopping);
        }
        self.farewell(env);
        self.leave();
        self.tell();
        self.next(more)
    }

    /// What can be done without the handler.
    pub(super) fn tend(&mut self, queue: usize) -> Next {
        self.flush();
        let resumed = self.resume(queue);
        self.leave();
        self.tell();
        self.next(resumed || matches!(self.phase, Phase::Ending(..)))
    }

    /// Takes what has come for it by its mailbox.
    pub(super) fn collect(&mut self) {
        let wish = self.mailbox.empty_into(&mut *self.tx);
        self.count();
        self.told = self.unsent;
        match wish {
            Wish::SendAway => self.end(Left::SentAway),
            Wish::CutOff => self.end(Left::CutOff),
            Wish::Stay | Wish::Nothing => {}
        }
    }

    /// What its mailbox has taken still leaves; it takes nothing more.
    fn take_the_last(&mut self) {
        self.mailbox.close_into(&mut *self.tx);
        self.count();
    }

    /// What to watch its descriptors for.
    pub(super) fn wants(&self) -> Wants {
        let read = matches!(self.phase, Phase::Open(_)) && !self.paused;
        Wants { read, write: self.unsent > 0 || matches!(self.phase, Phase::Leaving(_)) }
    }

    /// When there is something to do though no descriptor says so.
    pub(super) fn wake_at(&self, Wants { read, write }: Wants) -> Option<Instant> {
        let reads = read.then(|| self.rx.recv_wake_at()).flatten();
        let writes = write.then(|| self.tx.send_wake_at()).flatten();
        let leaves = if let Phase::Leaving(until) = self.phase { until } else { None };
        reads.into_iter().chain(writes).chain(leaves).min()
    }

    fn join<H: EventHandler<Client = S>>(&mut self, env: &Env<H>) {
        if !matches!(self.phase, Phase::New) {
            return;
        }
        let mut leave = false;
        let joined = env.handler.joined(&mut reply(&mut self.tx, &self.peer, &self.mailbox, env, &mut leave));
        self.count();
        match joined {
            Ok(state) => self.phase = Phase::Open(state),
            Err(error) => {
                log::debug!("a client was not let stay: {error}");
                self.take_the_last();
                self.phase = Phase::Leaving(Some(Instant::now() + GOODBYE));
            }
        }
        if leave {
            self.end(Left::SentAway);
        }
    }

    /// True: there may be more.
    fn receive<H: EventHandler<Client = S>>(&mut self, env: &Env<H>) -> bool {
        let mut bytes = 0;
        for heard in 0..MOST_MESSAGES {
            if heard > 0 && !self.rx.has_buffered() {
                self.flush();
                if self.single && !self.to_the_end && self.rx.is_drained() {
                    self.rx.rest();
                    return false;
                }
            }
            if bytes >= MOST_BYTES {
                return true;
            }
            match self.hear_one(env) {
                Some(taken) => bytes += taken,
                None => return false,
            }
        }
        true
    }

    /// One message, and how many bytes it had; none if there is none, or none may be taken.
    fn hear_one<H: EventHandler<Client = S>>(&mut self, env: &Env<H>) -> Option<usize> {
        if self.unsent >= env.options.queue {
            self.flush();
            self.paused = self.unsent >= env.options.queue;
        }
        let Phase::Open(state) = &mut self.phase else { return None };
        if self.paused {
            return None;
        }
        let info = match self.rx.recv_borrowed_by(Deadline::Now) {
            Ok(Some(info)) => info,
            Ok(None) => return self.end_hearing(Left::Goodbye),
            Err(error) if *error.kind() == ErrorKind::WouldBlock => {
                self.to_the_end = false;
                return None;
            }
            Err(error) => return self.end_hearing(Left::Failed(error)),
        };
        let mut leave = false;
        let mut reply = reply(&mut self.tx, &self.peer, &self.mailbox, env, &mut leave);
        let (bytes, handled) = (info.len(), env.handler.message(state, info, &mut reply));
        self.count();
        match handled {
            Err(error) => self.end(Left::Failed(error)),
            Ok(()) if leave => self.end(Left::SentAway),
            Ok(()) => {}
        }
        Some(bytes)
    }

    fn end_hearing(&mut self, why: Left) -> Option<usize> {
        self.end(why);
        None
    }

    /// What is in its queue leaves as far as it can.
    fn flush(&mut self) {
        if self.unsent == 0 {
            return;
        }
        let flushed = self.tx.flush_info_by(Deadline::Now);
        self.count();
        match flushed {
            Err(error) if *error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if *error.kind() == ErrorKind::PeerGone => {
                (self.deaf, self.unsent) = (true, 0);
                self.mailbox.close();
            }
            Err(error) => self.end(Left::Failed(error)),
            Ok(()) => {}
        }
    }

    /// Receives again once half of a queue that was full has left. True: it does so from now on.
    fn resume(&mut self, queue: usize) -> bool {
        let resumes = self.paused && self.unsent <= queue / 2;
        self.paused &= !resumes;
        resumes
    }

    fn end(&mut self, why: Left) {
        if let Phase::Open(_) = self.phase
            && let Phase::Open(state) = replace(&mut self.phase, Phase::Gone)
        {
            self.phase = Phase::Ending(state, why);
        }
    }

    /// The handler learns that it is over.
    fn farewell<H: EventHandler<Client = S>>(&mut self, env: &Env<H>) {
        if !matches!(self.phase, Phase::Ending(..)) {
            return;
        }
        if let Phase::Ending(state, why) = replace(&mut self.phase, Phase::Gone) {
            if matches!(why, Left::CutOff) {
                self.mailbox.close();
            } else {
                self.take_the_last();
                let until = (!matches!(why, Left::Stopping)).then(|| Instant::now() + GOODBYE);
                self.phase = Phase::Leaving(until);
            }
            env.handler.left(state, why);
        }
    }

    /// What is due to it leaves, and the goodbye.
    fn leave(&mut self) {
        let Phase::Leaving(until) = self.phase else { return };
        let left = self.tx.try_disconnect_from();
        self.count();
        let left = match left {
            Err(error) if *error.kind() == ErrorKind::WouldBlock => {
                until.is_some_and(|until| until <= Instant::now())
            }
            Err(error) => {
                log::debug!("a client's goodbye: {error}");
                true
            }
            Ok(()) => true,
        };
        if left {
            self.phase = Phase::Gone;
        }
    }

    /// The server has waited for long enough.
    fn break_off<H: EventHandler<Client = S>>(&mut self, env: &Env<H>) -> Next {
        self.end(Left::Stopping);
        self.farewell(env);
        self.leave();
        Next::Forget
    }

    fn tell(&mut self) {
        if self.told != self.unsent {
            self.told = self.unsent;
            self.mailbox.set_queued(self.told);
        }
    }

    /// After each call that changes its queue.
    fn count(&mut self) {
        self.unsent = if self.deaf { 0 } else { self.tx.queued() };
    }

    fn next(&self, more: bool) -> Next {
        match self.phase {
            Phase::Gone => Next::Forget,
            _ if more => Next::Again,
            _ => Next::Wait,
        }
    }
}

fn reply<'a, H>(
    tx: &'a mut Box<dyn IpcSender>,
    peer: &'a Peer,
    mailbox: &'a Mailbox,
    env: &Env<H>,
    leave: &'a mut bool,
) -> Reply<'a> {
    let (queue, at_once) = (env.options.queue, env.options.workers > 0);
    Reply { tx: &mut **tx, peer, mailbox, queue, at_once, leave }
}

/// However it ends, nobody puts anything into its mailbox any more.
impl<S> Drop for Client<S> {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

impl<S> std::fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("peer", &self.peer)
            .field("paused", &self.paused)
            .finish_non_exhaustive()
    }
}
