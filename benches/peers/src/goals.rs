//! The figures that hobnob means to reach, judged from the cells of one run.

use crate::curve;
use crate::cycles::Cycles;
use crate::idle::Idle;
use crate::run::Cell;
use crate::table::{median, near, size_name};

/// One line of the table.
pub struct Goal {
    pub what: String,
    pub pin: &'static str,
    pub reach: String,
    pub measured: String,
    /// `None`: this run did not measure it, or not all of it.
    pub pass: Option<bool>,
}

/// The ratios of two rows, one for each round in which both cells met the same conditions.
pub struct Ratios(Vec<f64>);

impl Ratios {
    pub fn median(&self) -> f64 {
        median(self.0.clone())
    }

    fn said(&self) -> String {
        let least = self.0.iter().copied().fold(f64::NAN, f64::min);
        let most = self.0.iter().copied().fold(f64::NAN, f64::max);
        let rounds = if self.0.len() == 1 { "round" } else { "rounds" };
        format!("{:.2} ({least:.2} - {most:.2}, {} {rounds})", self.median(), self.0.len())
    }
}

/// What a cell is measured by: the median round trip in nanoseconds, or a rate.
pub fn figure(c: &Cell) -> f64 {
    if c.workload == "pingpong" { c.p50_ns } else { c.ops_s }
}

pub fn is_latency(workload: &str) -> bool {
    workload == "pingpong"
}

/// Whether the host had not moved the CPUs between these two, and other programs did not disturb one of them more.
fn comparable(a: &Cell, b: &Cell) -> bool {
    near(a) == near(b) && (a.others - b.others).abs() < 0.25
}

/// `row` over `floor`, round by round; above 1 is more time, or a higher rate.
pub fn ratios(
    cells: &[Cell],
    workload: &str,
    size: usize,
    pin: &str,
    row: &str,
    floor: &str,
) -> Option<Ratios> {
    ratios_where(cells, |c| c.workload == workload && c.size == size && c.pin == pin, row, floor)
}

/// The same in fan-in, with so many clients and a core each.
fn fanin_ratios(cells: &[Cell], clients: usize, row: &str, floor: &str) -> Option<Ratios> {
    ratios_where(cells, |c| c.clients() == clients && c.pin == "split", row, floor)
}

fn ratios_where(cells: &[Cell], is_meant: impl Fn(&Cell) -> bool, row: &str, floor: &str) -> Option<Ratios> {
    let of = |name: &str, round| {
        cells.iter().find(|c| c.err.is_none() && c.round == round && is_meant(c) && c.peer == name)
    };
    let rounds = cells.iter().map(|c| c.round + 1).max().unwrap_or(0);
    let all: Vec<f64> = (0..rounds)
        .filter_map(|round| {
            let (own, floor) = (of(row, round)?, of(floor, round)?);
            comparable(own, floor).then(|| figure(own) / figure(floor))
        })
        .collect();
    (!all.is_empty()).then_some(Ratios(all))
}

/// A bound on a ratio.
#[derive(Clone, Copy)]
enum Reach {
    AtMost(f64),
    AtLeast(f64),
    Above(f64),
}

impl Reach {
    fn holds(self, x: f64) -> bool {
        match self {
            Reach::AtMost(bound) => x <= bound,
            Reach::AtLeast(bound) => x >= bound,
            Reach::Above(bound) => x > bound,
        }
    }

    fn said(self, floor: &str) -> String {
        match self {
            Reach::AtMost(bound) => format!("<= {bound:.2} x {floor}"),
            Reach::AtLeast(bound) => format!(">= {bound:.2} x {floor}"),
            Reach::Above(bound) => format!("> {bound:.2} x {floor}"),
        }
    }
}

const PINS: [&str; 2] = ["split", "same"];

