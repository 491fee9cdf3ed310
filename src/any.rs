//! The transport chosen at run time.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Instant,
};

use ipc_core::{
    Address, ConnectOptions, Deadline, Error, Interests, IpcConnection, IpcDial, IpcReceiver, IpcSender,
    IpcServer, Peer, Result, Server, ServerOptions, ServerStats, StopHandle, Transport, WaitStrategy, Wire,
    connect,
};

use crate::{
    following::AnyConnecting,
    transports::{FEATURES, LIST, Row},
};

/// A server over whatever transport its address names; over the first one compiled in if it names none.
pub struct AnyServer(pub(crate) Box<dyn ErasedServer>);

/// A connection over whatever transport its address or the server's record names.
pub struct AnyConnection(pub(crate) Box<dyn IpcConnection>);

/// A [`Server`] whose clients have lost their type.
pub(crate) trait ErasedServer: Send {
    fn accept(&mut self, deadline: Option<Deadline>) -> Result<AnyConnection>;
    fn destroy(&mut self) -> Result<()>;
    fn stop_handle(&mut self) -> Result<StopHandle>;
    fn stop_with(&mut self, handle: &StopHandle);
    fn accept_deadline(&self) -> Deadline;
    fn accept_interests<'a>(&'a self, into: &mut Interests<'a>);
    fn accept_wake_at(&self) -> Option<Instant>;
    fn address(&self) -> &str;
    fn stats(&self) -> ServerStats;
    #[cfg(all(target_os = "linux", not(hobnob_portable)))]
    fn descriptor(&self) -> BorrowedFd<'_>;
}

impl<T: Transport> ErasedServer for Server<T> {
    fn accept(&mut self, deadline: Option<Deadline>) -> Result<AnyConnection> {
        let deadline = deadline.unwrap_or_else(|| IpcServer::accept_deadline(self));
        Ok(AnyConnection(self.accept_boxed(deadline)?))
    }

    fn destroy(&mut self) -> Result<()> {
        self.destroy_server()
    }

    fn stop_handle(&mut self) -> Result<StopHandle> {
        IpcServer::stop_handle(self)
    }

    fn stop_with(&mut self, handle: &StopHandle) {
        IpcServer::stop_with(self, handle);
    }

    fn accept_deadline(&self) -> Deadline {
        IpcServer::accept_deadline(self)
    }

    fn accept_interests<'a>(&'a self, into: &mut Interests<'a>) {
        IpcServer::accept_interests(self, into);
    }

    fn accept_wake_at(&self) -> Option<Instant> {
        IpcServer::accept_wake_at(self)
    }

    fn address(&self) -> &str {
        IpcServer::address(self)
    }

    fn stats(&self) -> ServerStats {
        IpcServer::stats(self)
    }

    #[cfg(all(target_os = "linux", not(hobnob_portable)))]
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl AnyServer {
    /// Takes the name with options.
    ///
    /// # Errors
    /// As [`IpcServer::new_server`]; `BadAddress` if the transport is not compiled in.
    pub fn new_server_with(at: &Address, options: &ServerOptions) -> Result<Self> {
        let about = |error: Error| error.about("new_server", &at.to_string().into());
        let row = match at.scheme() {
            Some(scheme) => row_of(scheme),
            None => LIST.first().ok_or_else(no_transport),
        };
        (row.map_err(about)?.new_server)(at, options)
    }
}

impl AnyConnection {
    /// Connects with options.
    ///
    /// # Errors
    /// As [`IpcConnection::connect_to`]; `BadAddress` if the transport is not compiled in; `WrongTransport` if
    /// the server's is not.
    pub fn connect_with(at: &Address, options: &ConnectOptions) -> Result<Self> {
        let about = |error: Error| error.about("connect_to", &at.to_string().into());
        AnyConnecting::new(at, options)
            .and_then(|mut connecting| connect(&mut connecting, options))
            .map_err(about)
    }
}

pub(crate) fn row_of(scheme: &str) -> Result<&'static Row> {
    LIST.iter().find(|row| row.scheme == scheme).ok_or_else(|| match compiled_in().as_str() {
        "" => no_transport(),
        list => Error::bad_address(format!(
            "the transport {scheme:?} is not compiled in; expected one of: {list} (features: {FEATURES})"
        )),
    })
}

pub(crate) fn no_transport() -> Error {
    Error::bad_address(format!(
        "no transport is compiled in; expected at least one of hobnob's features: {FEATURES}"
    ))
}

pub(crate) fn compiled_in() -> String {
    crate::transports().collect::<Vec<_>>().join(", ")
}

impl IpcServer for AnyServer {
    type Client = AnyConnection;

    fn new_server(at: &Address) -> Result<Self> {
        Self::new_server_with(at, &ServerOptions::default())
    }

    fn accept_client_by(&mut self, deadline: Deadline) -> Result<AnyConnection> {
        self.0.accept(Some(deadline))
    }

