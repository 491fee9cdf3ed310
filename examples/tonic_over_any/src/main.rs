//! Notes that know who wrote them, by gRPC over any transport: `tonic_over_any serve ADDRESS`, and in another terminal
//! `tonic_over_any put ADDRESS KEY TEXT` and `tonic_over_any get ADDRESS KEY`.
#![forbid(unsafe_code)]

mod caller;
mod client;
mod notes;
mod server;

use std::{error::Error, io, process::ExitCode};

use clap::{Parser, Subcommand};
use hobnob::Address;

/// Notes that know who wrote them, by gRPC.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Keep notes until SIGINT or SIGTERM
    Serve {
        /// NAME, SCHEME:NAME, unix:/PATH or fifo:/PATH
        address: Address,
    },
    /// Write a note
    Put { address: Address, key: String, text: String },
    /// Read a note, and who wrote it
    Get { address: Address, key: String },
}

/// Of hobnob, or of the protocol over it.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    env_logger::init();
    match run(arguments.role) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tonic_over_any: {}", whole(&*error));
            ExitCode::FAILURE
        }
    }
}

/// tonic's own words say little; why it happened is behind them.
fn whole(error: &(dyn Error + 'static)) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {}", whole(cause)))
}

fn run(role: Role) -> Result<()> {
    match role {
        Role::Serve { address } => server::keep_notes(&address),
        Role::Put { address, key, text } => runtime()?.block_on(client::put(address, key, text)),
        Role::Get { address, key } => runtime()?.block_on(client::get(address, key)),
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
