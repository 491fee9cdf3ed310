//! The command line.

use crate::core::{Args, Peer, Workload};
use crate::{curve, cycles, idle, limits, peers, plots, report, run, table, timed};
use anyhow::{Context, Result, bail};
use clap::{Args as Options, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Two-process benchmark of ways between processes on one machine
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the rows and what they are
    List,
    /// Print memcpy bandwidth, cache-line and wake-up latency
    Limits,
    /// Measure, then print tables
    Run(Run),
    /// Print the tables of earlier runs
    Table(Table),
    /// Measure how long each step of connecting takes, by hand-written system calls
    Steps {
        #[arg(long, value_enum, default_value = "split")]
        pin: Pin,
        /// How many connections
        #[arg(long, default_value_t = 3000, value_parser = at_least_one)]
        conns: usize,
    },
    /// Measure what an idle connection to a hobnob server holds
    Idle {
        /// How many connections
        #[arg(long, default_value_t = 1000, value_parser = at_least_one)]
        conns: usize,
    },
    /// Measure requests per second from few clients to thousands: fan-in, for the rows that take so many
    Curve(Curve),
    /// Look whether a server has as many descriptors and as much memory after many clients as before
    Cycles {
        /// How many clients come and go
        #[arg(long, default_value_t = 10_000, value_parser = at_least_one)]
        count: usize,
    },
    /// Measure everything, then write Markdown and plots to docs/performance
    Report(Report),
    /// Be one of the two processes
    #[command(hide = true)]
    Child(Child),
}

#[derive(Options)]
struct Choice {
    /// Rows, by name or by prefix with a star (default: all)
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Rows to leave out, likewise
    #[arg(long, value_delimiter = ',')]
    skip: Vec<String>,
}

#[derive(Options)]
struct Run {
    /// Interleaved rounds
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Measuring time of one cell, in seconds
    #[arg(long, default_value_t = 0.3)]
    secs: f64,
    #[command(flatten)]
    choice: Choice,
    /// Workloads
    #[arg(long, value_enum, value_delimiter = ',', default_value = "pingpong,stream,churn,fanin")]
    workload: Vec<Workload>,
    /// Message sizes, such as 64,4k,1m (default: each workload's own)
    #[arg(long, value_delimiter = ',', value_parser = size)]
    size: Vec<usize>,
    /// Connections in fan-in
    #[arg(long, value_delimiter = ',', default_value = "1000")]
    conns: Vec<usize>,
    #[arg(long, value_enum, default_value = "none")]
    pin: Pin,
    /// Keep every cell, one JSON object a line
    #[arg(long)]
    json: Option<PathBuf>,
    /// No line for each cell
    #[arg(long)]
    quiet: bool,
}

#[derive(Options)]
struct Curve {
    /// Interleaved rounds
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Measuring time of one cell, in seconds
    #[arg(long, default_value_t = 0.5)]
    secs: f64,
    /// Numbers of clients
    #[arg(long, value_delimiter = ',', default_values_t = curve::CLIENTS)]
    conns: Vec<usize>,
    #[arg(long, value_enum, default_value = "split")]
    pin: Pin,
    /// Keep every cell, one JSON object a line
    #[arg(long)]
    json: Option<PathBuf>,
    /// Measure nothing, show what this file holds
    #[arg(long, conflicts_with_all = ["json", "rounds", "secs", "conns"])]
    from: Option<PathBuf>,
    /// Also plot it
    #[arg(long)]
    svg: Option<PathBuf>,
}

#[derive(Options)]
struct Table {
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// All sizes in one table
    #[arg(long)]
    compact: bool,
    /// Keep only cells that found the two CPUs near together
    #[arg(long)]
    near: bool,
    /// Or far apart
    #[arg(long, conflicts_with = "near")]
    far: bool,
}

#[derive(Options)]
struct Report {
    /// Interleaved rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Measuring time of one cell, in seconds
    #[arg(long, default_value_t = 0.3)]
    secs: f64,
    #[command(flatten)]
    choice: Choice,
    /// Keep everything measured, one JSON object a line
    #[arg(long)]
    json: Option<PathBuf>,
    /// Measure nothing, write what this file holds
    #[arg(long, conflicts_with_all = ["json", "rounds", "secs"])]
    from: Option<PathBuf>,
    /// Where to write
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/performance"))]
    out: PathBuf,
}

#[derive(Options)]
struct Child {
    role: String,
    row: String,
    workload: Workload,
    size: usize,
    secs: f64,
    dir: PathBuf,
    uid: String,
    conns: usize,
    #[arg(value_enum)]
    pin: Pin,
}

/// Which cores the two processes run on.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pin {
    /// Wherever the system puts them
    None,
    /// A core each
    Split,
    /// One core for both
    Same,
}

impl Pin {
    pub fn name(self) -> &'static str {
        match self {
            Pin::None => "none",
            Pin::Split => "split",
            Pin::Same => "same",
        }
    }
}

fn at_least_one(s: &str) -> Result<usize, String> {
    s.parse().ok().filter(|n| *n > 0).ok_or_else(|| "expected a number above 0".into())
}

fn size(s: &str) -> Result<usize, String> {
    let l = s.to_ascii_lowercase();
    let (digits, unit) = match l.as_bytes().last() {
        Some(b'k') => (&l[..l.len() - 1], 1 << 10),
        Some(b'm') => (&l[..l.len() - 1], 1 << 20),
        _ => (&l[..], 1),
    };
    digits.parse::<usize>().map(|n| n * unit).map_err(|_| "expected a size such as 64, 4k or 1m".into())
}

