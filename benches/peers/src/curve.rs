//! `peers curve`: how many requests a second one server answers, from few clients to very many.

use crate::cli::Pin;
use crate::core::{Peer, Workload};
use crate::run::{Cell, Plan};
use crate::table::{median, num};
use anyhow::{Result, ensure};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Numbers of clients.
pub const CLIENTS: [usize; 5] = [10, 100, 1000, 3000, 9000];
/// The rows that are asked to serve all of them.
pub const ROWS: [&str; 4] = ["raw-unix-epoll", "hobnob-events", "hobnob-tokio", "tokio"];

/// What each process has open besides.
const OTHERS: u64 = 64;

/// Fails where the descriptors do not suffice; the children raise their own soft limit to the hard one.
pub fn check_descriptors(clients: &[usize]) -> Result<()> {
    let most = clients.iter().copied().max().unwrap_or(0) as u64;
    let hard = crate::sys::most_descriptors();
    ensure!(
        most + OTHERS <= hard,
        "{most} clients need {} descriptors in each of the two processes, but the hard limit is {hard}: raise it \
         (ulimit -Hn) or give fewer with --conns",
        most + OTHERS
    );
    Ok(())
}

pub fn rows(all: &[&'static dyn Peer]) -> Vec<&'static dyn Peer> {
    all.iter().copied().filter(|row| ROWS.contains(&row.name())).collect()
}

pub fn plan(rounds: usize, secs: f64, pin: Pin, clients: &[usize], quiet: bool) -> Plan {
    let (cells, conns) = (vec![(Workload::FanIn, 64)], clients.to_vec());
    Plan { rounds, secs, conns, pins: vec![pin], cells, quiet }
}

/// A row's medians: clients, requests a second, and KiB of the server's memory for each client.
pub fn points(cells: &[Cell], row: &str, pin: &str) -> Vec<(usize, f64, f64)> {
    let mine: Vec<&Cell> = cells
        .iter()
        .filter(|c| c.err.is_none() && c.clients() > 0 && c.peer == row && c.pin == pin)
        .collect();
    let clients: BTreeSet<usize> = mine.iter().map(|c| c.clients()).collect();
    let of = |clients, figure: fn(&Cell) -> f64| {
        median(mine.iter().filter(|c| c.clients() == clients).map(|c| figure(c)).collect())
    };
    clients.into_iter().map(|n| (n, of(n, |c| c.ops_s), of(n, Cell::kib_each))).collect()
}

/// The last point as a part of the best one.
pub fn last_of_best(points: &[(usize, f64, f64)]) -> Option<f64> {
    let best = points.iter().map(|point| point.1).fold(f64::NAN, f64::max);
    points.last().map(|last| last.1 / best)
}

pub fn table(cells: &[Cell], pin: &str) -> String {
    let clients: BTreeSet<usize> = cells.iter().map(|c| c.clients()).filter(|n| *n > 0).collect();
    let heads: Vec<_> = clients.iter().map(|n| format!("{n} clients")).collect();
    let mut out = format!("| row | {} | last of best |\n", heads.join(" | "));
    let _ = writeln!(out, "|---|{}", "---:|".repeat(clients.len() + 1));
    for row in ROWS {
        let points = points(cells, row, pin);
        let Some(last) = last_of_best(&points) else { continue };
        let at = |n: &usize| points.iter().find(|point| point.0 == *n);
        let shown =
            |n| at(n).map_or("-".into(), |(_, ops, kib)| format!("{}/s, {kib:.2} KiB each", num(*ops)));
        let figures: Vec<_> = clients.iter().map(shown).collect();
        let _ = writeln!(out, "| {row} | {} | {last:.2} |", figures.join(" | "));
    }
    out
}
