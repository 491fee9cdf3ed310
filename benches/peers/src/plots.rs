//! The plots of the report, as SVG.

use crate::curve;
use crate::goals::{figure, is_latency};
use crate::run::Cell;
use crate::table::{median, size_name};
use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A row's place in a plot: its median, and the least and most of its rounds.
pub struct Point {
    pub row: String,
    pub median: f64,
    least: f64,
    most: f64,
}

/// Every row that has cells here, in no order. Latencies in microseconds.
pub fn points(cells: &[Cell], workload: &str, size: usize, pin: &str) -> Vec<Point> {
    let mut rows: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let unit = if is_latency(workload) { 1e3 } else { 1.0 };
    for c in cells {
        if c.err.is_none() && c.workload == workload && c.size == size && c.pin == pin {
            rows.entry(&c.peer).or_default().push(figure(c) / unit);
        }
    }
    let point = |(row, v): (&str, Vec<f64>)| Point {
        row: row.into(),
        least: v.iter().copied().fold(f64::NAN, f64::min),
        most: v.iter().copied().fold(f64::NAN, f64::max),
        median: median(v),
    };
    rows.into_iter().map(point).collect()
}

const HOBNOB: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
const RAW: RGBColor = RGBColor(0x8c, 0x8c, 0x8c);
const OTHER: RGBColor = RGBColor(0x56, 0x9b, 0xc7);
const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const FONT: &str = "sans-serif";

fn colour(row: &str) -> RGBColor {
    match row.split('-').next() {
        Some("hobnob") => HOBNOB,
        Some("raw") => RAW,
        _ => OTHER,
    }
}

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn failed<E: std::fmt::Display>(error: E) -> anyhow::Error {
    anyhow!("plot: {error}")
}

fn text(size: i32, anchor: (HPos, VPos)) -> TextStyle<'static> {
    (FONT, size).into_font().color(&INK).pos(Pos::new(anchor.0, anchor.1))
}

/// A number with about three digits.
fn short(x: f64) -> String {
    match x {
        x if x >= 1e6 => format!("{:.1}M", x / 1e6),
        x if x >= 1e3 => format!("{:.1}k", x / 1e3),
        x if x >= 100.0 => format!("{x:.0}"),
        x if x >= 10.0 => format!("{x:.1}"),
        _ => format!("{x:.2}"),
    }
}

/// For the ticks of a logarithmic axis, which are powers of ten.
fn tick(x: &f64) -> String {
    match *x {
        x if x >= 1e6 => format!("{}M", x / 1e6),
        x if x >= 1e3 => format!("{}k", x / 1e3),
        x => format!("{x}"),
    }
}

const ROW: u32 = 19;

/// A bar for each row on a logarithmic axis, the best on top, with a whisker from the least round to the most.
pub fn bars(path: &Path, title: &str, axis: &str, mut points: Vec<Point>, low_is_best: bool) -> Result<()> {
    points.sort_by(|a, b| a.median.total_cmp(&b.median));
    if !low_is_best {
        points.reverse();
    }
    let n = points.len();
    let (width, height) = (940, 110 + ROW * n as u32);
    let root = SVGBackend::new(path, (width, height)).into_drawing_area();
    root.fill(&WHITE).map_err(failed)?;
    root.draw_text(title, &text(19, (HPos::Left, VPos::Top)), (14, 12)).map_err(failed)?;
    legend(&root, width)?;
    let least = points.iter().map(|p| p.least).fold(f64::MAX, f64::min);
    let most = points.iter().map(|p| p.most).fold(f64::MIN, f64::max);
    // From the power of ten below, with room for the figures at the bars' ends.
    let range = 10f64.powf(least.log10().floor())..most * 2.5;
    let from = range.start;
    let mut chart = ChartBuilder::on(&root)
        .margin_top(44)
        .margin_right(20)
        .margin_bottom(8)
        .x_label_area_size(46)
        .y_label_area_size(178)
        .build_cartesian_2d(range.log_scale(), 0f64..n as f64)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .bold_line_style(RGBColor(0xcc, 0xcc, 0xcc))
        .light_line_style(RGBColor(0xf0, 0xf0, 0xf0))
        .axis_style(RGBColor(0x99, 0x99, 0x99))
        .x_label_formatter(&tick)
        .x_label_style((FONT, 14).into_font().color(&INK))
        .axis_desc_style((FONT, 15).into_font().color(&INK))
        .x_desc(axis)
        .draw()
        .map_err(failed)?;
    for (i, p) in points.iter().enumerate() {
        let y = (n - 1 - i) as f64;
        let bar = Rectangle::new([(from, y + 0.16), (p.median, y + 0.84)], colour(&p.row).filled());
        let whisker = PathElement::new(vec![(p.least, y + 0.5), (p.most, y + 0.5)], INK.stroke_width(1));
        chart.draw_series([bar]).map_err(failed)?;
        chart.draw_series([whisker]).map_err(failed)?;
        let at = |x: f64| chart.plotting_area().map_coordinate(&(x, y + 0.5));
        let (left, end) = (at(from), at(p.most.max(p.median)));
        let name = text(14, (HPos::Right, VPos::Center));
        root.draw_text(&p.row, &name, (left.0 - 8, left.1)).map_err(failed)?;
        let number = text(13, (HPos::Left, VPos::Center));
        root.draw_text(&short(p.median), &number, (end.0 + 6, end.1)).map_err(failed)?;
    }
    root.present().map_err(failed)
}

