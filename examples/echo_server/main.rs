//! Echoes every message of every client: `echo_server ADDRESS`, such as `calc`, `unix:calc` or `fifo:calc`; with
//! `--wire raw` or `--wire line` also those of clients that never heard of hobnob. `--wire raw dgram:/PATH` echoes plain
//! datagrams (feature `datagrams`).

#[cfg(feature = "datagrams")]
mod datagrams;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, ValueEnum};
use hobnob::{
    Address, AnyConnection, AnyServer, IpcConnection, IpcReceiver, IpcSender, IpcServer, Peer, Result,
    ServerOptions, StopHandle, Target, Wire,
};
use nix::unistd::geteuid;

/// Echoes every message of every client until SIGINT or SIGTERM.
#[derive(Parser)]
struct Arguments {
    /// NAME, SCHEME:NAME, SCHEME:/PATH or tcp:HOST:PORT
    address: Address,
    /// How messages look on the way: native, raw, line or fixed:SIZE
    #[arg(long, default_value_t)]
    wire: Wire,
    /// Who may come in
    #[arg(long, value_enum, default_value_t = Allow::SameUid)]
    allow: Allow,
    /// At a tcp:HOST:PORT: the key that clients must have
    #[arg(long)]
    key_file: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Allow {
    /// Clients of our own uid
    SameUid,
    /// Whoever can reach the address
    Any,
}

impl Allow {
    fn rule(self) -> impl Fn(&Peer) -> bool + Send + Sync + 'static {
        let us = geteuid().as_raw();
        move |peer| matches!(self, Self::Any) || peer.uid == Some(us)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    env_logger::init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo_server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(Arguments { address, wire, allow, key_file }: &Arguments) -> Result<()> {
    // First of all: threads inherit the blocked signals.
    let stop = StopHandle::on_interrupt()?;
    #[cfg(feature = "datagrams")]
    if address.scheme() == Some("dgram") && *wire == Wire::Raw {
        return datagrams::run(address, *allow, &stop);
    }
    let mut options = ServerOptions::new().wire(*wire).allow(allow.rule());
    if let Some(path) = key_file {
        options = options.key_file(path);
    }
    let mut server = serve_at(address, options)?;
    server.stop_with(&stop);
    log::info!("serving as {}", server.address());
    match address.target() {
        // It has another port by now.
        Target::HostPort(_, 0) => println!("listening on {}", server.address()),
        _ => println!("listening on {address}"),
    }
    #[cfg(feature = "activation")]
    hobnob::activation::ready()?;
    let served = hobnob::serve(server, Duration::from_secs(2), echo)?;
    log::info!("served {} clients, refused {}", served.clients, served.stats.refused_in_all());
    Ok(())
}

/// On the socket that a service manager has passed, if one has.
fn serve_at(address: &Address, options: ServerOptions) -> Result<AnyServer> {
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
