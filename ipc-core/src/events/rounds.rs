//! A loop: waits for its clients and gives each its turn.

use std::{collections::VecDeque, os::fd::AsFd, sync::Arc, time::Duration};

use super::{
    Env,
    client::{Client, Next},
    handler::EventHandler,
    mailbox::Mailbox,
    notes::{Newcomer, Note, Notes},
    poller::{BELL, EVENTS, Event, Poller},
    pool::{Job, Pool},
    slots::{Held, Slots, Token},
    timers::Timers,
    turn,
};
use crate::Result;

pub(super) struct Rounds<H: EventHandler> {
    env: Arc<Env<H>>,
    notes: Arc<Notes<H::Client>>,
    /// Where handlers run, if not here.
    pool: Option<Arc<Pool<H::Client>>>,
    poller: Poller,
    slots: Slots<H::Client>,
    /// Whose turn comes though no descriptor will say so.
    line: VecDeque<Token>,
    timers: Timers,
    /// How far the end has come, as far as is known here.
    level: u8,
    // Lists that are filled and emptied again and again.
    news: Vec<Note<H::Client>>,
    mail: Vec<Token>,
    events: Vec<Event>,
}

impl<H: EventHandler> Rounds<H> {
    pub(super) fn new(
        env: Arc<Env<H>>,
        notes: Arc<Notes<H::Client>>,
        pool: Option<Arc<Pool<H::Client>>>,
    ) -> Result<Self> {
        let poller = Poller::new(notes.bell.as_fd())?;
        let (slots, timers, line) = (Slots::new(), Timers::default(), VecDeque::new());
        let (news, mail, events) = (Vec::new(), Vec::new(), Vec::with_capacity(EVENTS));
        Ok(Self { env, notes, pool, poller, slots, line, timers, level: 0, news, mail, events })
    }

    /// Until the server stops and the last client has left.
    pub(super) fn run(mut self) -> Result<()> {
        loop {
            if self.notes.bell.has_news() {
                self.take_news();
            }
            while let Some(token) = self.timers.pop_due() {
                self.line_up(token);
            }
            for _ in 0..self.line.len() {
                self.next_in_line();
            }
            if self.level > 0 && self.slots.count() == 0 {
                debug_assert!(self.timers.is_empty(), "of clients who are gone");
                return Ok(());
            }
            self.wait()?;
        }
    }

    fn take_news(&mut self) {
        // Read first: who was handed over before the end began is among the news then.
        let level = self.env.level();
        let mut news = std::mem::take(&mut self.news);
        self.notes.take(&mut news);
        for note in news.drain(..) {
            match note {
                Note::New(newcomer) => self.take_in(newcomer),
                Note::Back(token, turned) => self.settle(token, turned),
            }
        }
        self.news = news;
        let mut mail = std::mem::take(&mut self.mail);
        self.notes.bell.take_mail(&mut mail);
        for token in mail.drain(..) {
            self.deliver(token);
        }
        self.mail = mail;
        if level > self.level {
            self.level = level;
            let all: Vec<_> = self.slots.tokens().collect();
            all.into_iter().for_each(|token| self.line_up(token));
        }
    }

    fn take_in(&mut self, Newcomer { halves, peer, place }: Newcomer) {
        let Some(token) = self.slots.reserve() else { return self.notes.one_less() };
        let (options, bell) = (&self.env.options, self.notes.bell.clone());
        let mailbox = Mailbox::new(token, bell, &*halves.0, options.queue, options.when_full);
        self.slots.bring_back(token, Box::new(Client::new(halves, peer, mailbox, place)));
        // Later there is a place in the line for each.
        self.line.reserve(self.slots.count().saturating_sub(self.line.len()));
        // It may have sent something together with its handshake: no descriptor tells of that.
        self.look(token);
    }

