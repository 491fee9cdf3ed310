//! Strangers come to ports: there they have an address, and nothing that says who they are.

use std::{marker::PhantomData, os::fd::BorrowedFd, time::Duration};

use ipc_core::{Address, ConnectOptions, Result, Served, ServerOptions, Traffic, Transport};

use crate::{Handler, Subject};

/// The subject `S` at ports without a key: nothing is proven, and both sides say that they mean it.
pub struct AtAPort<S>(PhantomData<S>);

impl<S: Subject> Subject for AtAPort<S> {
    type Transport = S::Transport;
    type Server = S::Server;
    type Connection = S::Connection;
    type Sender = S::Sender;
    type Receiver = S::Receiver;

    /// A host of its own on the loopback interface, and a port that the kernel gives nobody who asks for any.
    fn address(name: &str) -> Address {
        let number: u32 =
            name.rsplit('-').next().and_then(|number| number.parse().ok()).expect("it ends with a number");
        let [_, _, high, low] = number.to_be_bytes();
        // Other tests that run now are other processes.
        let process = std::process::id() % 250 + 2;
        let address = format!("{}:127.{process}.{high}.{low}:1999", S::Transport::SCHEME);
        address.parse().expect("a host and a port")
    }

    fn client_options() -> ConnectOptions {
        S::client_options().trust_any_server(true)
    }

    fn user_of_a_stranger() -> Option<u32> {
        None
    }

    fn new_server_with(at: &Address, options: &ServerOptions) -> Result<Self::Server> {
        S::new_server_with(at, options)
    }

    fn connect_with(at: &Address, options: &ConnectOptions) -> Result<Self::Connection> {
        S::connect_with(at, options)
    }

    fn split(connection: Self::Connection) -> (Self::Sender, Self::Receiver) {
        S::split(connection)
    }

    fn abandon(connection: Self::Connection) {
        S::abandon(connection);
    }

    fn traffic(connection: Self::Connection) -> (Traffic, Traffic) {
        S::traffic(connection)
    }

    fn serve(server: Self::Server, drain: Duration, handler: Handler) -> Result<Served> {
        S::serve(server, drain, handler)
    }

    fn descriptor(server: &Self::Server) -> Option<BorrowedFd<'_>> {
        S::descriptor(server)
    }

    fn leaves_out(promise: &str) -> Option<&'static str> {
        S::leaves_out(promise)
    }
}
