//! Echoes every message of every client: `echo_server ADDRESS`, such as `calc`, `unix:calc` or `fifo:calc`.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use hobnob::{Address, AnyConnection, IpcConnection, IpcReceiver, IpcSender, IpcServer, Result, StopHandle};

/// Echoes every message of every client until SIGINT or SIGTERM.
#[derive(Parser)]
struct Arguments {
    /// NAME, SCHEME:NAME, unix:/PATH or fifo:/PATH
    address: Address,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    env_logger::init();
    match run(&arguments.address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo_server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(address: &Address) -> Result<()> {
    // First of all: threads inherit the blocked signals.
    let stop = StopHandle::on_interrupt()?;
    let mut server = hobnob::new_server(address)?;
    server.stop_with(&stop);
    log::info!("serving as {}", server.address());
    println!("listening on {address}");
    let served = hobnob::serve(server, Duration::from_secs(2), echo)?;
    log::info!("served {} clients, refused {}", served.clients, served.stats.refused_in_all());
    Ok(())
}

fn echo(client: &mut AnyConnection) -> Result<()> {
    log::info!("client: {}", client.peer());
    let mut info = Vec::new();
    while client.recv_info(&mut info)? {
        client.send_info(&info)?;
    }
    Ok(())
}
