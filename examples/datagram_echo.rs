//! Echoes every datagram to whoever sent it: `datagram_echo ADDRESS`, such as `dgram:calc` or `dgram:/tmp/echo.sock`.

use std::process::ExitCode;

use clap::Parser;
use hobnob::{
    Address, ErrorKind, Result, StopHandle,
    datagrams::{Server, ServerOptions},
};

/// Echoes every datagram of our own user until SIGINT or SIGTERM.
#[derive(Parser)]
struct Arguments {
    /// dgram:NAME or dgram:/PATH
    address: Address,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    env_logger::init();
    match run(&arguments.address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("datagram_echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(address: &Address) -> Result<()> {
    // First of all: threads inherit the blocked signals.
    let stop = StopHandle::on_interrupt()?;
    let mut server = Server::new_server_with(address, &options()?)?;
    server.stop_with(&stop);
    println!("listening on {address}");
    #[cfg(feature = "activation")]
    hobnob::activation::ready()?;
    let ended = echo(&mut server);
    log::info!("{:?}", server.stats());
    match ended {
        Err(error) if *error.kind() == ErrorKind::Stopped => Ok(()),
        ended => ended,
    }
}

/// On the socket that a service manager has passed, if one has.
fn options() -> Result<ServerOptions> {
    let options = ServerOptions::new();
    #[cfg(feature = "activation")]
    let options = match hobnob::activation::listener()? {
        Some(passed) => options.receive_on(passed.descriptor),
        None => options,
    };
    Ok(options)
}

fn echo(server: &mut Server) -> Result<()> {
    let mut info = Vec::new();
    loop {
        let sender = server.recv_info(&mut info)?;
        // Whoever cannot be answered harms nobody else.
        if let Err(error) = server.send_info(&sender, &info) {
            log::info!("{} at {}: {error}", sender.peer(), sender.reply_to());
        }
    }
}
