//! A server as futures.

use std::future::poll_fn;

use ipc_core::{Address, Deadline, IpcServer, Result, ServerStats, StopHandle};

use crate::{
    Connection, Runtime,
    ender::Half,
    ops::Accept,
    waiter::{Ends, Waiter},
};

/// A server whose `accept_client` is a future. Dropping it is [`destroy_server`](Self::destroy_server).
pub struct Server<R: Runtime, S> {
    waiter: Waiter<R>,
    server: S,
}

impl<R: Runtime, S: IpcServer> Server<R, S> {
    /// Takes the name at `at`; clients can connect from the moment this returns.
    ///
    /// # Errors
    /// As [`IpcServer::new_server`].
    pub fn new_server(at: &Address) -> Result<Self> {
        S::new_server(at).map(Self::new)
    }

    /// Makes a future of the server's `accept_client`.
    #[must_use]
    pub fn new(server: S) -> Self {
        Self { waiter: Waiter::new(Half::Receiving), server }
    }

    /// The next client that has finished its handshake. Dropped before it is done, it has taken nobody.
    ///
    /// # Errors
    /// As [`IpcServer::accept_client_by`].
    pub async fn accept_client(&mut self) -> Result<Connection<R, S::Client>> {
        self.accept_client_by(self.server.accept_deadline()).await
    }

    /// [`accept_client`](Self::accept_client) with a deadline of its own.
    ///
    /// # Errors
    /// As there.
    pub async fn accept_client_by(&mut self, deadline: Deadline) -> Result<Connection<R, S::Client>> {
        let Self { waiter, server } = self;
        let mut ends = Ends::by(deadline);
        poll_fn(|cx| waiter.poll(cx, server, &mut Accept, &mut ends)).await.map(Connection::new)
    }

    /// Gives the name back and refuses the clients that are still in their handshake; connections live on.
    ///
    /// # Errors
    /// None today.
    pub fn destroy_server(&mut self) -> Result<()> {
        self.server.destroy_server()
    }

    /// What ends a waiting `accept_client`, and [`serve`](crate::serve), from elsewhere.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn stop_handle(&mut self) -> Result<StopHandle> {
        self.server.stop_handle()
    }

    /// Lets this handle end them, instead of the server's own.
    pub fn stop_with(&mut self, handle: &StopHandle) {
        self.waiter.forget();
        self.server.stop_with(handle);
    }

    /// The server itself, to ask about it.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.server
    }

    /// The address that clients can use, with its transport.
    #[must_use]
    pub fn address(&self) -> &str {
        self.server.address()
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> ServerStats {
        self.server.stats()
    }
}

impl<R: Runtime, S: std::fmt::Debug> std::fmt::Debug for Server<R, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.server.fmt(f)
    }
}
