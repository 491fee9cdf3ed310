//! How many posts a second are on the disk, and how many times a second the disk can be waited for.
//!
//! `cargo bench -p board_server -- --rounds 5 --seconds 2 --json FILE`. Every row has a fresh server in a process of its
//! own with a fresh database; the rows of a round follow one another, so that what changes on the machine meets all of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod load;
mod report;

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Parser;
use load::Load;
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use report::Row;

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value = "5")]
    rounds: usize,
    /// Of each row in each round
    #[arg(long, default_value = "2")]
    seconds: f64,
    #[arg(long, default_value = "64")]
    clients: usize,
    /// Where the databases are; on a disk
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    directory: PathBuf,
    #[arg(long)]
    json: Option<PathBuf>,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let file_system = statfs(&arguments.directory).unwrap().filesystem_type();
    assert_ne!(
        file_system,
        TMPFS_MAGIC,
        "{} is no disk; expected --directory on one",
        arguments.directory.display()
    );
    let (clients, time) = (arguments.clients, Duration::from_secs_f64(arguments.seconds));
    let loads = [
        Load { scheme: "unix", keeps: false, clients },
        Load { scheme: "unix", keeps: true, clients },
        Load { scheme: "tcp", keeps: false, clients },
        Load { scheme: "tcp", keeps: true, clients },
        Load { scheme: "unix", keeps: true, clients: 1 },
    ];
    let mut rows = vec![Row::new("fsync(2) of 4 KiB more, one after the other")];
    rows.extend(loads.iter().map(|load| Row::new(&load.to_string())));
    for _ in 0..arguments.rounds {
        rows[0].add(syncs_per_second(&arguments.directory, time));
        for (row, load) in rows[1..].iter_mut().zip(&loads) {
            row.add(load.posts_per_second(&arguments.directory, time));
        }
    }
    report::print(&rows);
    if let Some(path) = arguments.json {
        report::write_json(&rows, &mut File::create(path).unwrap()).unwrap();
    }
}

/// What SQLite does for a commit.
fn syncs_per_second(directory: &Path, time: Duration) -> f64 {
    let mut file = tempfile::tempfile_in(directory).unwrap();
    let (begun, mut count) = (Instant::now(), 0.0);
    while begun.elapsed() < time {
        file.write_all(&[1; 4096 + 24]).unwrap();
        file.sync_all().unwrap();
        count += 1.0;
    }
    count / begun.elapsed().as_secs_f64()
}
