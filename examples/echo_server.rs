//! Echoes every message of every client: `echo_server ADDRESS`, such as `calc`, `unix:calc` or `fifo:calc`.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use hobnob::{
    Address, AnyConnection, AnyServer, IpcConnection, IpcReceiver, IpcSender, IpcServer, Result,
    ServerOptions, StopHandle,
};

/// Echoes every message of every client until SIGINT or SIGTERM.
#[derive(Parser)]
struct Arguments {
    /// NAME, SCHEME:NAME or unix:/PATH
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
    let mut server = serve_at(address)?;
    server.stop_with(&stop);
    log::info!("serving as {}", server.address());
    println!("listening on {address}");
    #[cfg(feature = "activation")]
    hobnob::activation::ready()?;
    let served = hobnob::serve(server, Duration::from_secs(2), echo)?;
    log::info!("served {} clients, refused {}", served.clients, served.stats.refused_in_all());
    Ok(())
}

/// On the socket that a service manager has passed, if one has.
fn serve_at(address: &Address) -> Result<AnyServer> {
    let options = ServerOptions::new();
    #[cfg(feature = "activation")]
    let options = match hobnob::activation::listener()? {
        Some(passed) => options.listen_on(passed.descriptor),
        None => options,
    };
    AnyServer::new_server_with(address, &options)
}

fn echo(client: &mut AnyConnection) -> Result<()> {
    log::info!("client: {}", client.peer());
    let mut info = Vec::new();
    while client.recv_info(&mut info)? {
        client.send_info(&info)?;
    }
    Ok(())
}