    /// Gives a client its turn: here, or in a worker's thread.
    fn look(&mut self, token: Token) {
        let Some(client) = self.slots.lend(token) else { return };
        let client = match &self.pool {
            Some(pool) => match pool.push(Job { client, token, home: self.notes.clone() }) {
                Some(job) => job.client,
                None => return,
            },
            None => client,
        };
        self.settle(token, turn(client, &self.env));
    }

    /// There is room for what is due to a client.
    fn tend(&mut self, token: Token) {
        let queue = self.env.options.queue;
        if let Some(next) = self.slots.here(token).map(|client| client.tend(queue)) {
            self.go_on(token, next);
        } else {
            self.again(token);
        }
    }

    fn deliver(&mut self, token: Token) {
        match self.slots.here(token) {
            Some(client) => {
                client.collect();
                self.tend(token);
            }
            None => self.again(token),
        }
    }

    /// A turn is over.
    fn settle(&mut self, token: Token, turned: Option<(Box<Client<H::Client>>, Next)>) {
        let Some((client, next)) = turned else {
            log::warn!("a client's handler panicked");
            return self.vacate(token);
        };
        let again = self.slots.bring_back(token, client);
        if let Some(client) = self.slots.here(token).filter(|_| again) {
            // What it was, nobody kept: perhaps mail, or its end.
            client.to_the_end = true;
            self.line_up(token);
            return self.deliver(token);
        }
        self.go_on(token, next);
    }

    fn go_on(&mut self, token: Token, next: Next) {
        let Some(client) = self.slots.here(token) else { return };
        if next == Next::Forget {
            return self.forget(token);
        }
        let wants = client.wants();
        if let Err(error) = self.poller.watch(token, client, Some(wants)) {
            log::warn!("a client cannot be watched: {error}");
            return self.forget(token);
        }
        if let Some(at) = client.wake_at(wants) {
            self.timers.add(at, token);
        }
        if next == Next::Again {
            self.line_up(token);
        }
    }

    fn forget(&mut self, token: Token) {
        if let Some(client) = self.slots.here(token) {
            // It is closed in a moment.
            let _ = self.poller.watch(token, client, None);
        }
        self.vacate(token);
    }

    fn vacate(&mut self, token: Token) {
        self.timers.forget(token);
        self.slots.vacate(token);
        self.notes.one_less();
    }

    fn line_up(&mut self, token: Token) {
        match self.slots.here(token) {
            Some(client) if !client.in_line => {
                client.in_line = true;
                self.line.push_back(token);
            }
            Some(_) => {}
            None => self.again(token),
        }
    }

    fn next_in_line(&mut self) {
        let Some(token) = self.line.pop_front() else { return };
        if let Some(client) = self.slots.here(token) {
            client.in_line = false;
        }
        self.look(token);
    }

    /// A worker has it: it is to be looked at when it comes back.
    fn again(&mut self, token: Token) {
        if let Some(Held::Away { again }) = self.slots.get(token) {
            *again = true;
        }
    }

    fn wait(&mut self) -> Result<()> {
        let bell = &self.notes.bell;
        let may_sleep = self.line.is_empty() && bell.fall_asleep();
        let span = if may_sleep { self.timers.next() } else { Some(Duration::ZERO) };
        let waited = self.poller.wait(bell.as_fd(), self.slots.all_here(), span, &mut self.events);
        bell.wake_up();
        waited?;
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            self.happened(event);
        }
        self.events = events;
        Ok(())
    }

    fn happened(&mut self, Event { token, is_read, is_end }: Event) {
        if token == BELL {
            return self.notes.bell.silence();
        }
        match self.slots.here(token) {
            Some(client) => {
                client.to_the_end |= is_end;
                if client.in_line {
                    // What has come now is told of only once, and its last read may have been before.
                    client.to_the_end |= is_read;
                    return;
                }
            }
            None => return self.again(token),
        }
        if is_read { self.look(token) } else { self.tend(token) }
    }
}

impl<H: EventHandler> Drop for Rounds<H> {
    fn drop(&mut self) {
        self.notes.close();
    }
}
