//! The table, and the numbers behind it.

use std::io::{self, Write};

/// What was measured, in each round.
pub struct Row {
    name: String,
    per_second: Vec<f64>,
}

impl Row {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), per_second: Vec::new() }
    }

    pub fn add(&mut self, per_second: f64) {
        self.per_second.push(per_second);
    }
}

/// The last column is against the first row, in the same round.
pub fn print(rows: &[Row]) {
    println!("| | median a second | least | most | for each fsync(2) |");
    println!("|---|---:|---:|---:|---:|");
    for row in rows {
        let sorted = sorted(&row.per_second);
        let ratios: Vec<f64> =
            row.per_second.iter().zip(&rows[0].per_second).map(|(row, sync)| row / sync).collect();
        let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
        println!(
            "| {} | {:.0} | {least:.0} | {most:.0} | {:.1} |",
            row.name,
            median(&row.per_second),
            median(&ratios)
        );
    }
}

fn sorted(numbers: &[f64]) -> Vec<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn median(numbers: &[f64]) -> f64 {
    let sorted = sorted(numbers);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// `[{"name": "...", "per_second": [1.0, 2.0]}]`
pub fn write_json(rows: &[Row], into: &mut impl Write) -> io::Result<()> {
    let rows: Vec<String> = rows
        .iter()
        .map(|row| format!("  {{\"name\": {:?}, \"per_second\": {:?}}}", row.name, row.per_second))
        .collect();
    writeln!(into, "[\n{}\n]", rows.join(",\n"))
}
