//! HTTP over any transport: `http_over_any serve ADDRESS`. For browsers and curl, which know nothing of hobnob, there
//! is `http_over_any forward 127.0.0.1:8080 ADDRESS`.
#![forbid(unsafe_code)]

mod forward;
mod web;

use std::{error::Error, io, process::ExitCode};

use clap::{Parser, Subcommand};
use hobnob::Address;
use tokio::signal::unix::{SignalKind, signal};

/// HTTP over any transport.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Serve a page until SIGINT or SIGTERM
    Serve {
        /// NAME, SCHEME:NAME, unix:/PATH or fifo:/PATH
        address: Address,
        /// Forward from there, too; the only way to reach an `inproc:` address
        #[arg(long, value_name = "LISTEN")]
        forward: Option<String>,
    },
    /// Relay each connection to a hobnob address until SIGINT or SIGTERM
    Forward {
        /// HOST:PORT, or the path of an AF_UNIX socket
        listen: String,
        /// Where the server is
        address: Address,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    env_logger::init();
    match run(&arguments.role) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("http_over_any: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(role: &Role) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        match role {
            Role::Serve { address, forward: None } => web::serve_page(address).await?,
            Role::Serve { address, forward: Some(listen) } => {
                // The page is there before the first client of the relay.
                let relay = async { Ok(forward::relay_from(listen, address).await?) };
                tokio::try_join!(web::serve_page(address), relay)?;
            }
            Role::Forward { listen, address } => forward::relay_from(listen, address).await?,
        }
        Ok(())
    })
}

/// Over with SIGINT or SIGTERM, from now on.
fn interrupted() -> io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
