//! Serves thousands of clients from a few threads: `serve_many ADDRESS`. What one says, everybody hears.

use std::{
    process::ExitCode,
    sync::{Mutex, PoisonError},
};

use clap::Parser;
use hobnob::{
    Address, EventHandler, EventOptions, IpcServer, Left, Mailbox, Reply, Result, StopHandle, WhenFull,
};

/// Tells every client what any of them says, until SIGINT or SIGTERM.
#[derive(Parser)]
struct Arguments {
    /// NAME, SCHEME:NAME, unix:/PATH or fifo:/PATH
    address: Address,
    /// How many threads share the clients
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// Everybody who is here.
#[derive(Default)]
struct Room(Mutex<Vec<Mailbox>>);

impl Room {
    fn everybody(&self) -> std::sync::MutexGuard<'_, Vec<Mailbox>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventHandler for Room {
    type Client = Mailbox;

    fn joined(&self, reply: &mut Reply<'_>) -> Result<Mailbox> {
        log::info!("a client: {}", reply.peer());
        self.everybody().push(reply.mailbox().clone());
        Ok(reply.mailbox().clone())
    }

    fn message(&self, _: &mut Mailbox, info: &[u8], _: &mut Reply<'_>) -> Result<()> {
        for mailbox in self.everybody().iter() {
            if let Err(error) = mailbox.send(info) {
                log::debug!("one does not hear it: {error}");
            }
        }
        Ok(())
    }

    fn left(&self, client: Mailbox, why: Left) {
        log::info!("a client left: {why:?}");
        self.everybody().retain(|mailbox| *mailbox != client);
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    env_logger::init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serve_many: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    // First of all: threads inherit the blocked signals.
    let stop = StopHandle::on_interrupt()?;
    let mut server = hobnob::new_server(&arguments.address)?;
    server.stop_with(&stop);
    println!("listening on {}", arguments.address);
    let options = EventOptions::new().threads(arguments.threads).when_full(WhenFull::CutOff);
    let served = hobnob::serve_events(server, options, Room::default())?;
    log::info!("served {} clients", served.clients);
    Ok(())
}