pub fn judge(cells: &[Cell], idle: &[Idle], cycles: &[Cycles]) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut one = |what: &str, pin: &'static str, workload: &str, row: &str, reach: Reach, floor: &str| {
        let found = ratios(cells, workload, 64, pin, row, floor);
        goals.push(Goal {
            what: format!("{row}: {what}"),
            pin,
            reach: reach.said(floor),
            measured: found.as_ref().map_or_else(|| "not measured".into(), Ratios::said),
            pass: found.map(|ratios| reach.holds(ratios.median())),
        });
    };
    let trip = "64 B round trip";
    for pin in PINS {
        one(trip, pin, "pingpong", "hobnob-unix-sleep", Reach::AtMost(1.05), "raw-unix-stream");
        one(trip, pin, "pingpong", "hobnob-raw-wire", Reach::AtMost(1.03), "raw-unix-stream");
        one(trip, pin, "pingpong", "hobnob-seqpacket-sleep", Reach::AtMost(1.05), "raw-seqpacket");
        one(trip, pin, "pingpong", "hobnob-fifo-sleep", Reach::AtMost(1.08), "raw-fifo");
        one(trip, pin, "pingpong", "hobnob-tcp-sleep", Reach::AtMost(1.05), "raw-tcp");
        one(trip, pin, "pingpong", "hobnob-tokio", Reach::AtMost(1.05), "tokio");
    }
    // Two descriptors are watched: on one core the wait for both is to be seen.
    one(trip, "split", "pingpong", "hobnob-dgram-sleep", Reach::AtMost(1.05), "raw-dgram");
    one(trip, "same", "pingpong", "hobnob-dgram-sleep", Reach::AtMost(1.25), "raw-dgram");
    // Where both share a core, spinning gains nothing: there the blocking floor is the one to meet.
    one(trip, "split", "pingpong", "hobnob-unix-adaptive", Reach::AtMost(1.10), "raw-unix-spin");
    one(trip, "same", "pingpong", "hobnob-unix-adaptive", Reach::AtMost(1.10), "raw-unix-stream");
    one(trip, "split", "pingpong", "hobnob-fifo-adaptive", Reach::AtMost(1.10), "raw-fifo-spin");
    one(trip, "same", "pingpong", "hobnob-fifo-adaptive", Reach::AtMost(1.10), "raw-fifo");
    for pin in PINS {
        let what = "64 B one way, message by message";
        one(what, pin, "stream", "hobnob-unix-sleep", Reach::AtLeast(0.97), "raw-unix-stream");
        one(what, pin, "stream", "hobnob-fifo-sleep", Reach::AtLeast(0.97), "raw-fifo");
    }
    for pin in PINS {
        for row in ["hobnob-unix-feed", "hobnob-unix-many"] {
            one("64 B one way, batched", pin, "stream", row, Reach::AtLeast(0.5), "raw-unix-batch");
            one("64 B one way, batched", pin, "stream", row, Reach::AtLeast(1.5), "tokio");
        }
    }
    for pin in PINS {
        for (row, floor) in
            [("hobnob-unix-sleep", "raw-unix-stream-1m"), ("hobnob-fifo-sleep", "raw-fifo-1m")]
        {
            for workload in ["pingpong", "stream"] {
                goals.push(worst_of(
                    cells,
                    pin,
                    workload,
                    &[65536, 1 << 20],
                    row,
                    Reach::AtLeast(0.97),
                    floor,
                ));
            }
        }
        for rival in ["interprocess", "ipc-channel"] {
            for (workload, sizes) in
                [("pingpong", &[64, 4096, 65536, 1 << 20][..]), ("stream", &[64, 65536, 1 << 20])]
            {
                goals.push(worst_of(
                    cells,
                    pin,
                    workload,
                    sizes,
                    "hobnob-unix-adaptive",
                    Reach::Above(1.0),
                    rival,
                ));
            }
        }
    }
    for pin in PINS {
        for (row, floor) in [("hobnob-unix-sleep", "raw-unix-steps"), ("hobnob-fifo-sleep", "raw-fifo-steps")]
        {
            let found = ratios(cells, "churn", 64, pin, row, floor);
            let reach = Reach::AtLeast(0.9);
            goals.push(Goal {
                what: format!("{row}: connect, one echo, disconnect"),
                pin,
                reach: reach.said(floor),
                measured: found.as_ref().map_or_else(|| "not measured".into(), Ratios::said),
                pass: found.map(|ratios| reach.holds(ratios.median())),
            });
        }
    }
    goals.extend(idle.iter().filter(|i| i.transport == "unix").map(|i| Goal {
        what: format!("unix: idle connection after an echo of {}, server", size_name(i.size)),
        pin: "none",
        reach: "< 4 KiB user memory, one descriptor".into(),
        measured: format!("{:.2} KiB, {:.2}", i.server.kib, i.server.descriptors),
        pass: Some(i.server.kib < 4.0 && i.server.descriptors.round() as i64 == 1),
    }));
    goals.extend(crowds(cells));
    goals.extend(cycles.iter().map(|c| Goal {
        what: format!("{}: {} clients, {} at once", c.server, c.cycles, c.at_once),
        pin: "none",
        reach: "descriptors and memory as before".into(),
        measured: c.said(),
        pass: Some(c.is_back()),
    }));
    goals
}

