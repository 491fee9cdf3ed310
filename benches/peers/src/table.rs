//! Medians over rounds, and ratios taken inside each round.

use crate::core::Peer;
use crate::run::Cell;
use std::collections::{BTreeMap, BTreeSet};

const FLOOR: &str = "raw-unix-stream";

pub fn median(mut v: Vec<f64>) -> f64 {
    if v.is_empty() {
        return f64::NAN;
    }
    v.sort_by(f64::total_cmp);
    let n = v.len();
    if n % 2 == 1 { v[n / 2] } else { (v[n / 2 - 1] + v[n / 2]) / 2.0 }
}

/// Whether the two virtual CPUs shared a last-level cache when this cell began.
pub fn near(c: &Cell) -> bool {
    c.line_ns < 180.0
}

pub fn size_name(n: usize) -> String {
    match n {
        n if n >= 1 << 20 && n % (1 << 20) == 0 => format!("{} MiB", n >> 20),
        n if n >= 1024 && n % 1024 == 0 => format!("{} KiB", n >> 10),
        n => format!("{n} B"),
    }
}

pub fn num(x: f64) -> String {
    match x.abs() {
        _ if x.is_nan() => "-".into(),
        a if a >= 1e6 => format!("{:.2} M", x / 1e6),
        a if a >= 1e5 => format!("{:.0} k", x / 1e3),
        a if a >= 1e3 => format!("{:.1} k", x / 1e3),
        a if a >= 100.0 => format!("{x:.0}"),
        a if a >= 10.0 => format!("{x:.1}"),
        _ => format!("{x:.2}"),
    }
}

