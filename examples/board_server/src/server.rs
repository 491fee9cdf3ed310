//! How the board uses hobnob: whom it admits, how it waits for each client, and how it lets go of one.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use hobnob::{
    Address, AnyServer, Deadline, ErrorKind, Peer, Result, ServerOptions, StopHandle, Wire,
    tokio::{Connection, Server, serve},
};
use nix::{
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::geteuid,
};

use crate::{
    Error,
    arguments::{Allow, Arguments},
    author::Author,
    board::Board,
    literal::longest_list,
    protocol::{self, END, LONGEST_COMMAND, OVERLOADED, TIMEOUT},
};

/// With `--allow any` at a path, a user who is alone there may have half of the places.
const CLIENTS: usize = 2048;
/// How long clients whose posts are being committed are waited for at the end.
const DRAIN: Duration = Duration::from_secs(10);

/// How long is waited for a client.
#[derive(Clone, Copy)]
struct Patience {
    /// For its first command, for room for each answer, and for its end.
    first: Duration,
    next: Deadline,
}

pub fn options(arguments: &Arguments) -> Result<ServerOptions, Error> {
    let is_a_port = is_a_port(&arguments.address)?;
    let anybody = match arguments.allow {
        Some(Allow::Own) if is_a_port => return Err(Error::Arguments(NOBODY_KNOWS.to_owned())),
        Some(allow) => allow == Allow::Any,
        None => is_a_port,
    };
    let own = geteuid().as_raw();
    Ok(ServerOptions::new()
        .wire(Wire::Delimited(END))
        .max_message(LONGEST_COMMAND)
        .max_sent(longest_list(arguments.recent, LONGEST_COMMAND))
        .max_clients(CLIENTS)
        // Others reach a path only if this says so.
        .shared(anybody && !is_a_port)
        .allow(move |peer: &Peer| anybody || peer.uid == Some(own)))
}

const NOBODY_KNOWS: &str =
    "--allow own at a port, where nobody knows who a client is; expected --allow any, or unix:/PATH";

fn is_a_port(address: &Address) -> Result<bool, Error> {
    match address.scheme() {
        Some("unix") => Ok(false),
        Some("tcp") => Ok(true),
        _ => Err(Error::Arguments(format!("the address {address}; expected unix:/PATH or tcp:HOST:PORT"))),
    }
}

/// Serves until it is told to stop. What whole commands had come by then is done and answered.
pub fn run(
    arguments: &Arguments,
    options: &ServerOptions,
    stop: &StopHandle,
    board: Board,
) -> Result<(), Error> {
    admit_many_descriptors();
    let next = arguments.keep_alive.map_or(Deadline::Now, Deadline::Within);
    let patience = Patience { first: arguments.timeout, next };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(hobnob::Error::from)?;
    runtime.block_on(async {
        let mut server = Server::new(AnyServer::new_server_with(&arguments.address, options)?);
        server.stop_with(stop);
        say(&format!("listening on {}", server.address())).map_err(hobnob::Error::from)?;
        let served = serve(server, DRAIN, move |client| attend(client, board.clone(), patience)).await?;
        log::info!("{} clients, {} of them left behind", served.clients, served.abandoned);
        Ok(())
    })
}

/// Not `println`, which panics if nobody listens.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}

/// A client takes one, and the usual limit of 1,024 is less than we admit.
fn admit_many_descriptors() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        log::warn!("the limit of open files stays as it is: {error}");
    }
}

async fn attend(mut client: Connection, board: Board, patience: Patience) -> Result<()> {
    client.set_send_deadline(patience.first.into());
    converse(&mut client, &board, patience).await?;
    // The client reads our end, and closes. If we closed first while it is still sending, or has sent what nobody reads,
    // it would get an error instead of the answer.
    let until = Deadline::Until(Instant::now() + patience.first);
    client.disconnect_from_by(until).await?;
    while client.discard_info_by(until).await? {}
    Ok(())
}

/// Answers command after command until none is there, or none comes.
async fn converse(client: &mut Connection, board: &Board, patience: Patience) -> Result<()> {
    let author = Author::of(client.peer());
    let (mut command, mut is_first) = (Vec::new(), true);
    loop {
        let by = if is_first { patience.first.into() } else { patience.next };
        let received = client.recv_info_by(&mut command, by).await;
        match received.map_err(|error| error.kind().clone()) {
            Ok(true) => client.send_info(&protocol::answer(&command, author, board).await).await?,
            // More than the longest command without an end.
            Err(ErrorKind::Protocol { .. }) => return client.send_info(OVERLOADED).await,
            Err(ErrorKind::TimedOut) if is_first => return client.send_info(TIMEOUT).await,
            // It has ended its direction, perhaps inside of a command; or nothing more is to be waited for.
            Ok(false) | Err(ErrorKind::Truncated | ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(());
            }
            Err(kind) => return Err(kind.into()),
        }
        is_first = false;
    }
}
