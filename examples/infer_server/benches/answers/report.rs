//! Medians over the rounds, with the least and the most.

use std::{fmt, fmt::Write};

use crate::load::{Pinned, Times};

/// What was measured.
#[derive(Clone, Copy, PartialEq)]
pub struct Cell {
    pub what: &'static str,
    pub pinned: Pinned,
    pub under_way: usize,
}

/// Rounds of answers a second, p50 and p99 in microseconds.
#[derive(Default)]
pub struct Report(Vec<(Cell, [Vec<f64>; 3])>);

const FIGURES: [&str; 3] = ["answers_per_second", "p50_us", "p99_us"];

impl Report {
    pub fn add(&mut self, cell: Cell, (whole, mut times): Times) {
        times.sort_unstable();
        let percentile = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e6;
        let figures = [times.len() as f64 / whole.as_secs_f64(), percentile(50), percentile(99)];
        let at = self.0.iter().position(|(other, _)| *other == cell).unwrap_or_else(|| {
            self.0.push((cell, Default::default()));
            self.0.len() - 1
        });
        for (rounds, figure) in self.0[at].1.iter_mut().zip(figures) {
            rounds.push(figure);
        }
    }

    /// A list of objects, one for each row.
    pub fn json(&self) -> String {
        let rows = self.0.iter().map(|(Cell { what, pinned, under_way }, rounds)| {
            let mut row = format!(r#"{{"what":"{what}","pinned":"{pinned:?}","under_way":{under_way}"#);
            for (name, rounds) in FIGURES.iter().zip(rounds) {
                let (least, median, most) = spread(rounds);
                // Writing to a string does not fail.
                let _ =
                    write!(row, r#","{name}":{{"least":{least:.1},"median":{median:.1},"most":{most:.1}}}"#);
            }
            row + "}"
        });
        format!("[\n{}\n]\n", rows.collect::<Vec<_>>().join(",\n"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what is asked | pinned | under way | answers/s | p50, us | p99, us |")?;
        writeln!(f, "|---|---|---:|---:|---:|---:|")?;
        for (Cell { what, pinned, under_way }, rounds) in &self.0 {
            let pinned = if *pinned == Pinned::Together { "one core for both" } else { "a core each" };
            write!(f, "| {what} | {pinned} | {under_way} |")?;
            for rounds in rounds {
                let (least, median, most) = spread(rounds);
                write!(f, " {median:.0} ({least:.0} - {most:.0}) |")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn spread(rounds: &[f64]) -> (f64, f64, f64) {
    let mut sorted = rounds.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |i: usize| sorted.get(i).copied().unwrap_or(f64::NAN);
    (at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1)))
}