pub fn print(cells: &[Cell], reg: &[&'static dyn Peer]) {
    let mut groups: BTreeMap<(usize, usize, usize, String), Vec<&Cell>> = BTreeMap::new();
    let order = ["pingpong", "stream", "churn", "fanin"];
    for c in cells {
        let w = order.iter().position(|o| *o == c.workload).unwrap_or(9);
        groups.entry((w, c.size, c.clients(), c.pin.clone())).or_default().push(c);
    }
    for ((w, size, clients, pin), g) in &groups {
        let w = order.get(*w).copied().unwrap_or("?");
        let lat = w == "pingpong";
        let gb = w == "stream" && *size > 4096;
        // Higher is better, except latency.
        let metric = |c: &Cell| {
            if lat {
                c.p50_ns / 1e3
            } else if gb {
                c.gb_s
            } else {
                c.ops_s
            }
        };
        let ok: Vec<&&Cell> = g.iter().filter(|c| c.err.is_none()).collect();
        let rounds: BTreeSet<usize> = ok.iter().map(|c| c.round).collect();
        let floor_name = if ok.iter().any(|c| c.peer == FLOOR) {
            FLOOR
        } else if w == "fanin" {
            "raw-unix-epoll"
        } else {
            FLOOR
        };
        // A ratio compares cells of one round, and only if the host had not moved the two
        // virtual CPUs between them.
        let at = |peer: &str, r: usize| {
            ok.iter().find(|c| c.peer == peer && c.round == r).map(|c| (metric(c), near(c)))
        };
        let names: Vec<&str> =
            reg.iter().map(|p| p.name()).filter(|n| g.iter().any(|c| c.peer == *n)).collect();
        struct Row<'a> {
            name: &'a str,
            med: f64,
            best: f64,
            ratio: f64,
            cells: Vec<&'a Cell>,
        }
        let mut rows: Vec<Row> = names
            .iter()
            .map(|n| {
                let cs: Vec<&Cell> = ok.iter().filter(|c| c.peer == *n).map(|c| **c).collect();
                let vals: Vec<f64> = cs.iter().map(|c| metric(c)).collect();
                let ratios = rounds
                    .iter()
                    .filter_map(|&r| {
                        let ((x, xn), (f, fnear)) = (at(n, r)?, at(floor_name, r)?);
                        if xn != fnear {
                            return None;
                        }
                        // Above 1 is better than the floor, for latency and throughput alike.
                        Some(if lat { f / x } else { x / f })
                    })
                    .collect();
                let best = vals.iter().copied().fold(f64::NAN, |a, b| if lat { a.min(b) } else { a.max(b) });
                Row { name: n, med: median(vals), best, ratio: median(ratios), cells: cs }
            })
            .collect();
        rows.sort_by(|a, b| match (a.med.is_nan(), b.med.is_nan()) {
            (true, true) => std::cmp::Ordering::Equal,
            (true, _) => std::cmp::Ordering::Greater,
            (_, true) => std::cmp::Ordering::Less,
            _ if lat => a.med.total_cmp(&b.med),
            _ => b.med.total_cmp(&a.med),
        });
        let top = rows.first().map_or(f64::NAN, |r| r.med);
        println!(
            "\n### {w} {}{}{} ({} rounds, line {:.0} ns, others {:.2} cores)\n",
            size_name(*size),
            if *clients > 0 { format!(", {clients} connections") } else { String::new() },
            if pin == "none" { String::new() } else { format!(", pinned: {pin}") },
            rounds.len(),
            median(ok.iter().map(|c| c.line_ns).collect()),
            median(ok.iter().map(|c| c.others).collect())
        );
        let f = |k: fn(&Cell) -> f64, cs: &[&Cell]| median(cs.iter().map(|c| k(c)).collect());
        if lat {
            println!(
                "| row | p50 us | p99 us | mean us | best p50 | x {floor_name} | x best | cores |\n|---|---:|---:|---:|---:|---:|---:|---:|"
            );
        } else if w == "fanin" {
            println!(
                "| row | requests/s | best | x {floor_name} | x best | server RSS KiB/conn | cores |\n|---|---:|---:|---:|---:|---:|---:|"
            );
        } else {
            println!(
                "| row | {} | best | x {floor_name} | x best | cores |\n|---|---:|---:|---:|---:|---:|",
                if gb {
                    "GB/s"
                } else if w == "churn" {
                    "conn/s"
                } else {
                    "msg/s"
                }
            );
        }
        let x = |v: f64| {
            if v.is_nan() {
                "-".to_string()
            } else if v < 0.095 {
                format!("{v:.3}")
            } else {
                format!("{v:.2}")
            }
        };
        for r in &rows {
            if r.med.is_nan() {
                let e = g.iter().find(|c| c.peer == r.name).and_then(|c| c.err.clone()).unwrap_or_default();
                let e: String = e.chars().take(60).collect();
                println!("| {} | failed: {} |", r.name, e.replace('|', "/"));
                continue;
            }
            let xbest = if lat { top / r.med } else { r.med / top };
            let cores = f(|c| c.cores, &r.cells);
            if lat {
                println!(
                    "| {} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {} | {cores:.2} |",
                    r.name,
                    r.med,
                    f(|c| c.p99_ns / 1e3, &r.cells),
                    f(|c| c.mean_ns / 1e3, &r.cells),
                    r.best,
                    x(r.ratio),
                    x(xbest)
                );
            } else if w == "fanin" {
                let rss = f(Cell::kib_each, &r.cells);
                println!(
                    "| {} | {} | {} | {} | {} | {rss:.2} | {cores:.2} |",
                    r.name,
                    num(r.med),
                    num(r.best),
                    x(r.ratio),
                    x(xbest)
                );
            } else {
                println!(
                    "| {} | {} | {} | {} | {} | {cores:.2} |",
                    r.name,
                    num(r.med),
                    num(r.best),
                    x(r.ratio),
                    x(xbest)
                );
            }
        }
    }
}

