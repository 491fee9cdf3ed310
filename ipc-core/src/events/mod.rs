//! A whole server in one call: a few threads for thousands of clients, and an orderly end.
//!
//! `crew` has the threads; `rounds` is what each does: it waits (`poller`, `timers`) and gives each client (`client`,
//! in `slots`) its turn, here or in the `pool`. Whoever else has something for a client or a loop puts it down
//! (`mailbox`, `notes`) and rings (`bell`).

mod bell;
mod client;
mod crew;
mod handler;
mod mailbox;
mod notes;
mod options;
mod poller;
mod pool;
mod rounds;
mod slots;
mod timers;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    time::Duration,
};

use self::{
    client::{Client, Next},
    crew::Crew,
    notes::Newcomer,
};
use crate::{Deadline, ErrorKind, IpcConnection, IpcServer, Result, Served, serve::Running};

pub use self::{
    handler::{EventHandler, Left, Reply},
    mailbox::Mailbox,
    options::{EventOptions, WhenFull},
};

/// Takes clients in and serves all of them from a few threads, until the server's
/// [`StopHandle`](crate::StopHandle) is pulled. One client more than the server admits is told `Busy`.
///
/// A client that is slow to receive has a queue of its own: while that is full, nothing is received from it, and
/// nobody else waits for it. A client that floods gets a bounded turn. An idle client costs a descriptor or two and a few
/// kilobytes.
///
/// When stopped, the name is given back at once. What clients had already sent is handled; what is due to them leaves,
/// and then the goodbye. Clients that have not received it within [`drain`](EventOptions::drain) are cut off; handlers
/// that then still run are left behind after another tenth of it.
///
/// # Errors
/// A failure of the listener itself, or of every thread; no descriptor or thread is left.
pub fn serve_events<S, H>(mut server: S, options: EventOptions, handler: H) -> Result<Served>
where
    S: IpcServer,
    S::Client: 'static,
    H: EventHandler,
{
    let _stop = server.stop_handle()?;
    let (crew, running, mut clients) = (Crew::start(options, handler)?, Arc::new(Running::default()), 0);
    let ended = loop {
        let client = match server.accept_client_by(Deadline::Forever) {
            Ok(client) => client,
            Err(error) if *error.kind() == ErrorKind::Stopped => break Ok(()),
            Err(error) => break Err(error),
        };
        let (peer, place) = (client.peer().clone(), Running::enter(&running));
        let halves = IpcConnection::split(Box::new(client));
        if let Err(error) = crew.take_in(Newcomer { halves, peer, place }) {
            break Err(error);
        }
        clients += 1;
    };
    let drain = options.drain;
    log::debug!("{}: {} clients left, drained within {drain:?}", server.address(), running.count());
    let ended = ended.and(server.destroy_server());
    crew.drain();
    if running.wait(drain) > 0 {
        crew.stop();
    }
    let abandoned = running.wait((drain / 10).max(BREAK_OFF));
    if abandoned == 0 {
        crew.join();
    }
    ended.map(|()| Served::new(clients, abandoned, server.stats()))
}

/// To cut off those who have not received what is due to them takes a moment.
const BREAK_OFF: Duration = Duration::from_millis(500);

/// What every thread knows.
struct Env<H> {
    handler: H,
    options: EventOptions,
    level: AtomicU8,
}

/// How far the end of the server has come. At first it has not.
const DRAINING: u8 = 1;
const STOPPED: u8 = 2;

impl<H> Env<H> {
    fn new(handler: H, options: EventOptions) -> Self {
        Self { handler, options, level: AtomicU8::new(0) }
    }

    fn raise(&self, level: u8) {
        self.level.fetch_max(level, SeqCst);
    }

    fn level(&self) -> u8 {
        self.level.load(SeqCst)
    }

    fn is_draining(&self) -> bool {
        self.level() >= DRAINING
    }

    fn is_stopped(&self) -> bool {
        self.level() == STOPPED
    }
}

/// A client's turn. None: its handler has panicked, and it was dropped in the course of that, without a goodbye.
fn turn<H: EventHandler>(
    client: Box<Client<H::Client>>,
    env: &Env<H>,
) -> Option<(Box<Client<H::Client>>, Next)> {
    let turn = AssertUnwindSafe(move || {
        let mut client = client;
        let next = client.hear(env);
        (client, next)
    });
    catch_unwind(turn).ok()
}