    fn accept_client(&mut self) -> Result<AnyConnection> {
        self.0.accept(None)
    }

    fn destroy_server(&mut self) -> Result<()> {
        self.0.destroy()
    }

    fn stop_handle(&mut self) -> Result<StopHandle> {
        self.0.stop_handle()
    }

    fn stop_with(&mut self, handle: &StopHandle) {
        self.0.stop_with(handle);
    }

    fn accept_deadline(&self) -> Deadline {
        self.0.accept_deadline()
    }

    fn accept_interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.0.accept_interests(into);
    }

    fn accept_wake_at(&self) -> Option<Instant> {
        self.0.accept_wake_at()
    }

    fn address(&self) -> &str {
        self.0.address()
    }

    fn stats(&self) -> ServerStats {
        self.0.stats()
    }
}

/// As [`Server`]'s.
#[cfg(all(target_os = "linux", not(hobnob_portable)))]
impl AsFd for AnyServer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.descriptor()
    }
}

impl IpcDial for AnyConnection {
    type Connecting = AnyConnecting;

    fn dial(at: &Address, options: &ConnectOptions) -> Result<AnyConnecting> {
        AnyConnecting::new(at, options)
    }
}

impl IpcConnection for AnyConnection {
    fn connect_to(at: &Address) -> Result<Self> {
        Self::connect_with(at, &ConnectOptions::default())
    }

    fn peer(&self) -> &Peer {
        self.0.peer()
    }

    fn split(self: Box<Self>) -> (Box<dyn IpcSender>, Box<dyn IpcReceiver>) {
        self.0.split()
    }
}

impl IpcSender for AnyConnection {
    fn send_info_by(&mut self, info: &[u8], deadline: Deadline) -> Result<()> {
        self.0.send_info_by(info, deadline)
    }

    fn feed_info_by(&mut self, info: &[u8], deadline: Deadline) -> Result<()> {
        self.0.feed_info_by(info, deadline)
    }

    fn queue_info(&mut self, info: &[u8]) -> Result<()> {
        self.0.queue_info(info)
    }

    fn queued(&self) -> usize {
        self.0.queued()
    }

    fn largest(&self) -> u32 {
        self.0.largest()
    }

    fn wire(&self) -> Wire {
        self.0.wire()
    }

    fn send_many_by(&mut self, infos: &[&[u8]], deadline: Deadline) -> Result<usize> {
        self.0.send_many_by(infos, deadline)
    }

    fn flush_info_by(&mut self, deadline: Deadline) -> Result<()> {
        self.0.flush_info_by(deadline)
    }

    fn disconnect_from_by(&mut self, deadline: Deadline) -> Result<()> {
        self.0.disconnect_from_by(deadline)
    }

    fn disconnect_from(&mut self) -> Result<()> {
        self.0.disconnect_from()
    }

    fn try_disconnect_from(&mut self) -> Result<()> {
        self.0.try_disconnect_from()
    }

    fn send_interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.0.send_interests(into);
    }

    fn send_wake_at(&self) -> Option<Instant> {
        self.0.send_wake_at()
    }

    fn send_deadline(&self) -> Deadline {
        self.0.send_deadline()
    }

    fn set_send_deadline(&mut self, deadline: Deadline) {
        self.0.set_send_deadline(deadline);
    }

    fn set_send_wait(&mut self, strategy: WaitStrategy) {
        self.0.set_send_wait(strategy);
    }

    fn stop_sending_with(&mut self, handle: &StopHandle) {
        self.0.stop_sending_with(handle);
    }
}

impl IpcReceiver for AnyConnection {
    fn recv_borrowed_by(&mut self, deadline: Deadline) -> Result<Option<&[u8]>> {
        self.0.recv_borrowed_by(deadline)
    }

    fn recv_info_by(&mut self, into: &mut Vec<u8>, deadline: Deadline) -> Result<bool> {
        self.0.recv_info_by(into, deadline)
    }

    fn discard_info_by(&mut self, deadline: Deadline) -> Result<bool> {
        self.0.discard_info_by(deadline)
    }

    fn has_buffered(&self) -> bool {
        self.0.has_buffered()
    }

    fn is_drained(&self) -> bool {
        self.0.is_drained()
    }

    fn rest(&mut self) {
        self.0.rest();
    }

    fn recv_interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.0.recv_interests(into);
    }

    fn recv_wake_at(&self) -> Option<Instant> {
        self.0.recv_wake_at()
    }

    fn recv_deadline(&self) -> Deadline {
        self.0.recv_deadline()
    }

    fn set_recv_deadline(&mut self, deadline: Deadline) {
        self.0.set_recv_deadline(deadline);
    }

    fn set_recv_wait(&mut self, strategy: WaitStrategy) {
        self.0.set_recv_wait(strategy);
    }

    fn stop_receiving_with(&mut self, handle: &StopHandle) {
        self.0.stop_receiving_with(handle);
    }
}

impl AsFd for AnyConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        (*self.0).as_fd()
    }
}