fn legend(root: &Canvas<'_>, width: u32) -> Result<()> {
    let mut x = width as i32 - 290;
    for (what, colour) in [("hobnob", HOBNOB), ("bare kernel", RAW), ("others", OTHER)] {
        root.draw(&Rectangle::new([(x, 14), (x + 12, 26)], colour.filled())).map_err(failed)?;
        root.draw_text(what, &text(14, (HPos::Left, VPos::Center)), (x + 18, 20)).map_err(failed)?;
        x += 100;
    }
    Ok(())
}

/// The rows of the plot over sizes: few enough to tell apart.
const LINES: [(&str, RGBColor); 11] = [
    ("hobnob-unix-sleep", HOBNOB),
    ("hobnob-unix-adaptive", RGBColor(0xa8, 0x32, 0x32)),
    ("hobnob-fifo-sleep", RGBColor(0xe6, 0x9f, 0x00)),
    ("hobnob-fifo-adaptive", RGBColor(0x8a, 0x6d, 0x00)),
    ("raw-unix-stream", RGBColor(0x77, 0x77, 0x77)),
    ("raw-fifo", RGBColor(0xb0, 0xb0, 0xb0)),
    ("interprocess", RGBColor(0x00, 0x72, 0xb2)),
    ("ipc-channel", RGBColor(0x56, 0xb4, 0xe9)),
    ("tokio", RGBColor(0x00, 0x9e, 0x73)),
    ("zmq", RGBColor(0xcc, 0x79, 0xa7)),
    ("iceoryx2-poll", RGBColor(0x6a, 0x3d, 0x9a)),
];