/// Many clients of one server.
fn crowds(cells: &[Cell]) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut one = |row: &str, clients: usize, least: f64, floor: &str| {
        let (found, reach) = (fanin_ratios(cells, clients, row, floor), Reach::AtLeast(least));
        goals.push(Goal {
            what: format!("{row}: requests/s of {clients} clients"),
            pin: "split",
            reach: reach.said(floor),
            measured: found.as_ref().map_or_else(|| "not measured".into(), Ratios::said),
            pass: found.map(|ratios| reach.holds(ratios.median())),
        });
    };
    one("hobnob-tokio", 1000, 0.97, "tokio");
    for clients in [1000, 9000] {
        one("hobnob-events", clients, 0.9, "raw-unix-epoll");
    }
    for row in ["hobnob-events", "hobnob-tokio"] {
        for (rival, least) in [("tarpc", 1.7), ("zmq", 3.0), ("tonic", 6.0)] {
            one(row, 1000, least, rival);
        }
    }
    let kib = |row: &str, clients: usize| {
        let points = curve::points(cells, row, "split");
        points.into_iter().find(|point| point.0 == clients).map(|point| point.2)
    };
    let limits = [1000, 9000].map(|clients| ("hobnob-events", clients, "4 KiB", Some(4.0)));
    let quarter = kib("tokio", 1000).map(|kib| kib / 4.0);
    for (row, clients, said, most) in
        limits.into_iter().chain([("hobnob-tokio", 1000, "1/4 x tokio", quarter)])
    {
        let own = kib(row, clients);
        goals.push(Goal {
            what: format!("{row}: memory for each of {clients} clients"),
            pin: "split",
            reach: format!("< {said}"),
            measured: own
                .zip(most)
                .map_or_else(|| "not measured".into(), |(own, most)| format!("{own:.2} KiB of {most:.2}")),
            pass: own.zip(most).map(|(own, most)| own < most),
        });
    }
    for row in ["hobnob-events", "hobnob-tokio"] {
        let points = curve::points(cells, row, "split");
        let whole = curve::CLIENTS.iter().all(|n| points.iter().any(|point| point.0 == *n));
        let last = curve::last_of_best(&points).filter(|_| whole);
        goals.push(Goal {
            what: format!("{row}: requests/s of 9000 clients"),
            pin: "split",
            reach: ">= 0.60 x its best of 10 to 9000".into(),
            measured: last.map_or_else(|| "not measured".into(), |last| format!("{last:.2}")),
            pass: last.map(|last| last >= 0.6),
        });
    }
    goals
}

/// The size at which the row does worst, told as a speed: above 1 is faster, for round trips too.
fn worst_of(
    cells: &[Cell],
    pin: &'static str,
    workload: &str,
    sizes: &[usize],
    row: &str,
    reach: Reach,
    floor: &str,
) -> Goal {
    let speed = |size: usize| {
        let found = ratios(cells, workload, size, pin, row, floor)?;
        let speeds =
            if is_latency(workload) { Ratios(found.0.iter().map(|x| 1.0 / x).collect()) } else { found };
        Some((size, speeds))
    };
    let found: Vec<_> = sizes.iter().filter_map(|&size| speed(size)).collect();
    let whole = found.len() == sizes.len();
    let worst = found.into_iter().min_by(|a, b| a.1.median().total_cmp(&b.1.median()));
    let list: Vec<_> = sizes.iter().map(|size| size_name(*size)).collect();
    let kind = if is_latency(workload) { "round trip" } else { "one way" };
    Goal {
        what: format!("{row}: {kind}, the worst of {}", list.join(", ")),
        pin,
        reach: format!("speed {}", reach.said(floor)),
        measured: worst.as_ref().map_or_else(
            || "not measured".into(),
            |(size, speeds)| format!("{} at {}", speeds.said(), size_name(*size)),
        ),
        pass: worst.filter(|_| whole).map(|(_, speeds)| reach.holds(speeds.median())),
    }
}
