//! Plain datagrams as futures.

use std::{future::poll_fn, time::Instant};

use ipc_core::{Address, Deadline, Error, Interests, Result, StopHandle};
use plain_datagrams::{Client, Sender, Server, Stats};

use crate::{
    Runtime,
    ender::Half,
    ops::Op,
    waiter::{Ends, Waiter},
};

/// A server whose `recv_info` is a future; to answer never waits. Dropping it is
/// [`destroy_server`](Self::destroy_server).
pub struct DatagramServer<R: Runtime> {
    waiter: Waiter<R>,
    server: Server,
}

/// A client whose calls are futures.
pub struct DatagramClient<R: Runtime> {
    waiter: Waiter<R>,
    client: Client,
}

impl<R: Runtime> DatagramServer<R> {
    /// Serves at `at`: datagrams can be sent from the moment this returns.
    ///
    /// # Errors
    /// As [`Server::new_server`].
    pub fn new_server(at: &Address) -> Result<Self> {
        Server::new_server(at).map(Self::new)
    }

    /// Makes a future of the server's `recv_info`.
    #[must_use]
    pub fn new(server: Server) -> Self {
        Self { waiter: Waiter::new(Half::Receiving), server }
    }

    /// Puts the next datagram into `info` and says who sent it. Dropped before it is done, it has taken none.
    ///
    /// # Errors
    /// As [`Server::recv_info`].
    pub async fn recv_info(&mut self, info: &mut Vec<u8>) -> Result<Sender> {
        self.recv_info_by(info, self.server.recv_deadline()).await
    }

    /// [`recv_info`](Self::recv_info) with a deadline of its own.
    ///
    /// # Errors
    /// As there.
    pub async fn recv_info_by(&mut self, info: &mut Vec<u8>, deadline: Deadline) -> Result<Sender> {
        let Self { waiter, server } = self;
        let (mut take, mut ends) = (Take(info), Ends::by(deadline));
        let taken = poll_fn(|cx| waiter.poll(cx, server, &mut take, &mut ends)).await;
        taken.map_err(|error| error.about("recv_info", &self.server.address().into()))
    }

    /// Answers the sender of a datagram, at once or not at all.
    ///
    /// # Errors
    /// As [`Server::send_info`].
    pub fn send_info(&self, to: &Sender, info: &[u8]) -> Result<()> {
        self.server.send_info(to, info)
    }

    /// Gives the name back.
    ///
    /// # Errors
    /// As [`Server::destroy_server`].
    pub fn destroy_server(&mut self) -> Result<()> {
        // Nothing is watched that is closed.
        self.waiter.forget();
        self.server.destroy_server()
    }

    /// What ends a waiting `recv_info` from elsewhere.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn stop_handle(&mut self) -> Result<StopHandle> {
        self.server.stop_handle()
    }

    /// Lets this handle end it, instead of the server's own.
    pub fn stop_with(&mut self, handle: &StopHandle) {
        self.waiter.forget();
        self.server.stop_with(handle);
    }

    /// The address that clients can use.
    #[must_use]
    pub fn address(&self) -> &str {
        self.server.address()
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.server.stats()
    }
}

impl<R: Runtime> DatagramClient<R> {
    /// Makes a client of the server at `at`. It never waits.
    ///
    /// # Errors
    /// As [`Client::connect_to`].
    pub fn connect_to(at: &Address) -> Result<Self> {
        Client::connect_to(at).map(Self::new)
    }

    /// Makes futures of the client's calls.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { waiter: Waiter::new(Half::Sending), client }
    }

    /// Sends a datagram, once there is room in the server's queue. Dropped before it is done, it has sent none.
    ///
    /// # Errors
    /// As [`Client::send_info`].
    pub async fn send_info(&mut self, info: &[u8]) -> Result<()> {
        self.send_info_by(info, self.client.send_deadline()).await
    }

    /// [`send_info`](Self::send_info) with a deadline of its own.
    ///
    /// # Errors
    /// As there.
    pub async fn send_info_by(&mut self, info: &[u8], deadline: Deadline) -> Result<()> {
        let Self { waiter, client } = self;
        let mut ends = Ends::by(deadline);
        let sent = poll_fn(|cx| waiter.poll(cx, client, &mut Put(info), &mut ends)).await;
        sent.map_err(|error| self.about(error, "send_info"))
    }

    /// Puts the server's next datagram into `info`. Dropped before it is done, it has taken none.
    ///
    /// # Errors
    /// As [`Client::recv_info`].
    pub async fn recv_info(&mut self, info: &mut Vec<u8>) -> Result<()> {
        self.recv_info_by(info, self.client.recv_deadline()).await
    }

    /// [`recv_info`](Self::recv_info) with a deadline of its own.
    ///
    /// # Errors
    /// As there.
    pub async fn recv_info_by(&mut self, info: &mut Vec<u8>, deadline: Deadline) -> Result<()> {
        let Self { waiter, client } = self;
        let (mut take, mut ends) = (Take(info), Ends::by(deadline));
        let taken = poll_fn(|cx| waiter.poll(cx, client, &mut take, &mut ends)).await;
        taken.map_err(|error| self.about(error, "recv_info"))
    }

    /// Lets this handle end every wait of this client.
    pub fn stop_with(&mut self, handle: &StopHandle) {
        self.waiter.forget();
        self.client.stop_with(handle);
    }

    /// The server's address.
    #[must_use]
    pub fn address(&self) -> &str {
        self.client.address()
    }

    fn about(&self, error: Error, doing: &'static str) -> Error {
        error.about(doing, &self.client.address().into())
    }
}

/// Takes a datagram.
struct Take<'a>(&'a mut Vec<u8>);

impl Op<Server> for Take<'_> {
    type Output = Sender;

    fn attempt(&mut self, on: &mut Server, by: Deadline) -> Result<Sender> {
        on.recv_info_by(self.0, by)
    }

    fn interests<'a>(&self, on: &'a Server, into: &mut Interests<'a>) {
        on.recv_interests(into);
    }

    fn wake_at(&self, on: &Server) -> Option<Instant> {
        on.recv_wake_at()
    }

    fn is_at_hand(&self, on: &Server) -> bool {
        on.recv_wake_at().is_some()
    }
}

impl Op<Client> for Take<'_> {
    type Output = ();

    fn attempt(&mut self, on: &mut Client, by: Deadline) -> Result<()> {
        on.recv_info_by(self.0, by)
    }

    fn interests<'a>(&self, on: &'a Client, into: &mut Interests<'a>) {
        on.recv_interests(into);
    }

    fn wake_at(&self, _: &Client) -> Option<Instant> {
        None
    }
}

/// Sends a datagram.
struct Put<'a>(&'a [u8]);

impl Op<Client> for Put<'_> {
    type Output = ();

    fn attempt(&mut self, on: &mut Client, by: Deadline) -> Result<()> {
        on.send_info_by(self.0, by)
    }

    fn interests<'a>(&self, on: &'a Client, into: &mut Interests<'a>) {
        on.send_interests(into);
    }

    fn wake_at(&self, _: &Client) -> Option<Instant> {
        None
    }

    fn is_hopeful(&self) -> bool {
        true
    }
}

impl<R: Runtime> std::fmt::Debug for DatagramServer<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.server.fmt(f)
    }
}

impl<R: Runtime> std::fmt::Debug for DatagramClient<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.client.fmt(f)
    }
}
