//! How many answers a second, and how long one takes: the real server in a process of its own, all on one core, and the
//! server on one core with the load on another.
//!
//! `cargo bench -p infer_server`

mod load;
mod report;

use std::{error::Error, path::PathBuf, time::Duration};

use clap::Parser;
use load::{Load, Pinned, Running};
use report::{Cell, Report};

type Result<R = ()> = std::result::Result<R, Box<dyn Error>>;

/// Measures answers and prints a table.
#[derive(Parser)]
struct Arguments {
    /// How many times every row is measured, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each measurement takes, in milliseconds
    #[arg(long, default_value_t = 500)]
    millis: u64,
    /// Also write the table to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// What `cargo bench` says; it changes nothing
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is asked: a model, and how it is called in the table.
const LOADS: [(&str, &str); 3] =
    [("digits", "the net"), ("linear", "the linear model"), ("none", "no such model: the road alone")];

fn main() -> Result {
    let arguments = Arguments::parse();
    let place = tempfile::tempdir()?;
    let servers = [Pinned::Together, Pinned::Apart]
        .map(|pinned| Running::start(pinned, &place.path().join(format!("{pinned:?}.sock"))));
    let mut report = Report::default();
    for _ in 0..arguments.rounds {
        for server in &servers {
            let server = server.as_ref().map_err(ToString::to_string)?;
            for (model, what) in LOADS {
                for under_way in [1, 8] {
                    let mut load = Load::new(server, model, under_way)?;
                    load.run(Duration::from_millis(arguments.millis / 10))?;
                    let times = load.run(Duration::from_millis(arguments.millis))?;
                    report.add(Cell { what, pinned: server.pinned, under_way }, times);
                }
            }
        }
    }
    print!("{report}");
    if let Some(path) = arguments.json {
        std::fs::write(path, report.json())?;
    }
    Ok(())
}
