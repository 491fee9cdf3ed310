//! A chat: `chat serve ADDRESS`, and in other terminals `chat join ADDRESS`.
//!
//! The server pushes every line to everybody. Each client has a queue of its own; whoever lets it fill up is cut off,
//! and nobody else waits.
#![forbid(unsafe_code)]

mod client;
mod room;
mod server;

use std::{num::NonZeroUsize, process::ExitCode};

use clap::{Parser, Subcommand};
use hobnob::Address;

/// Many clients in a room.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Keep a room until SIGINT or SIGTERM
    Serve {
        /// NAME, SCHEME:NAME, unix:/PATH or fifo:/PATH
        address: Address,
        /// How many lines a client may be behind before it is cut off
        #[arg(long, default_value = "64")]
        queue: NonZeroUsize,
    },
    /// Say the lines of standard input, and print what is said
    Join {
        /// Where the server is
        address: Address,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    env_logger::init();
    let (address, ran) = match &arguments.role {
        Role::Serve { address, queue } => (address, server::keep_room(address, *queue)),
        Role::Join { address } => (address, client::join(address)),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let address = error.address().is_none().then(|| format!("{address}: "));
            eprintln!("chat: {}{error}", address.unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

/// One thread does it: nothing here computes.
fn runtime() -> hobnob::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
