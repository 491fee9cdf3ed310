//! `peers report`: measures, and writes what was measured as Markdown and plots. Everything written follows from
//! the records, so that the same records always give the same files.

use crate::cli::Pin;
use crate::core::{Peer, Workload};
use crate::curve;
use crate::cycles::{self, Cycles};
use crate::goals::{self, figure, is_latency, ratios};
use crate::idle::{self, Idle};
use crate::machine::About;
use crate::plots;
use crate::run::{self, Cell, Record, Store};
use crate::table::{median, num, size_name};
use crate::timed::{self, Timed};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

pub fn measure(
    rows: &[&'static dyn Peer],
    rounds: usize,
    secs: f64,
    options: &str,
    store: &mut Store,
) -> Result<()> {
    store.keep(Record::About(About::now(options, rounds, secs)))?;
    let workloads = [Workload::PingPong, Workload::Stream, Workload::Churn];
    let plan = run::Plan {
        rounds,
        secs,
        conns: vec![],
        pins: vec![Pin::Split, Pin::Same],
        cells: workloads.iter().flat_map(|w| w.sizes().iter().map(|size| (*w, *size))).collect(),
        quiet: true,
    };
    run::run(rows, &plan, store)?;
    many_clients(rows, rounds, secs, store)?;
    let chosen = |name: &str| rows.iter().any(|row| row.name().starts_with(name));
    for steps in timed::ROWS.into_iter().filter(|steps| chosen(steps.name())) {
        for pin in [Pin::Split, Pin::Same] {
            store.keep(Record::Steps(timed::measure(steps, pin, CONNECTIONS)?))?;
        }
    }
    for case in idle::CASES.iter().filter(|_| chosen("hobnob-")) {
        store.keep(Record::Idle(idle::measure(case, IDLE)?))?;
    }
    for case in cycles::CASES.iter().filter(|(server, _)| chosen(&format!("hobnob-{server}"))) {
        store.keep(Record::Cycles(cycles::measure(case, CYCLES)?))?;
    }
    Ok(())
}

/// Fan-in: all rows with a thousand clients, and those of the curve with all its numbers of clients.
fn many_clients(rows: &[&'static dyn Peer], rounds: usize, secs: f64, store: &mut Store) -> Result<()> {
    let (one, others): (Vec<_>, Vec<_>) = curve::CLIENTS.into_iter().partition(|n| *n == 1000);
    curve::check_descriptors(&others)?;
    run::run(rows, &curve::plan(rounds, secs, Pin::Split, &one, true), store)?;
    run::run(&curve::rows(rows), &curve::plan(rounds, secs, Pin::Split, &others, true), store)
}

/// How many clients come and go.
const CYCLES: usize = 10_000;

/// How many connections the table of steps rests on.
const CONNECTIONS: usize = 3000;
/// How many idle connections there are.
const IDLE: usize = 1000;

// ---------------------------------------------------------------- writing

/// Fewer rounds make no result.
const ENOUGH: usize = 3;

pub fn write(store: &Store, rows: &[&'static dyn Peer], out: &Path) -> Result<()> {
    let about = store.records.iter().find_map(|record| match record {
        Record::About(about) => Some(about.clone()),
        _ => None,
    });
    let about = about.context("no record says what this was measured on")?;
    let (mut steps, mut idle, mut cycles) = (Vec::new(), Vec::new(), Vec::new());
    for record in &store.records {
        match record {
            Record::Steps(timed) => steps.push(timed.clone()),
            Record::Idle(one) => idle.push(one.clone()),
            Record::Cycles(one) => cycles.push(one.clone()),
            Record::About(_) | Record::Cell(_) => {}
        }
    }
    let cells = store.cells();
    std::fs::create_dir_all(out)?;
    let pictures = draw(&cells, out)?;
    let text = page(&about, &cells, &steps, (&idle, &cycles), &pictures, rows)?;
    std::fs::write(out.join("README.md"), text)?;
    eprintln!("written: {}", out.join("README.md").display());
    Ok(())
}

struct Picture {
    file: &'static str,
    title: &'static str,
}

/// Draws what there are cells for.
fn draw(cells: &[Cell], out: &Path) -> Result<Vec<Picture>> {
    let mut drawn = Vec::new();
    let bars = [
        (
            "pingpong",
            "latency-64b.svg",
            "64 B round trip, a core each",
            "us, median (logarithmic; less is better)",
        ),
        (
            "stream",
            "throughput-64b.svg",
            "64 B one way, a core each",
            "messages/s (logarithmic; more is better)",
        ),
        (
            "churn",
            "connect.svg",
            "Connect, one 64 B echo, disconnect; a core each",
            "connections/s (logarithmic)",
        ),
    ];
    for (workload, file, title, axis) in bars {
        let points = plots::points(cells, workload, 64, "split");
        if !points.is_empty() {
            plots::bars(&out.join(file), title, axis, points, is_latency(workload))?;
            drawn.push(Picture { file, title });
        }
    }
    let (file, title) = ("latency-by-size.svg", "Round trip by message size, a core each");
    if cells.iter().any(|c| c.clients() > 0) {
        let (file, title) = ("clients.svg", "Requests a second by number of clients, a core each");
        plots::by_clients(&out.join(file), cells, "split")?;
        drawn.push(Picture { file, title });
    }
    if !plots::points(cells, "pingpong", 64, "split").is_empty() {
        plots::by_size(&out.join(file), title, cells, "split")?;
        drawn.insert(1.min(drawn.len()), Picture { file, title });
    }
    Ok(drawn)
}

fn page(
    about: &About,
    cells: &[Cell],
    steps: &[Timed],
    (idle, cycles): (&[Idle], &[Cycles]),
    pictures: &[Picture],
    rows: &[&'static dyn Peer],
) -> Result<String> {
    let mut o = String::from("# Performance\n\n");
    o += "Written by `peers report`; benches/peers/README.md says what is measured and how to run it.\n\n";
    writeln!(o, "| | |\n|---|---|\n| date | {} |", about.date)?;
    let hardware = format!("{}, {} cores, {} GiB", about.cpu, about.cores, about.memory_gib);
    writeln!(o, "| machine | {hardware} |\n| kernel | {} |\n| compiler | {} |", about.kernel, about.rustc)?;
    writeln!(o, "| sockets and FIFOs on | {} |", about.file_system)?;
    writeln!(o, "| command | `{}` |", about.command)?;
    writeln!(o, "| rounds | {}, {} s for each cell |\n", about.rounds, about.secs)?;
    if about.rounds < ENOUGH {
        o += "**A trial: too few rounds to conclude anything from.**\n\n";
    }
    o += "Two processes, pinned to a core each (split) or to one core (same). Rows are measured in turn, round by \
          round. A figure is the median of the rounds, with the least and the most; a ratio is taken inside a round, \
          and its median is given. A host may move a virtual machine's CPUs between cells: each cell notes how long \
          a cache line takes to the other core and back, and how much other programs ran. Ratios are taken only \
          between cells that both found the line within 180 ns, or neither did, and whose other load differs by \
          less than a quarter of a core.\n\n";
    if !cells.is_empty() {
        o += "## Figures to reach\n\n";
        o += "Medians of the ratios of one run. A speed above 1 is faster.\n\n";
        o += "| what | pinned | to reach | measured | |\n|---|---|---|---|---|\n";
        let mut open = 0;
        for goal in goals::judge(cells, idle, cycles) {
            let Some(pass) = goal.pass else {
                open += 1;
                continue;
            };
            let verdict = if pass { "reached" } else { "**missed**" };
            let line = [&goal.what, goal.pin, &goal.reach, &goal.measured, verdict].join(" | ");
            writeln!(o, "| {line} |")?;
        }
        if open > 0 {
            writeln!(o, "\nThis run did not measure the other {open}.")?;
        }
        o += "\n";
    }
    for picture in pictures {
        writeln!(o, "![{}]({})\n", picture.title, picture.file)?;
    }
    for pin in ["split", "same"] {
        let of_pin: Vec<Cell> = cells.iter().filter(|c| c.pin == pin).cloned().collect();
        if of_pin.is_empty() {
            continue;
        }
        let where_they_ran = if pin == "split" { "a core each" } else { "both on one core" };
        writeln!(o, "## {} ({pin})\n", capital(where_they_ran))?;
        if pin == "same" {
            o += "Rows that only spin are left out: without a second core they burn their time slice.\n\n";
        }
        for (workload, title) in [
            ("pingpong", "Round trip, microseconds"),
            ("stream", "One way: messages/s at 64 B, GB/s above"),
            ("churn", "Connect, one 64 B echo, disconnect: connections/s"),
        ] {
            cell_table(&mut o, &of_pin, workload, title, pin, rows)?;
        }
    }
    if !steps.is_empty() {
        o += "## What connecting costs\n\n";
        o += "Each step of the hand-written programs, timed in both processes (a clock reading is in each). Steps \
              that wait for the other side say so.\n";
        for timed in steps {
            o += &timed::table(timed);
        }
        o += "\n";
    }
    if cells.iter().any(|c| c.clients() > 0) {
        o += "## Many clients\n\n";
        o += "One request outstanding on each connection, a core for the server and one for all clients; medians, and \
              the server's user memory for each client.\n\n";
        o += &curve::table(cells, "split");
        o += "\n";
        let thousand: Vec<Cell> = cells.iter().filter(|c| c.clients() == 1000).cloned().collect();
        cell_table(&mut o, &thousand, "fanin", "1000 clients: requests/s", "split", rows)?;
    }
    if !cycles.is_empty() {
        o += "## Clients that come and go\n\n";
        o += &cycles::table(cycles);
        o += "\n";
    }
    if !idle.is_empty() {
        o += "## Idle connections\n\n";
        o += "Growth of the resident set and of open descriptors, for each connection; not pinned.\n\n";
        o += &idle::table(idle);
        o += "\n";
    }
    o += "## Rows\n\n| row | what it is |\n|---|---|\n";
    for row in rows.iter().filter(|row| cells.iter().any(|c| c.peer == row.name())) {
        writeln!(o, "| {} | {} |", row.name(), row.note())?;
    }
    Ok(o)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The floor that a row is compared with in the tables.
fn floor_of(workload: &str, row: &str) -> &'static str {
    if workload == "fanin" {
        return "raw-unix-epoll";
    }
    match row {
        _ if row.contains("fifo") => "raw-fifo",
        _ if row.contains("tcp") => "raw-tcp",
        _ if row.contains("seqpacket") => "raw-seqpacket",
        _ if row.contains("dgram") => "raw-dgram",
        _ => "raw-unix-stream",
    }
}

fn cell_table(
    o: &mut String,
    cells: &[Cell],
    workload: &str,
    title: &str,
    pin: &str,
    rows: &[&'static dyn Peer],
) -> Result<()> {
    let of: Vec<Cell> = cells.iter().filter(|c| c.workload == workload).cloned().collect();
    let sizes: BTreeSet<usize> = of.iter().map(|c| c.size).collect();
    let (Some(first), rounds) = (sizes.first(), of.iter().map(|c| c.round + 1).max().unwrap_or(0)) else {
        return Ok(());
    };
    let line = median(of.iter().map(|c| c.line_ns).collect());
    let others = median(of.iter().map(|c| c.others).collect());
    writeln!(o, "### {title}\n")?;
    writeln!(
        o,
        "Rounds: {rounds}. In the median cell a cache line took {line:.0} ns to the other core and back, and other \
         programs {others:.2} cores. x floor: against raw-fifo, raw-seqpacket, raw-dgram or raw-tcp for rows over those, \
         raw-unix-epoll for many clients, else raw-unix-stream; \
         above 1 is faster.\n"
    )?;
    let heads: Vec<_> = sizes.iter().map(|size| format!("{} | x floor", size_name(*size))).collect();
    writeln!(o, "| row | {} |\n|---|{}", heads.join(" | "), "---:|---:|".repeat(sizes.len()))?;
    let mut lines: Vec<(f64, String)> = Vec::new();
    for row in rows.iter().map(|row| row.name()) {
        let mine: Vec<&Cell> = of.iter().filter(|c| c.peer == row).collect();
        if mine.is_empty() {
            continue;
        }
        let name = if row.starts_with("hobnob") { format!("**{row}**") } else { row.into() };
        let mut text = format!("| {name} |");
        for &size in &sizes {
            write!(text, " {} | {} |", spread(&mine, size), faster(&of, workload, size, pin, row))?;
        }
        let at_first = mine.iter().filter(|c| c.size == *first && c.err.is_none()).map(|c| figure(c));
        let key = median(at_first.collect());
        lines.push((if is_latency(workload) { key } else { -key }, text));
    }
    // NAN, for rows without the first size, sorts last.
    lines.sort_by(|a, b| a.0.is_nan().cmp(&b.0.is_nan()).then(a.0.total_cmp(&b.0)));
    for (_, text) in lines {
        writeln!(o, "{text}")?;
    }
    o.push('\n');
    Ok(())
}

/// The median over the rounds, and how far they lie apart.
fn spread(mine: &[&Cell], size: usize) -> String {
    let of_size: Vec<&&Cell> = mine.iter().filter(|c| c.size == size).collect();
    let shown = |c: &Cell| match (c.workload.as_str(), c.size > 4096) {
        ("pingpong", _) => c.p50_ns / 1e3,
        ("stream", true) => c.gb_s,
        _ => c.ops_s,
    };
    let v: Vec<f64> = of_size.iter().filter(|c| c.err.is_none()).map(|c| shown(c)).collect();
    if v.is_empty() {
        return if of_size.is_empty() { "-".into() } else { "failed".into() };
    }
    let least = v.iter().copied().fold(f64::NAN, f64::min);
    let most = v.iter().copied().fold(f64::NAN, f64::max);
    let shown = |x| if is_latency(&of_size[0].workload) { short(x) } else { num(x) };
    format!("{} ({} - {})", shown(median(v)), shown(least), shown(most))
}

/// About three digits, without a letter for thousands.
fn short(x: f64) -> String {
    match x {
        x if x >= 100.0 => format!("{x:.0}"),
        x if x >= 10.0 => format!("{x:.1}"),
        x => format!("{x:.2}"),
    }
}

fn faster(cells: &[Cell], workload: &str, size: usize, pin: &str, row: &str) -> String {
    let Some(found) = ratios(cells, workload, size, pin, row, floor_of(workload, row)) else {
        return "-".into();
    };
    let x = if is_latency(workload) { 1.0 / found.median() } else { found.median() };
    match x {
        x if x < 0.095 => format!("{x:.3}"),
        x if x >= 10.0 => format!("{x:.0}"),
        x => format!("{x:.2}"),
    }
}
