//! The threads of a server: those that wait for clients, and those whose handlers may block.

use std::{
    sync::Arc,
    thread::{Builder, JoinHandle},
};

use super::{
    DRAINING, Env, STOPPED,
    handler::EventHandler,
    notes::{Newcomer, Notes},
    options::EventOptions,
    pool::Pool,
    rounds::Rounds,
};
use crate::{Error, ErrorKind, Result};

/// Dropping it ends them, without waiting for them.
pub(super) struct Crew<H: EventHandler> {
    env: Arc<Env<H>>,
    loops: Vec<Arc<Notes<H::Client>>>,
    pool: Option<Arc<Pool<H::Client>>>,
    threads: Vec<JoinHandle<()>>,
}

impl<H: EventHandler> Crew<H> {
    pub(super) fn start(options: EventOptions, handler: H) -> Result<Self> {
        let pool = (options.workers > 0).then(|| Arc::new(Pool::new()));
        let env = Arc::new(Env::new(handler, options));
        let mut crew = Self { env, loops: Vec::new(), pool, threads: Vec::new() };
        for _ in 0..options.threads {
            crew.start_loop()?;
        }
        for _ in 0..options.workers {
            crew.start_worker()?;
        }
        Ok(crew)
    }

    /// Hands a client to the loop that has the fewest.
    pub(super) fn take_in(&self, newcomer: Newcomer) -> Result<()> {
        let alive = self.loops.iter().filter(|notes| !notes.is_closed());
        let fewest = alive.min_by_key(|notes| notes.count());
        fewest.ok_or_else(|| Error::new(ErrorKind::Os))?.hand_over(newcomer);
        Ok(())
    }

    /// Clients get what is due to them, and a goodbye.
    pub(super) fn drain(&self) {
        self.raise(DRAINING);
    }

    /// No more than that.
    pub(super) fn stop(&self) {
        self.raise(STOPPED);
    }

    /// Waits for the threads; none of them is in a handler.
    pub(super) fn join(mut self) {
        self.stop();
        for thread in std::mem::take(&mut self.threads) {
            let joined = thread.join();
            // Handlers' panics do not come here.
            debug_assert!(joined.is_ok(), "a thread has panicked, and has said why");
        }
    }

    fn raise(&self, level: u8) {
        self.env.raise(level);
        self.loops.iter().for_each(|notes| notes.bell.ring());
        if let Some(pool) = self.pool.as_ref().filter(|_| level == STOPPED) {
            pool.close();
        }
    }

    fn start_loop(&mut self) -> Result<()> {
        let notes = Arc::new(Notes::new()?);
        let rounds = Rounds::new(self.env.clone(), notes.clone(), self.pool.clone())?;
        self.start_thread("hobnob-events", move || {
            if let Err(error) = rounds.run() {
                log::error!("a loop of clients has failed: {error}");
            }
        })?;
        self.loops.push(notes);
        Ok(())
    }

    fn start_worker(&mut self) -> Result<()> {
        let (Some(pool), env) = (self.pool.clone(), self.env.clone()) else { return Ok(()) };
        self.start_thread("hobnob-worker", move || pool.work(&env))
    }

    fn start_thread(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
        self.threads.push(Builder::new().name(name.into()).spawn(run)?);
        Ok(())
    }
}

impl<H: EventHandler> Drop for Crew<H> {
    fn drop(&mut self) {
        self.stop();
    }
}
