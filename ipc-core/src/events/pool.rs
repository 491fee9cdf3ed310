//! Threads for handlers that may block: a client goes to one of them for a turn, and comes back.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{Env, client::Client, handler::EventHandler, notes::Notes, slots::Token, turn};

/// One turn of one client. A client is in line at most once, so there are never more than clients.
pub(super) struct Job<S> {
    pub(super) client: Box<Client<S>>,
    pub(super) token: Token,
    /// The loop that it belongs to.
    pub(super) home: Arc<Notes<S>>,
}

pub(super) struct Pool<S> {
    line: Mutex<Line<S>>,
    longer: Condvar,
}

struct Line<S> {
    jobs: VecDeque<Job<S>>,
    is_closed: bool,
}

impl<S: Send + 'static> Pool<S> {
    pub(super) fn new() -> Self {
        let line = Line { jobs: VecDeque::new(), is_closed: false };
        Self { line: Mutex::new(line), longer: Condvar::new() }
    }

    /// Gives the job back if the threads are leaving.
    pub(super) fn push(&self, job: Job<S>) -> Option<Job<S>> {
        let mut line = self.line();
        if line.is_closed {
            return Some(job);
        }
        line.jobs.push_back(job);
        self.longer.notify_one();
        None
    }

    /// Nobody comes any more.
    pub(super) fn close(&self) {
        self.line().is_closed = true;
        self.longer.notify_all();
    }

    /// What each of its threads does.
    pub(super) fn work<H: EventHandler<Client = S>>(&self, env: &Env<H>) {
        while let Some(Job { client, token, home }) = self.next() {
            home.bring_back(token, turn(client, env));
        }
    }

    fn next(&self) -> Option<Job<S>> {
        let mut line = self.line();
        loop {
            if let Some(job) = line.jobs.pop_front() {
                return Some(job);
            }
            if line.is_closed {
                return None;
            }
            line = self.longer.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn line(&self) -> MutexGuard<'_, Line<S>> {
        // A line is whole at every instant.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
