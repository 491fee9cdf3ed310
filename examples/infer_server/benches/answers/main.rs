//! How many answers a second, and how long one takes: the real server in a process of its own, all on one core, and the
//! server on one core with the load on another.
//!
//! `cargo bench -p infer_server`

mod load;
mod report;

use std::{
    error::Error,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use load::{Load, Pinned, Running, Times};
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

/// A row of the table.
struct Row {
    what: &'static str,
    model: &'static str,
    /// Another client has four of the largest images under way.
    is_beside_large: bool,
}

const fn row(what: &'static str, model: &'static str, is_beside_large: bool) -> Row {
    Row { what, model, is_beside_large }
}

const ROWS: [Row; 4] = [
    row("the net", "digits", false),
    row("the net, beside the largest images", "digits", true),
    row("the linear model", "linear", false),
    row("no such model: the road alone", "none", false),
];

fn main() -> Result {
    let arguments = Arguments::parse();
    let place = tempfile::tempdir()?;
    load::hang_images(place.path())?;
    let servers = [
        Running::start(Pinned::Together, place.path(), "together.sock")?,
        Running::start(Pinned::Apart, place.path(), "apart.sock")?,
    ];
    let (warm_up, time) = (Duration::from_millis(50), Duration::from_millis(arguments.millis));
    let mut report = Report::default();
    for _ in 0..arguments.rounds {
        for server in &servers {
            for row in &ROWS {
                for under_way in [1, 8] {
                    measure(server, row, under_way, warm_up)?;
                    let times = measure(server, row, under_way, time)?;
                    report.add(Cell { what: row.what, pinned: server.pinned, under_way }, times);
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

fn measure(server: &Running, row: &Row, under_way: usize, time: Duration) -> Result<Times> {
    let mut load = Load::of_digits(server, row.model, under_way)?;
    let mut large = Load::of_large(server, 4)?;
    let is_over = AtomicBool::new(false);
    thread::scope(|threads| {
        let beside = row.is_beside_large.then(|| {
            threads.spawn(|| large.run(|| !is_over.load(Relaxed)).map_err(|error| error.to_string()))
        });
        let begin = Instant::now();
        let times = load.run(|| begin.elapsed() < time);
        is_over.store(true, Relaxed);
        if let Some(beside) = beside {
            beside.join().map_err(|_| "the other client panicked")??;
        }
        times
    })
}