/// A row, its colour, and its points.
type Line = (&'static str, RGBColor, Vec<(f64, f64)>);

/// Round trips by size, both axes logarithmic.
pub fn by_size(path: &Path, title: &str, cells: &[Cell], pin: &str) -> Result<()> {
    let of_pin = cells.iter().filter(|c| c.pin == pin && c.workload == "pingpong" && c.err.is_none());
    let sizes: BTreeSet<usize> = of_pin.map(|c| c.size).collect();
    let mut all: Vec<Line> = Vec::new();
    for (row, colour) in LINES {
        let at = |&size: &usize| {
            let found = points(cells, "pingpong", size, pin).into_iter().find(|p| p.row == row)?;
            Some((size as f64, found.median))
        };
        all.push((row, colour, sizes.iter().filter_map(at).collect()));
    }
    lines(path, title, ["message", "round trip, us"], |x| size_name(*x as usize), all)
}

/// The rows of the plot over numbers of clients.
const CROWDS: [(&str, RGBColor); 4] = [
    ("hobnob-events", HOBNOB),
    ("hobnob-tokio", RGBColor(0xe6, 0x9f, 0x00)),
    ("raw-unix-epoll", RGBColor(0x77, 0x77, 0x77)),
    ("tokio", RGBColor(0x00, 0x9e, 0x73)),
];

/// Requests a second by number of clients, both axes logarithmic.
pub fn by_clients(path: &Path, cells: &[Cell], pin: &str) -> Result<()> {
    let points = |row| curve::points(cells, row, pin).into_iter().map(|(n, ops, _)| (n as f64, ops));
    let all = CROWDS.map(|(row, colour)| (row, colour, points(row).collect())).into();
    lines(path, "Requests a second by number of clients", ["clients", "requests/s"], tick, all)
}

/// Lines on two logarithmic axes, named at their ends. Rows without points are left out.
fn lines(
    path: &Path,
    title: &str,
    [x_desc, y_desc]: [&str; 2],
    x_label: impl Fn(&f64) -> String,
    mut lines: Vec<Line>,
) -> Result<()> {
    lines.retain(|(.., line)| !line.is_empty());
    let of = |axis: fn(&(f64, f64)) -> f64| lines.iter().flat_map(move |(.., line)| line.iter().map(axis));
    let least = |axis| of(axis).fold(f64::MAX, f64::min);
    let most = |axis| of(axis).fold(f64::MIN, f64::max);
    if lines.is_empty() {
        return Ok(());
    }
    let (first, last) = (least(|at| at.0), most(|at| at.0));
    let x = first * 0.8..(last * 1.2).max(first * 2.0);
    let y = least(|at| at.1) * 0.6..most(|at| at.1) * 1.6;
    let mut ticks: Vec<f64> = of(|at| at.0).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    let root = SVGBackend::new(path, (940, 560)).into_drawing_area();
    root.fill(&WHITE).map_err(failed)?;
    root.draw_text(title, &text(19, (HPos::Left, VPos::Top)), (14, 12)).map_err(failed)?;
    let mut chart = ChartBuilder::on(&root)
        .margin_top(44)
        .margin_right(210)
        .margin_bottom(8)
        .x_label_area_size(46)
        .margin_left(10)
        .y_label_area_size(64)
        .build_cartesian_2d(x.log_scale().with_key_points(ticks), y.log_scale())
        .map_err(failed)?;
    chart
        .configure_mesh()
        .bold_line_style(RGBColor(0xcc, 0xcc, 0xcc))
        .light_line_style(RGBColor(0xf0, 0xf0, 0xf0))
        .axis_style(RGBColor(0x99, 0x99, 0x99))
        .x_label_formatter(&x_label)
        .y_label_formatter(&tick)
        .label_style((FONT, 14).into_font().color(&INK))
        .axis_desc_style((FONT, 15).into_font().color(&INK))
        .x_desc(x_desc)
        .y_desc(y_desc)
        .draw()
        .map_err(failed)?;
    // Names stand at the lines' ends; ends too near to each other push the names apart.
    let mut ends: Vec<(i32, i32, &str, RGBColor)> = Vec::new();
    for (row, colour, line) in &lines {
        chart.draw_series(LineSeries::new(line.iter().copied(), colour.stroke_width(2))).map_err(failed)?;
        let dots = line.iter().map(|at| Circle::new(*at, 3, colour.filled()));
        chart.draw_series(dots).map_err(failed)?;
        if let Some(end) = line.last() {
            let (x, y) = chart.plotting_area().map_coordinate(end);
            ends.push((x, y, row, *colour));
        }
    }
    ends.sort_by_key(|(_, y, ..)| *y);
    let mut free = i32::MIN;
    for (x, y, row, colour) in ends {
        let place = y.max(free);
        free = place + 17;
        let right = 940 - 205;
        let tie = PathElement::new(vec![(x + 4, y), (right - 4, place)], colour.stroke_width(1));
        root.draw(&tie).map_err(failed)?;
        let style = (FONT, 14).into_font().color(&colour).pos(Pos::new(HPos::Left, VPos::Center));
        root.draw_text(row, &style, (right, place)).map_err(failed)?;
    }
    root.present().map_err(failed)
}
