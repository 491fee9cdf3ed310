use std::{fmt, time::Instant};

use ipc_core::{Address, Deadline, Interests, IpcServer, Result, Server, ServerStats, StopHandle, Transport};

use super::{Blocking, BlockingConnection, BlockingServer};

impl<R: Blocking, T: Transport> IpcServer for BlockingServer<R, T> {
    type Client = BlockingConnection<R, T>;

    fn new_server(at: &Address) -> Result<Self> {
        ipc_async::Server::<R, Server<T>>::new_server(at).map(Self)
    }

    fn accept_client_by(&mut self, deadline: Deadline) -> Result<Self::Client> {
        R::block_on(self.0.accept_client_by(deadline)).map(BlockingConnection::new)
    }

    fn accept_client(&mut self) -> Result<Self::Client> {
        R::block_on(self.0.accept_client()).map(BlockingConnection::new)
    }

    fn destroy_server(&mut self) -> Result<()> {
        self.0.destroy_server()
    }

    fn stop_handle(&mut self) -> Result<StopHandle> {
        self.0.stop_handle()
    }

    fn stop_with(&mut self, handle: &StopHandle) {
        self.0.stop_with(handle);
    }

    fn accept_deadline(&self) -> Deadline {
        self.0.get_ref().accept_deadline()
    }

    fn accept_interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.0.get_ref().accept_interests(into);
    }

    fn accept_wake_at(&self) -> Option<Instant> {
        self.0.get_ref().accept_wake_at()
    }

    fn address(&self) -> &str {
        self.0.address()
    }

    fn stats(&self) -> ServerStats {
        self.0.stats()
    }
}

impl<R: Blocking, T: Transport> fmt::Debug for BlockingServer<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