/// One line a row: every size side by side, with the ratio to the floor in the same round
/// (above 1 is better than the floor).
pub fn compact(cells: &[Cell], reg: &[&'static dyn Peer]) {
    let pins: BTreeSet<&str> = cells.iter().map(|c| c.pin.as_str()).collect();
    for pin in pins {
        let of_pin: Vec<&Cell> = cells.iter().filter(|c| c.pin == pin && c.err.is_none()).collect();
        let mut kinds: Vec<_> = ["pingpong", "stream", "churn"].map(|w| (w, 0)).into();
        let fanin: BTreeSet<usize> = of_pin.iter().map(|c| c.clients()).filter(|n| *n > 0).collect();
        kinds.extend(fanin.into_iter().map(|clients| ("fanin", clients)));
        for (w, clients) in kinds {
            let ok: Vec<&Cell> =
                of_pin.iter().filter(|c| c.workload == w && c.clients() == clients).copied().collect();
            let sizes: BTreeSet<usize> = ok.iter().map(|c| c.size).collect();
            if sizes.is_empty() {
                continue;
            }
            let lat = w == "pingpong";
            let floor = if w == "fanin" { "raw-unix-epoll" } else { FLOOR };
            let metric = |c: &Cell| {
                if lat {
                    c.p50_ns / 1e3
                } else if w == "stream" && c.size > 4096 {
                    c.gb_s
                } else {
                    c.ops_s
                }
            };
            let rounds: BTreeSet<usize> = ok.iter().map(|c| c.round).collect();
            println!(
                "\n#### {w}{}, pinned: {pin} ({} rounds, line {:.0} ns, others {:.2} cores)\n",
                if clients > 0 { format!(", {clients} connections") } else { String::new() },
                rounds.len(),
                median(ok.iter().map(|c| c.line_ns).collect()),
                median(ok.iter().map(|c| c.others).collect())
            );
            let unit = |s: usize| match w {
                "pingpong" => format!("{} p50 / p99 us", size_name(s)),
                "stream" if s > 4096 => format!("{} GB/s", size_name(s)),
                "stream" => format!("{} msg/s", size_name(s)),
                "churn" => "conn/s".into(),
                _ => "requests/s | server RSS KiB/conn".into(),
            };
            let head: Vec<String> = sizes.iter().map(|&s| format!("{} | x floor", unit(s))).collect();
            println!("| row | {} |", head.join(" | "));
            println!("|---|{}", "---:|".repeat(head.iter().map(|h| h.matches('|').count() + 1).sum()));
            let mut rows: Vec<(f64, String)> = Vec::new();
            for p in reg {
                let n = p.name();
                let mut line = format!("| {n} |");
                let mut key = f64::NAN;
                let mut any = false;
                for &s in &sizes {
                    let of = |peer: &str, r: usize| {
                        ok.iter().find(|c| c.peer == peer && c.size == s && c.round == r).copied()
                    };
                    let mine: Vec<&Cell> =
                        ok.iter().filter(|c| c.peer == n && c.size == s).copied().collect();
                    let rss = w == "fanin";
                    if mine.is_empty() {
                        line += if rss { " - | - | - |" } else { " - | - |" };
                        continue;
                    }
                    any = true;
                    let m = median(mine.iter().map(|c| metric(c)).collect());
                    let ratio = median(
                        rounds
                            .iter()
                            .filter_map(|&r| {
                                let (a, f) = (of(n, r)?, of(floor, r)?);
                                (near(a) == near(f))
                                    .then(|| if lat { metric(f) / metric(a) } else { metric(a) / metric(f) })
                            })
                            .collect(),
                    );
                    if key.is_nan() {
                        key = if lat { m } else { -m };
                    }
                    line += &if lat {
                        format!(" {m:.2} / {:.1} |", median(mine.iter().map(|c| c.p99_ns / 1e3).collect()))
                    } else {
                        format!(" {} |", num(m))
                    };
                    if rss {
                        line += &format!(" {:.1} |", median(mine.iter().map(|c| c.kib_each()).collect()));
                    }
                    line += &if ratio.is_nan() {
                        " - |".into()
                    } else if ratio < 0.095 {
                        format!(" {ratio:.3} |")
                    } else if ratio >= 10.0 {
                        format!(" {ratio:.0} |")
                    } else {
                        format!(" {ratio:.2} |")
                    };
                }
                if any {
                    rows.push((key, line));
                }
            }
            rows.sort_by(|a, b| match (a.0.is_nan(), b.0.is_nan()) {
                (false, false) => a.0.total_cmp(&b.0),
                (x, y) => x.cmp(&y),
            });
            for (_, l) in rows {
                println!("{l}");
            }
        }
    }
}