fn matches(name: &str, patterns: &[String]) -> bool {
    patterns.iter().any(|p| p.strip_suffix('*').map_or(name == p, |prefix| name.starts_with(prefix)))
}

impl Choice {
    fn rows(&self, all: &[&'static dyn Peer]) -> Result<Vec<&'static dyn Peer>> {
        let chosen: Vec<_> = all
            .iter()
            .copied()
            .filter(|p| self.only.is_empty() || matches(p.name(), &self.only))
            .filter(|p| !matches(p.name(), &self.skip))
            .collect();
        if chosen.is_empty() {
            bail!("no row matches");
        }
        Ok(chosen)
    }

    /// The options as they were given.
    fn said(&self) -> String {
        let list = |option, values: &[String]| match values {
            [] => String::new(),
            values => format!(" --{option} '{}'", values.join(",")),
        };
        list("only", &self.only) + &list("skip", &self.skip)
    }
}

fn show_curve(options: &Curve, all: &[&'static dyn Peer]) -> Result<()> {
    let store = match &options.from {
        Some(file) => run::Store::load(file)?,
        None => {
            curve::check_descriptors(&options.conns)?;
            let mut store = run::Store::new(options.json.as_deref())?;
            let plan = curve::plan(options.rounds, options.secs, options.pin, &options.conns, false);
            run::run(&curve::rows(all), &plan, &mut store)?;
            store
        }
    };
    let (cells, pin) = (store.cells(), options.pin.name());
    print!("{}", curve::table(&cells, pin));
    match &options.svg {
        Some(path) => plots::by_clients(path, &cells, pin),
        None => Ok(()),
    }
}

pub fn main() -> Result<()> {
    let all = peers::registry();
    match Cli::parse().command {
        Command::List => {
            for p in &all {
                println!("{:<22} {}", p.name(), p.note());
            }
        }
        Command::Limits => limits::print(),
        Command::Run(options) => {
            let mut cells = Vec::new();
            for w in &options.workload {
                match (&options.size[..], w) {
                    ([_, ..], Workload::PingPong | Workload::Stream) => {
                        cells.extend(options.size.iter().map(|&s| (*w, s)));
                    }
                    _ => cells.extend(w.sizes().iter().map(|&s| (*w, s))),
                }
            }
            let plan = run::Plan {
                rounds: options.rounds,
                secs: options.secs,
                conns: options.conns,
                pins: vec![options.pin],
                cells,
                quiet: options.quiet,
            };
            let mut store = run::Store::new(options.json.as_deref())?;
            run::run(&options.choice.rows(&all)?, &plan, &mut store)?;
            table::print(&store.cells(), &all);
        }
        Command::Table(options) => {
            let mut cells = Vec::new();
            for (i, file) in options.files.iter().enumerate() {
                let mut more = run::Store::load(file)?.cells();
                more.iter_mut().for_each(|c| c.round += 1000 * i);
                cells.extend(more);
            }
            cells.retain(|c| (!options.near || table::near(c)) && (!options.far || !table::near(c)));
            if options.compact {
                table::compact(&cells, &all);
            } else {
                table::print(&cells, &all);
            }
        }
        Command::Steps { pin, conns } => {
            for row in timed::ROWS {
                print!("{}", timed::table(&timed::measure(row, pin, conns)?));
            }
        }
        Command::Idle { conns } => {
            let measured: Result<Vec<_>> =
                idle::CASES.iter().map(|case| idle::measure(case, conns)).collect();
            print!("{}", idle::table(&measured?));
        }
        Command::Curve(options) => show_curve(&options, &all)?,
        Command::Cycles { count } => {
            let measured: Result<Vec<_>> =
                cycles::CASES.iter().map(|case| cycles::measure(case, count)).collect();
            print!("{}", cycles::table(&measured?));
        }
        Command::Report(options) => {
            let store = match &options.from {
                Some(file) => run::Store::load(file)?,
                None => {
                    let mut store = run::Store::new(options.json.as_deref())?;
                    let said = format!("--rounds {} --secs {}", options.rounds, options.secs);
                    let rows = options.choice.rows(&all)?;
                    let said = said + &options.choice.said();
                    report::measure(&rows, options.rounds, options.secs, &said, &mut store)?;
                    store
                }
            };
            report::write(&store, &all, &options.out)?;
        }
        Command::Child(child) => {
            let a = Args {
                workload: child.workload,
                size: child.size,
                secs: child.secs,
                dir: child.dir,
                uid: child.uid,
                conns: child.conns,
            };
            run::settle_in(&child.role, child.pin);
            let row = || all.iter().copied().find(|p| p.name() == child.row).context("no such row");
            match child.role.as_str() {
                "server" => row()?.serve(&a)?,
                "client" => run::client(row()?, &a)?,
                "steps-server" | "steps-client" => timed::child(&child.role, &child.row, &a)?,
                "idle-server" | "idle-client" => idle::child(&child.role, &child.row, &a)?,
                "cycles-server" | "cycles-client" => cycles::child(&child.role, &child.row, &a)?,
                role => bail!("no such role: {role}"),
            }
        }
    }
    Ok(())
}
