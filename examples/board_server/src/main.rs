//! A message board in SQLite for clients that know nothing of hobnob, on an AF_UNIX socket or a TCP port.
//!
//! server.rs is how it uses hobnob. protocol.rs and literal.rs are what clients say and hear; board.rs has posts
//! committed together; store.rs is the database.
#![forbid(unsafe_code)]

mod arguments;
mod author;
mod board;
mod literal;
mod protocol;
mod server;
mod store;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    arguments::Arguments,
    board::Board,
    store::{Store, StoreError},
};

/// Why the server ended, or never began.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Hobnob(#[from] hobnob::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Arguments(String),
}

fn main() -> ExitCode {
    env_logger::init();
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("board_server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The database is opened before anybody can connect, and closed when everybody was answered.
fn run(arguments: &Arguments) -> Result<(), Error> {
    let options = server::options(arguments)?;
    let store = Store::open(&arguments.db, arguments.limits())?;
    // Before any thread: all of them inherit the blocked signals.
    let stop = hobnob::StopHandle::on_interrupt()?;
    let (board, keeper) = Board::kept_by_a_thread(store)?;
    let served = server::run(arguments, &options, &stop, board);
    keeper.end()?;
    served
}
