//! Echo as futures, both sides in one program: `tokio_echo serve ADDRESS`, and in another terminal
//! `tokio_echo talk ADDRESS hello`. One thread is enough for all clients.

use std::{io, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use hobnob::{
    Address, Result, StopHandle,
    tokio::{Connection, connect_to, new_server, serve},
};

/// Echoes messages on tokio, over any transport.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Echo every message of every client until SIGINT or SIGTERM
    Serve {
        /// NAME, SCHEME:NAME, unix:/PATH or fifo:/PATH
        address: Address,
    },
    /// Send messages and print what comes back
    Talk {
        /// Where the server is
        address: Address,
        /// What to send
        #[arg(required = true)]
        messages: Vec<String>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    env_logger::init();
    let (address, ran) = match &arguments.role {
        Role::Serve { address } => (address, echo_until_interrupted(address)),
        Role::Talk { address, messages } => {
            (address, runtime().and_then(|runtime| runtime.block_on(talk(address, messages))))
        }
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let address = error.address().is_none().then(|| format!("{address}: "));
            eprintln!("tokio_echo: {}{error}", address.unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn echo_until_interrupted(address: &Address) -> Result<()> {
    // Before the runtime: its threads inherit the blocked signals.
    let stop = StopHandle::on_interrupt()?;
    runtime()?.block_on(async {
        let mut server = new_server(address)?;
        server.stop_with(&stop);
        println!("listening on {address}");
        let served = serve(server, Duration::from_secs(2), echo).await?;
        println!("served {} clients, left {} behind", served.clients, served.abandoned);
        Ok(())
    })
}

/// What a client had sent when the server was stopped is still answered: only then does a call say `Stopped`.
async fn echo(mut client: Connection) -> Result<()> {
    log::info!("client: {}", client.peer());
    let mut info = Vec::new();
    while client.recv_info(&mut info).await? {
        client.send_info(&info).await?;
    }
    client.disconnect_from().await
}

async fn talk(address: &Address, messages: &[String]) -> Result<()> {
    let mut server = connect_to(address).await?;
    let mut info = Vec::new();
    for message in messages {
        server.send_info(message.as_bytes()).await?;
        if !server.recv_info(&mut info).await? {
            return Err(io::Error::other("the server said goodbye instead of answering").into());
        }
        println!("{}", String::from_utf8_lossy(&info));
    }
    server.disconnect_from().await
}
