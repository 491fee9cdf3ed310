//! A whole server in one call: a thread for each client, and an orderly end.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{Deadline, ErrorKind, IpcConnection, IpcSender, IpcServer, Result, ServerStats, StopHandle};

/// How a [`serve`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// Clients whose handler ran.
    pub clients: u64,
    /// Handlers still running when the drain deadline had passed. Their threads go on by themselves.
    pub abandoned: usize,
    /// The server's counts.
    pub stats: ServerStats,
}

impl Served {
    /// How one ended that was served by other means.
    #[must_use]
    pub fn new(clients: u64, abandoned: usize, stats: ServerStats) -> Self {
        Self { clients, abandoned, stats }
    }
}

/// Takes clients in and gives each a thread that runs `handler`, until the server's [`StopHandle`] is pulled.
/// There are never more threads than the server admits clients; one more client is told `Busy`.
///
/// When stopped, the name is given back at once. Handlers get what their clients had already sent; the first
/// receive or send that would have to wait returns `Stopped`. Connections say goodbye when their handler returns.
/// Handlers that are not done within `drain` have every further call answered with `Stopped`, and after
/// another tenth of it are left behind.
///
/// A handler that returns an error or panics ends its own connection only. After a panic there is no goodbye.
///
/// # Errors
/// A failure of the listener itself.
pub fn serve<S, H>(mut server: S, drain: Duration, handler: H) -> Result<Served>
where
    S: IpcServer,
    S::Client: 'static,
    H: Fn(&mut S::Client) -> Result<()> + Send + Sync + 'static,
{
    let stop = server.stop_handle()?;
    let (handler, draining, running) = (Arc::new(handler), StopHandle::new()?, Arc::new(Running::default()));
    let mut clients = 0;
    let ended = loop {
        let mut client = match server.accept_client_by(Deadline::Forever) {
            Ok(client) => client,
            Err(error) if *error.kind() == ErrorKind::Stopped => break Ok(()),
            Err(error) => break Err(error),
        };
        client.stop_with(&draining);
        let (handler, place) = (handler.clone(), Running::enter(&running));
        let spawned = thread::Builder::new().name("hobnob-client".into()).spawn(move || {
            // In this order: the connection is closed before its place is given up.
            let (_place, mut client) = (place, client);
            handle(&mut client, &*handler);
        });
        match spawned {
            Ok(_) => clients += 1,
            // The client was dropped with the closure: it saw a goodbye.
            Err(error) => log::warn!("{}: no thread for a client: {error}", server.address()),
        }
    };
    log::debug!("{}: {} clients left, drained within {drain:?}", server.address(), running.count());
    server.destroy_server()?;
    draining.drain();
    if running.wait(drain) > 0 {
        draining.stop();
    }
    let abandoned = running.wait(drain / 10);
    let stats = server.stats();
    drop(stop);
    ended.map(|()| Served { clients, abandoned, stats })
}

fn handle<C: IpcConnection, H: Fn(&mut C) -> Result<()>>(client: &mut C, handler: &H) {
    match handler(client) {
        Ok(()) => {}
        Err(error) if *error.kind() == ErrorKind::Stopped => {}
        Err(error) => log::debug!("a client's handler ended: {error}"),
    }
    if let Err(error) = IpcSender::disconnect_from(client) {
        log::debug!("a client's goodbye: {error}");
    }
}

/// How many handlers are running.
#[derive(Default)]
pub(crate) struct Running {
    count: Mutex<usize>,
    fewer: Condvar,
}

/// One running handler. Given up when its thread ends, however it ends.
pub(crate) struct Place(Arc<Running>);

impl Running {
    pub(crate) fn enter(running: &Arc<Self>) -> Place {
        *running.lock() += 1;
        Place(running.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, usize> {
        // A count is whole at every instant, so a panic elsewhere cannot have left it half-made.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self) -> usize {
        *self.lock()
    }

    /// Waits until none is left or the time is over, and says how many are left.
    pub(crate) fn wait(&self, span: Duration) -> usize {
        let ends = Instant::now().checked_add(span);
        let mut count = self.lock();
        while *count > 0 {
            let left = ends.map_or(Duration::MAX, |ends| ends.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            count = self.fewer.wait_timeout(count, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *count
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.fewer.notify_all();
    }
}
