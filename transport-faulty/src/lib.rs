//! hobnob over a road that fails on request: [`Faulty`] wraps any of its transports.
//!
//! What fails is data in the options ([`Faults`]): reads and writes that are interrupted, that say "not now" although
//! they could go on, that move fewer bytes than they could, or a single one, or are held up; and a death at any byte.
//! Without faults in the options everything passes through as it is.
//!
//! Three things can be relied on:
//!
//! - The n-th call on a half of the n-th connection meets the same fault for the same seed. A death comes at its byte,
//!   whatever the timing. A [`Trace`] tells what came.
//! - Readiness never lies: after a "not now" that is only pretended nobody is left asleep.
//! - Nothing is lost, repeated or altered. After a death the peer sees what it would see of a killed process: the
//!   bytes that passed, and then the end. At this end sends fail, and receives come to the end.
//!
//! Bytes may be cut anywhere, since every transport that there is carries a stream of them.
//!
//! What does a server make of a client that dies in the middle of a message?
//!
//! ```
//! use ipc_core::{ConnectOptions, prelude::*};
//! use transport_faulty::{Connection, Faults, Server};
//! use transport_inproc::Inproc;
//!
//! let at = "calc".parse()?;
//! let mut server = Server::<Inproc>::new_server(&at)?;
//! let client = std::thread::spawn(move || -> Result<()> {
//!     let faults = Faults::seed(7).die_after_sending(1000);
//!     let mut client = Connection::<Inproc>::connect_with(&at, &ConnectOptions::new().seams(faults))?;
//!     client.send_info(&[1; 500])?;
//!     client.send_info(&[2; 500])
//! });
//! let mut client_of_server = server.accept_client()?;
//! assert_eq!(client_of_server.recv_borrowed()?, Some(&[1; 500][..]));
//! let error = client_of_server.recv_borrowed().unwrap_err();
//! assert_eq!(*error.kind(), ErrorKind::Truncated);
//! assert_eq!(*client.join().unwrap().unwrap_err().kind(), ErrorKind::PeerGone);
//! # Ok::<(), Error>(())
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod half;
mod life;
mod rendezvous;
mod road;
mod script;

use std::{convert::Infallible, marker::PhantomData};

use ipc_core::{Capabilities, Config, Place, Result, Transport};
pub use ipc_core::{Fault, Faults, Happening, Part, Side, Spot, Trace};

use crate::{
    rendezvous::{Listener, Making},
    road::{Rx, Tx},
    script::Origin,
};

/// The transport `T`, with the faults that the options ask for.
#[derive(Debug)]
pub struct Faulty<T>(Infallible, PhantomData<T>);

/// A server over a faulty `T`.
pub type Server<T> = ipc_core::Server<Faulty<T>>;
/// A connection over a faulty `T`.
pub type Connection<T> = ipc_core::Connection<Faulty<T>>;

impl<T: Transport> Transport for Faulty<T> {
    const SCHEME: &'static str = T::SCHEME;
    const CAPABILITIES: Capabilities = T::CAPABILITIES;
    const FOREIGN_WIRES: bool = T::FOREIGN_WIRES;
    const TAKES_GIVEN: bool = T::TAKES_GIVEN;

    type Listener = Listener<T::Listener>;
    type Incoming = Making<T::Incoming>;
    type Outgoing = Making<T::Outgoing>;
    type Tx = Tx<T::Tx>;
    type Rx = Rx<T::Rx>;

    fn listen(place: &Place, config: &Config) -> Result<Self::Listener> {
        Ok(Listener::new(T::listen(place, config)?, config.seams.faults()))
    }

    fn dial(place: &Place, config: &Config) -> Result<Self::Outgoing> {
        let outgoing = T::dial(place, config)?;
        Ok(Making::new(outgoing, config.seams.faults().map(|faults| Origin::next(faults, Side::Client))))
    }
}
