//! What the promises are made by: a transport under the blocking words, or something that stands on them.

use std::{
    fmt::Debug,
    os::fd::BorrowedFd,
    sync::{Mutex, mpsc},
    time::Duration,
};

use ipc_core::{
    Address, ConnectOptions, Connection, IpcConnection, IpcReceiver, IpcSender, IpcServer, Receiver, Result,
    Sender, Served, Server, ServerOptions, Traffic, Transport, serve,
};

use crate::stage::echo;

/// One row of the suite. Every transport is one; so is whatever gives the words another form.
pub trait Subject: Sized + 'static {
    /// What is underneath; clients that break the protocol speak it by hand.
    type Transport: Transport;
    type Server: IpcServer<Client = Self::Connection> + Debug + 'static;
    type Connection: IpcConnection + Debug + 'static;
    type Sender: IpcSender + 'static;
    type Receiver: IpcReceiver + 'static;

    fn new_server_with(at: &Address, options: &ServerOptions) -> Result<Self::Server>;
    fn connect_with(at: &Address, options: &ConnectOptions) -> Result<Self::Connection>;
    fn split(connection: Self::Connection) -> (Self::Sender, Self::Receiver);
    /// Lets go as if this process had died.
    fn abandon(connection: Self::Connection);
    /// What was sent and what was received; it is over with the connection.
    fn traffic(connection: Self::Connection) -> (Traffic, Traffic);
    fn serve(server: Self::Server, drain: Duration, handler: Handler) -> Result<Served>;
    /// The descriptor that an event loop waits on for clients, where there is one.
    fn descriptor(server: &Self::Server) -> Option<BorrowedFd<'_>>;

    /// Where a stage is whose name no other has.
    fn address(name: &str) -> Address {
        name.parse().expect("the names of stages are names")
    }

    /// What its clients are told before anything else.
    fn client_options() -> ConnectOptions {
        ConnectOptions::new()
    }

    /// Who a stranger is, as far as the server can know: this process.
    fn user_of_a_stranger() -> Option<u32> {
        Some(nix::unistd::geteuid().as_raw())
    }

    /// Why this promise has no meaning here, if it has none. It is told when the suite runs.
    fn leaves_out(_promise: &str) -> Option<&'static str> {
        None
    }
}

/// What is done with a client that is served.
#[derive(Clone, Debug)]
pub enum Handler {
    /// Every message comes back.
    Echo,
    /// The same; at the message "panic" it panics.
    Fragile,
    /// Says that it has begun, and never ends.
    Endless(mpsc::Sender<()>),
}

/// What [`Handler::Fragile`] does not survive.
pub fn survive(info: &[u8]) {
    assert_ne!(info, b"panic", "on purpose");
}

impl<T: Transport> Subject for T {
    type Transport = T;
    type Server = Server<T>;
    type Connection = Connection<T>;
    type Sender = Sender<T>;
    type Receiver = Receiver<T>;

    fn new_server_with(at: &Address, options: &ServerOptions) -> Result<Server<T>> {
        Server::new_server_with(at, options)
    }

    fn connect_with(at: &Address, options: &ConnectOptions) -> Result<Connection<T>> {
        Connection::connect_with(at, options)
    }

    fn split(connection: Connection<T>) -> (Sender<T>, Receiver<T>) {
        connection.split()
    }

    fn abandon(connection: Connection<T>) {
        connection.abandon();
    }

    fn traffic(connection: Connection<T>) -> (Traffic, Traffic) {
        let (sender, receiver) = connection.split();
        (sender.traffic(), receiver.traffic())
    }

    fn serve(server: Server<T>, drain: Duration, handler: Handler) -> Result<Served> {
        let handler = Mutex::new(handler);
        serve(server, drain, move |client| {
            let handler = handler.lock().expect("nobody panics with it").clone();
            handle(client, &handler)
        })
    }

    #[cfg(all(target_os = "linux", not(hobnob_portable)))]
    fn descriptor(server: &Server<T>) -> Option<BorrowedFd<'_>> {
        Some(std::os::fd::AsFd::as_fd(server))
    }

    /// Without epoll a server has no one descriptor, and is only asked; that its clients come in all the same is
    /// tested here as everywhere.
    #[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
    fn descriptor(_: &Server<T>) -> Option<BorrowedFd<'_>> {
        None
    }
}

fn handle<C: IpcConnection>(client: &mut C, handler: &Handler) -> Result<()> {
    match handler {
        Handler::Echo => echo(client),
        Handler::Fragile => {
            let mut info = Vec::new();
            while client.recv_info(&mut info)? {
                survive(&info);
                client.send_info(&info)?;
            }
            Ok(())
        }
        Handler::Endless(begun) => {
            begun.send(()).expect("the test waits for this");
            loop {
                std::thread::park();
            }
        }
    }
}
