//! The futures under blocking words: every wait of a promise is a wait of the adapter. For tests only.

mod connection;
mod halves;
mod server;

use std::{fmt::Debug, marker::PhantomData, os::fd::BorrowedFd, time::Duration};

use conformance::{Handler, Subject};
use ipc_async::Runtime;
use ipc_core::{
    Address, ConnectOptions, Connection, Result, Served, Server, ServerOptions, Traffic, Transport,
};

/// A runtime that a thread can wait on.
pub trait Blocking: Runtime + Debug {
    fn block_on<F: Future>(future: F) -> F::Output;
}

/// The transport `T` under the futures of the runtime `R`.
pub struct Adapted<R, T>(PhantomData<(R, T)>);

pub struct BlockingServer<R: Runtime, T: Transport>(ipc_async::Server<R, Server<T>>);

pub struct BlockingConnection<R: Runtime, T: Transport> {
    inner: ipc_async::Connection<R, Connection<T>>,
    /// What is lent.
    info: Vec<u8>,
}

pub struct BlockingSender<R: Runtime>(ipc_async::Sender<R>);

pub struct BlockingReceiver<R: Runtime> {
    inner: ipc_async::Receiver<R>,
    info: Vec<u8>,
}

impl<R: Runtime, T: Transport> BlockingConnection<R, T> {
    fn new(inner: ipc_async::Connection<R, Connection<T>>) -> Self {
        Self { inner, info: Vec::new() }
    }
}

impl<R: Blocking, T: Transport> Subject for Adapted<R, T> {
    type Transport = T;
    type Server = BlockingServer<R, T>;
    type Connection = BlockingConnection<R, T>;
    type Sender = BlockingSender<R>;
    type Receiver = BlockingReceiver<R>;

    fn new_server_with(at: &Address, options: &ServerOptions) -> Result<Self::Server> {
        Server::new_server_with(at, options).map(ipc_async::Server::new).map(BlockingServer)
    }

    fn connect_with(at: &Address, options: &ConnectOptions) -> Result<Self::Connection> {
        R::block_on(ipc_async::Connection::connect_with(at, options)).map(BlockingConnection::new)
    }

    fn split(connection: Self::Connection) -> (Self::Sender, Self::Receiver) {
        let (sender, receiver) = connection.inner.split();
        (BlockingSender(sender), BlockingReceiver { inner: receiver, info: Vec::new() })
    }

    fn abandon(connection: Self::Connection) {
        connection.inner.into_inner().abandon();
    }

    fn traffic(connection: Self::Connection) -> (Traffic, Traffic) {
        let (sender, receiver) = connection.inner.into_inner().split();
        (sender.traffic(), receiver.traffic())
    }

    fn serve(server: Self::Server, drain: Duration, handler: Handler) -> Result<Served> {
        R::block_on(ipc_async::serve(server.0, drain, move |client| serve_one(client, handler.clone())))
    }

    fn descriptor(_: &Self::Server) -> Option<BorrowedFd<'_>> {
        None
    }

    fn leaves_out(promise: &str) -> Option<&'static str> {
        let reason = "a runtime waits for the descriptors; they are no business of whoever awaits";
        (promise == "readiness_shows_on_the_descriptor").then_some(reason)
    }
}

async fn serve_one<R: Runtime, T: Transport>(
    mut client: ipc_async::Connection<R, Connection<T>>,
    handler: Handler,
) -> Result<()> {
    if let Handler::Endless(begun) = &handler {
        begun.send(()).unwrap();
        std::future::pending::<()>().await;
    }
    let mut info = Vec::new();
    let echoed = loop {
        match client.recv_info(&mut info).await {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
        if matches!(handler, Handler::Fragile) {
            conformance::survive(&info);
        }
        if let Err(error) = client.send_info(&info).await {
            break Err(error);
        }
    };
    client.disconnect_from().await?;
    echoed
}

#[cfg(feature = "tokio")]
impl Blocking for ipc_async::Tokio {
    fn block_on<F: Future>(future: F) -> F::Output {
        use std::sync::LazyLock;
        static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
        });
        RUNTIME.block_on(future)
    }
}

#[cfg(feature = "smol")]
impl Blocking for ipc_async::Smol {
    fn block_on<F: Future>(future: F) -> F::Output {
        smol::block_on(future)
    }
}
