//! Requests a second of http_server, and of the same hyper service on tokio's own listeners: `cargo bench -p http_server`.
//! Each request is a connection. Server and load have a core each; what is compared is measured in turn, and the ratio
//! is taken inside a round. `-- --rounds N --seconds N --clients N --json FILE` changes what is done.

#[path = "../../src/web.rs"]
mod web;

mod baseline;
mod load;
mod report;
mod servers;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

/// Requests a second, over hobnob's listeners and tokio's own
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// For each measurement
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Connections at once
    #[arg(long, default_value_t = 32)]
    clients: usize,
    #[arg(long)]
    json: Option<PathBuf>,
    /// What cargo says
    #[arg(long, hide = true)]
    bench: bool,
}

/// What this program is for a part of the measurement, as a process of its own
#[derive(Subcommand)]
enum Role {
    /// The server that is compared with
    #[command(hide = true)]
    Baseline { address: String },
    /// Requests for so many seconds; prints how many were answered in each
    #[command(hide = true)]
    Load { address: String, clients: usize, seconds: u64 },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.role {
        Some(Role::Baseline { address }) => baseline::serve(address),
        Some(Role::Load { address, clients, seconds }) => {
            load::run(address, *clients, Duration::from_secs(*seconds))
        }
        None => measure(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("requests: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> std::io::Result<()> {
    let mut rows = report::rows();
    for round in 0..arguments.rounds {
        for row in &mut rows {
            row.measure(round, arguments.clients, arguments.seconds)?;
        }
    }
    report::print(&rows);
    arguments.json.as_ref().map_or(Ok(()), |file| std::fs::write(file, report::json(&rows)))
}
