//! What can be said on the command line.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use hobnob::Address;

use crate::store::Limits;

/// A message board for clients that end their commands with `%`: `POSThello%`, `GET%`
#[derive(Parser)]
pub struct Arguments {
    /// unix:/PATH or tcp:HOST:PORT
    pub address: Address,
    /// The SQLite database, which is made if it is not there
    #[arg(long, value_name = "FILE")]
    pub db: PathBuf,
    /// How many messages GET answers with: the most recent
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub recent: u32,
    /// How long a client may take over its first command, and over each answer
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub timeout: Duration,
    /// How long a client that was answered may take over its next command; without this it is let go
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub keep_alive: Option<Duration>,
    /// Who may connect; by default `own` at a path, and `any` at a port, where nobody knows who a client is
    #[arg(long)]
    pub allow: Option<Allow>,
    /// How many messages the board keeps of one author: a user, or at a port all of this machine
    #[arg(long, value_name = "N", default_value = "100000")]
    pub per_author: NonZeroU32,
    /// How large the database may become
    #[arg(long, value_name = "MIB", default_value = "1024")]
    pub max_size: NonZeroU32,
}

/// Who may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Allow {
    /// Processes of the user who runs the server
    Own,
    /// Everybody who can reach the address
    Any,
}

impl Arguments {
    pub fn limits(&self) -> Limits {
        Limits { recent: self.recent, per_author: self.per_author.get(), mebibytes: self.max_size.get() }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let span = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    span.filter(|span| !span.is_zero())
        .ok_or_else(|| "expected seconds, more than 0, such as 5 or 0.5".to_owned())
}
