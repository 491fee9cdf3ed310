//! hobnob over TCP (tcp(7)).
#![deny(unsafe_code)]

mod admit;
mod dial;
mod endpoint;
mod half;
mod inflow;
mod key;
mod listen;
mod socket;
#[allow(unsafe_code, reason = "the one address of unsafe code in this crate")]
mod sys;
mod words;

use ipc_core::{Capabilities, Config, Place, Result, Transport};
pub use ipc_core::{ConnectOptions, Error, ErrorKind, ServerOptions, prelude};

/// TCP sockets.
#[derive(Debug)]
pub enum Tcp {}

/// A server on TCP.
pub type Server = ipc_core::Server<Tcp>;
/// A connection over TCP.
pub type Connection = ipc_core::Connection<Tcp>;

ipc_core::words!(Server, Connection);

impl Transport for Tcp {
    const SCHEME: &'static str = "tcp";
    const CAPABILITIES: Capabilities =
        Capabilities { one_process: false, paths: false, ports: true, answers_other_users: true };

    type Listener = listen::Listener;
    type Incoming = admit::Incoming;
    type Outgoing = dial::Outgoing;
    type Tx = half::Tx;
    type Rx = half::Rx;

    fn listen(place: &Place, config: &Config) -> Result<Self::Listener> {
        listen::listen(place, config)
    }

    fn dial(place: &Place, config: &Config) -> Result<Self::Outgoing> {
        dial::dial(place, config)
    }
}
