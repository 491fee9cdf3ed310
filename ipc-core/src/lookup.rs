//! Which transport a name is served on: for a client that leaves the choice to the server.

use crate::{ConnectOptions, Name, Record, Result, runtime_dir};

/// The record of the server that has this name, if a record lies anywhere a client looks. It may be a dead one's.
///
/// # Errors
/// `ServerUntrusted` or `Denied`: the place where it lies is not safe to believe.
pub fn look_up(name: &Name, options: &ConnectOptions) -> Result<Option<Record>> {
    let found = runtime_dir::find(name, &options.config)?;
    let alive = found.iter().position(|found| found.record.seems_alive()).unwrap_or(0);
    Ok(found.into_iter().nth(alive).map(|found| found.record))
}

/// The error for a name that nobody serves.
#[must_use]
pub fn nobody_serves(options: &ConnectOptions) -> crate::Error {
    runtime_dir::no_such_server(&options.config)
}
