//! hobnob's words as futures, written once for every transport and every runtime.
//!
//! The words themselves never wait here: a call is tried ([`ipc_core::Deadline::Polled`]), and if it would block, the
//! runtime waits for the descriptors that it names. What a [`Runtime`] must do for that is in `runtime.rs`; tokio and
//! smol are a file each.
//!
//! Every future can be dropped at any `.await`: nothing received is lost, and a message that was being sent has been
//! accepted whole or not at all.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
#![deny(unsafe_code)]

mod byte_stream;
mod connecting;
mod connection;
#[cfg(feature = "datagrams")]
mod datagrams;
mod ender;
mod halves;
mod ops;
mod runtime;
mod serve;
mod server;
#[cfg(feature = "smol")]
mod smol;
mod sources;
mod streams;
#[cfg(any(feature = "smol", feature = "tokio"))]
mod sys;
mod tasks;
#[cfg(feature = "tokio")]
mod tokio;
mod waiter;

pub use byte_stream::ByteStream;
pub use connection::Connection;
#[cfg(feature = "datagrams")]
pub use datagrams::{DatagramClient, DatagramServer};
pub use halves::{Receiver, Sender};
pub use runtime::{Ready, Runtime, Source};
pub use serve::serve;
pub use server::Server;
#[cfg(feature = "smol")]
pub use smol::Smol;
#[cfg(feature = "tokio")]
pub use tokio::Tokio;
