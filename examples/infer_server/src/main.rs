//! Says which digit is on an image: `infer_server /tmp/infer.sock --root DIR`, for clients that know nothing of hobnob
//! and send one datagram for each question.
#![forbid(unsafe_code)]

mod counts;
mod desk;
mod gallery;
mod layers;
mod message;
mod model;
mod picture;
mod queue;
mod refusal;
mod scaling;
mod server;

use std::{
    collections::HashSet,
    error::Error,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    process::ExitCode,
    thread,
    time::Instant,
};

use clap::Parser;
use hobnob::{
    Address, StopHandle,
    datagrams::{Rates, Server, ServerOptions},
};
use nix::unistd::geteuid;

use crate::gallery::Gallery;

/// Says which digit is on an image, to whoever asks by a datagram, until SIGINT or SIGTERM.
#[derive(Parser)]
struct Arguments {
    /// The path of the socket, or dgram:/PATH
    #[arg(env = "SOCKET_PATH", value_parser = address)]
    address: Address,
    /// The directory that names of images are relative to; nothing outside of it is read
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// Also answer this user; can be given more than once
    #[arg(long, value_name = "UID")]
    allow_uid: Vec<u32>,
    /// Answer every user of this machine
    #[arg(long)]
    allow_any: bool,
    /// How many requests of one user are answered a second, and at once after a pause
    #[arg(long, default_value = "5000")]
    rate: NonZeroU32,
    /// How many threads read and classify images; large images have one more for themselves [default: one a core]
    #[arg(long)]
    workers: Option<NonZeroUsize>,
}

/// What has no scheme is a path, as clients know it.
fn address(text: &str) -> Result<Address, Box<dyn Error + Send + Sync>> {
    if text.contains(':') && !text.starts_with('/') {
        return Ok(text.parse()?);
    }
    Ok(format!("dgram:{}", std::path::absolute(text)?.display()).parse()?)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    env_logger::init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("infer_server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    // First of all: threads inherit the blocked signals.
    let stop = StopHandle::on_interrupt()?;
    let gallery = Gallery::open(&arguments.root)?;
    let mut server = Server::new_server_with(&arguments.address, &options(arguments))?;
    server.stop_with(&stop);
    let rate = arguments.rate.get();
    let rates = Rates::new(rate, rate, Instant::now());
    let workers = arguments.workers.or_else(|| thread::available_parallelism().ok());
    server::serve(server, gallery, rates, workers.map_or(1, NonZeroUsize::get))?;
    Ok(())
}

/// Whom the kernel says a datagram is from decides whether anybody sees it.
fn options(arguments: &Arguments) -> ServerOptions {
    let any = arguments.allow_any;
    let mut users: HashSet<u32> = arguments.allow_uid.iter().copied().collect();
    users.insert(geteuid().as_raw());
    let others = any || users.len() > 1;
    ServerOptions::new()
        .shared(others)
        // What a digit is harms nobody who did not ask.
        .answer_abstract_names(others)
        .allow(move |peer| any || peer.uid.is_some_and(|uid| users.contains(&uid)))
}
