//! HTTP for curl and every other client: `http_server tcp:127.0.0.1:8080` or `http_server unix:/tmp/local_server.sock`.
#![forbid(unsafe_code)]

mod web;

use std::{
    error::Error,
    io::{self, Write},
    net::SocketAddr,
    os::fd::{AsRawFd, RawFd},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use hobnob::{
    Address, AnyServer, Interests, IpcServer, Peer, Result, ServerOptions, StopHandle, Wire,
    tokio::{ByteStream, Connection, Server, serve},
};
use hyper_util::rt::TokioIo;
use tokio::{io::AsyncWriteExt, time::timeout};

/// Answers every GET with "running" until SIGINT or SIGTERM.
#[derive(Parser)]
struct Arguments {
    /// tcp:HOST:PORT or unix:/PATH
    address: Address,
    /// How long a client may take for its request, and to take its leave
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    timeout: u64,
    /// The most clients at once; one more is turned away
    #[arg(long, value_name = "CLIENTS", default_value_t = 512)]
    max_clients: usize,
}

/// Nobody waits for a client by then: the waits of those that are served end with the signal.
const DRAIN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    env_logger::init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("http_server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> std::result::Result<(), Box<dyn Error>> {
    // First of all: threads inherit the blocked signals.
    let stop = StopHandle::on_interrupt()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(serve_web(arguments, &stop))?)
}

async fn serve_web(arguments: &Arguments, stop: &StopHandle) -> Result<()> {
    let options = ServerOptions::new()
        .wire(Wire::Raw)
        // Whoever can connect: who that is, the socket's file or the machine's firewall says.
        .allow(|_| true)
        .max_clients(arguments.max_clients)
        .max_message(web::LARGEST_REQUEST);
    let mut server = Server::new(AnyServer::new_server_with(&arguments.address, &options)?);
    server.stop_with(stop);
    say(&format!("Server running. File descriptor: {}", descriptor(&server)));
    say(&format!("listening on {}", server.address()));
    let patience = Duration::from_secs(arguments.timeout);
    let served = serve(server, DRAIN, move |client| attend(client, patience)).await?;
    log::info!("served {} clients, refused {}", served.clients, served.stats.refused_in_all());
    Ok(())
}

/// Where an event loop would wait for clients: on Linux one descriptor for whatever the server waits for.
fn descriptor(server: &Server) -> RawFd {
    let mut interests = Interests::default();
    server.get_ref().accept_interests(&mut interests);
    interests.iter().next().map_or(-1, |(descriptor, _)| descriptor.as_raw_fd())
}

async fn attend(client: Connection, patience: Duration) -> Result<()> {
    say(&newcomer(client.peer()));
    let mut bytes = ByteStream::new(client);
    let is_all = web::answer(TokioIo::new(&mut bytes), patience).await.unwrap_or_else(|error| {
        log::debug!("no request: {error}");
        false
    });
    if !matches!(timeout(patience, leave(&mut bytes, is_all)).await, Ok(Ok(()))) {
        log::debug!("a client did not take its leave");
    }
    Ok(())
}

/// Returns once the client's kernel has the answer, and the client has said all it had to. If the socket were closed
/// while more comes, TCP would reset the connection, and the client might never see the answer (RFC 9112, 9.6).
async fn leave(bytes: &mut ByteStream, is_all: bool) -> io::Result<()> {
    bytes.shutdown().await?;
    if !is_all {
        tokio::io::copy(bytes, &mut tokio::io::sink()).await?;
    }
    Ok(())
}

/// As Python prints an address.
fn newcomer(peer: &Peer) -> String {
    let (ip, rest) = match peer.address {
        None => return "New Unix domain socket connection".to_owned(),
        Some(SocketAddr::V4(at)) => (at.ip().to_string(), at.port().to_string()),
        Some(SocketAddr::V6(at)) => {
            (at.ip().to_string(), format!("{}, {}, {}", at.port(), at.flowinfo(), at.scope_id()))
        }
    };
    format!("New TCP connection from: ('{ip}', {rest})")
}

/// Nobody is let down because nobody reads this.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
