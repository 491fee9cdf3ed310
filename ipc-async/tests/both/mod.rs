//! What tests on both runtimes share.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::{
    future::poll_fn,
    pin::pin,
    task::{Context, Poll, Waker},
};

use conformance::Stage;
use futures_util::future::join;
use ipc_async::{Runtime, Server, Smol, Tokio};
use ipc_core::{ConnectOptions, ServerOptions, Transport};

pub type Connection<R, T> = ipc_async::Connection<R, ipc_core::Connection<T>>;

/// A runtime of its own for each call.
pub trait Fresh: Runtime {
    fn run<F: Future>(future: F) -> F::Output;
}

impl Fresh for Tokio {
    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }
}

/// There is only one.
impl Fresh for Smol {
    fn run<F: Future>(future: F) -> F::Output {
        smol::block_on(future)
    }
}

/// A server, a client and what the server has of it.
pub struct House<R: Runtime, T: Transport> {
    pub server: Server<R, ipc_core::Server<T>>,
    pub client: Connection<R, T>,
    pub served: Connection<R, T>,
    pub stage: Stage<T>,
}

pub async fn house<R: Runtime, T: Transport>() -> House<R, T> {
    house_with(|options| options, |options| options).await
}

pub async fn house_with<R: Runtime, T: Transport>(
    serve: impl FnOnce(ServerOptions) -> ServerOptions,
    connect: impl FnOnce(ConnectOptions) -> ConnectOptions,
) -> House<R, T> {
    let stage = Stage::<T>::new();
    let mut server = Server::<R, _>::new(stage.server_with(serve));
    let options = connect(stage.client_options());
    let (client, served) =
        join(Connection::<R, T>::connect_with(&stage.address, &options), server.accept_client()).await;
    House { client: client.unwrap(), served: served.unwrap(), server, stage }
}

/// Polls once, as a task does that begins to wait.
pub async fn once<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// Polls once where no runtime is.
pub fn nowhere<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}
