//! Round trips between two processes: hobnob beside the bare kernel object it runs over, in the same rounds.
//!
//! `cargo bench --bench round_trip -- --pin split` (a core each), `same` (one core for both) or `none`.

mod road;

use std::{error::Error, fs::File, io::Write, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use road::{Road, echo};

type Result<R = ()> = std::result::Result<R, Box<dyn Error>>;

/// Measures round trips and prints a table.
#[derive(Parser)]
struct Arguments {
    /// Which cores the two processes run on
    #[arg(long, value_enum, default_value = "none")]
    pin: Pin,
    /// How hobnob's connections wait
    #[arg(long, value_enum, default_value = "adaptive")]
    wait: Wait,
    /// How many times every row is measured, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each measurement takes, in milliseconds
    #[arg(long, default_value_t = 250)]
    millis: u64,
    /// Also append the table to this file, a JSON object a line
    #[arg(long)]
    json: Option<PathBuf>,
    /// What `cargo bench` says; it changes nothing
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the other process: echo this row
    #[arg(long, hide = true, requires = "dir")]
    echo: Option<String>,
    #[arg(long, hide = true)]
    dir: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Pin {
    /// A core for each process
    Split,
    /// One core for both
    Same,
    /// Wherever the system puts them
    None,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Wait {
    /// Asleep at once
    Sleep,
    /// Tries again while that pays, then asleep
    Adaptive,
    /// Tries again until it is done
    Spin,
}

impl Wait {
    fn strategy(self) -> hobnob::WaitStrategy {
        match self {
            Self::Sleep => hobnob::WaitStrategy::Sleep,
            Self::Adaptive => hobnob::WaitStrategy::Adaptive,
            Self::Spin => hobnob::WaitStrategy::Spin,
        }
    }
}

fn name_of(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

const SIZES: [usize; 2] = [64, 64 << 10];

fn main() -> Result {
    let arguments = Arguments::parse();
    match (&arguments.echo, &arguments.dir) {
        (Some(row), Some(dir)) => {
            pin(arguments.pin, usize::from(arguments.pin == Pin::Split))?;
            echo(row, dir, arguments.wait.strategy())
        }
        _ => measure(&arguments),
    }
}

/// What there is a bare row for.
const RAW: [&str; 4] = ["unix", "seqpacket", "dgram", "fifo"];

/// Raw rows first: each hobnob row is compared with the raw one of its scheme.
fn rows() -> Vec<String> {
    let kernel = hobnob::transports().filter(|scheme| *scheme != "inproc");
    let raw = RAW.iter().filter(|scheme| hobnob::transports().any(|it| it == **scheme));
    raw.map(|scheme| format!("raw {scheme}")).chain(kernel.map(|scheme| format!("hobnob {scheme}"))).collect()
}

fn measure(arguments: &Arguments) -> Result {
    pin(arguments.pin, 0)?;
    let (pinned, wait) = (name_of(arguments.pin), name_of(arguments.wait));
    let (dir, rows) = (tempfile::tempdir()?, rows());
    let roads: Result<Vec<_>> = rows
        .iter()
        .map(|row| {
            Road::open(row, dir.path(), ["--pin", &pinned, "--wait", &wait], arguments.wait.strategy())
        })
        .collect();
    let mut roads = roads?;
    println!(
        "row                bytes     p50 (us)           spread (us)    ratio   (pin: {pinned}, wait: {wait})"
    );
    for size in SIZES {
        let times = interleaved(&mut roads, size, arguments)?;
        for (row, own) in rows.iter().zip(&times) {
            let scheme = row.split(' ').next_back().unwrap_or_default();
            let raw = rows.iter().position(|other| *other == format!("raw {scheme}")).unwrap_or(0);
            let p50 = median(own.clone());
            let (least, most) =
                (own.iter().copied().fold(f64::MAX, f64::min), own.iter().copied().fold(0.0, f64::max));
            let ratio = median(own.iter().zip(&times[raw]).map(|(own, raw)| own / raw).collect());
            println!(
                "{row:<16} {size:>7} {p50:>12.2} {:>21} {ratio:>8.2}",
                format!("{least:.2} - {most:.2}")
            );
            if let Some(path) = &arguments.json {
                let fields = format!(
                    r#""row":"{row}","bytes":{size},"pin":"{pinned}","wait":"{wait}","rounds":{}"#,
                    own.len()
                );
                let numbers =
                    format!(r#""p50_us":{p50:.3},"min_us":{least:.3},"max_us":{most:.3},"ratio":{ratio:.4}"#);
                let mut file = File::options().append(true).create(true).open(path)?;
                writeln!(file, r#"{{"bench":"round_trip",{fields},{numbers}}}"#)?;
            }
        }
    }
    Ok(())
}

/// The median of every round, for each row. The rows take turns, and another one begins each time, so that none
/// always follows the same one. Round 0 warms up.
fn interleaved(roads: &mut [Road], size: usize, arguments: &Arguments) -> Result<Vec<Vec<f64>>> {
    let mut times = vec![Vec::new(); roads.len()];
    for round in 0..=arguments.rounds as usize {
        for turn in 0..roads.len() {
            let row = (turn + round) % roads.len();
            let took = roads[row].median(size, Duration::from_millis(arguments.millis))?;
            if round > 0 {
                times[row].push(took);
            }
        }
    }
    Ok(times)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(target_os = "linux")]
fn pin(pinning: Pin, core: usize) -> Result {
    if pinning != Pin::None {
        let mut cores = nix::sched::CpuSet::new();
        cores.set(core)?;
        nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &cores)
            .map_err(|errno| format!("core {core}: {errno}"))?;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn pin(pinning: Pin, _: usize) -> Result {
    if pinning == Pin::None { Ok(()) } else { Err("this system cannot pin a process to a core".into()) }
}
