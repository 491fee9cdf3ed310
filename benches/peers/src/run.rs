//! The parent: starts the two children of each cell, in interleaved rounds.

use crate::cli::Pin;
use crate::core::{Args, Peer, Samples, Workload};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cell {
    pub peer: String,
    pub raw: bool,
    pub workload: String,
    pub size: usize,
    pub round: usize,
    pub pin: String,
    pub err: Option<String>,
    pub n: u64,
    pub min_ns: f64,
    pub p50_ns: f64,
    pub p99_ns: f64,
    pub mean_ns: f64,
    pub ops_s: f64,
    pub gb_s: f64,
    /// Server resident set before the first connection, and its peak.
    pub rss0_kb: u64,
    pub rss_peak_kb: u64,
    pub conns: usize,
    /// CPU seconds of both processes per wall second of the client's measurement.
    pub cores: f64,
    pub ctx_switches: u64,
    /// Cache line to the other core and back, just before this cell: tells where the host
    /// had put the two virtual CPUs.
    #[serde(default)]
    pub line_ns: f64,
    /// Cores kept busy by everything else on the machine during this cell.
    #[serde(default)]
    pub others: f64,
}

impl Cell {
    /// How many connections share the server; 0 where it has but one at a time.
    pub fn clients(&self) -> usize {
        if self.workload == Workload::FanIn.name() { self.conns } else { 0 }
    }

    /// User memory of the server for each connection, in KiB.
    pub fn kib_each(&self) -> f64 {
        self.rss_peak_kb.saturating_sub(self.rss0_kb) as f64 / self.conns.max(1) as f64
    }
}

/// Busy seconds of all cores since boot.
fn busy() -> f64 {
    let s = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let v: Vec<f64> =
        s.lines().next().unwrap_or("").split_whitespace().skip(1).filter_map(|x| x.parse().ok()).collect();
    let tick = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    // user nice system idle iowait irq softirq steal
    [0, 1, 2, 5, 6, 7].iter().filter_map(|&i| v.get(i)).sum::<f64>() / tick
}

#[derive(Serialize, Deserialize)]
struct ClientOut {
    n: u64,
    min: u64,
    p50: u64,
    p99: u64,
    mean: f64,
    ops_s: f64,
    gb_s: f64,
    elapsed: f64,
}

pub fn summarise(mut s: Samples) -> String {
    s.lat.sort_unstable();
    let q = |p: f64| {
        s.lat.get(((s.lat.len() as f64 * p) as usize).min(s.lat.len().max(1) - 1)).copied().unwrap_or(0)
    };
    let el = s.elapsed.as_secs_f64().max(1e-9);
    let out = ClientOut {
        n: s.ops,
        min: s.lat.first().copied().unwrap_or(0),
        p50: q(0.50),
        p99: q(0.99),
        mean: if s.lat.is_empty() { 0.0 } else { s.lat.iter().sum::<u64>() as f64 / s.lat.len() as f64 },
        ops_s: s.ops as f64 / el,
        gb_s: s.bytes as f64 / el / 1e9,
        elapsed: el,
    };
    serde_json::to_string(&out).unwrap()
}

pub struct Plan {
    pub rounds: usize,
    pub secs: f64,
    /// Numbers of connections in fan-in.
    pub conns: Vec<usize>,
    /// Each of them in every round.
    pub pins: Vec<Pin>,
    pub cells: Vec<(Workload, usize)>,
    pub quiet: bool,
}

impl Plan {
    /// Everything that each row is measured with in a round: pinning, workload, size, connections.
    fn cells(&self) -> Vec<(Pin, Workload, usize, usize)> {
        let mut all = Vec::new();
        for (&pin, &(w, size)) in self.pins.iter().flat_map(|pin| self.cells.iter().map(move |c| (pin, c))) {
            let conns = if w == Workload::FanIn { &self.conns[..] } else { &[1] };
            all.extend(conns.iter().map(|&conns| (pin, w, size, conns)));
        }
        all
    }
}

// ---------------------------------------------------------------- what is kept

/// Everything that a run measures, one JSON object a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Record {
    About(crate::machine::About),
    Cell(Cell),
    Steps(crate::timed::Timed),
    Idle(crate::idle::Idle),
    Cycles(crate::cycles::Cycles),
}

/// The records of a run, in memory and, if wanted, in a file.
#[derive(Default)]
pub struct Store {
    pub records: Vec<Record>,
    file: Option<File>,
}

impl Store {
    pub fn new(path: Option<&Path>) -> Result<Self> {
        let file = path.map(|path| File::create(path).with_context(|| format!("{path:?}"))).transpose()?;
        Ok(Store { records: Vec::new(), file })
    }

    pub fn keep(&mut self, record: Record) -> Result<()> {
        if let Some(file) = &mut self.file {
            writeln!(file, "{}", serde_json::to_string(&record)?)?;
        }
        self.records.push(record);
        Ok(())
    }

    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{path:?}"))?;
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let records: Result<_, _> = lines.map(serde_json::from_str).collect();
        Ok(Store { records: records.with_context(|| format!("{path:?}"))?, file: None })
    }

    pub fn cells(&self) -> Vec<Cell> {
        let cells = self.records.iter().filter_map(|record| match record {
            Record::Cell(cell) => Some(cell.clone()),
            _ => None,
        });
        cells.collect()
    }
}

// ---------------------------------------------------------------- children

pub fn spawn(role: &str, row: &str, a: &Args, pin: Pin) -> Result<Child> {
    let mut c = Command::new(std::env::current_exe()?);
    c.args(["child", role, row, a.workload.name()]);
    c.arg(a.size.to_string()).arg(a.secs.to_string()).arg(&a.dir).arg(&a.uid);
    c.arg(a.conns.to_string()).arg(pin.name());
    c.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    c.spawn().context("spawn")
}

/// Reads one line, or gives up at the deadline.
pub fn line(out: &mut BufReader<std::process::ChildStdout>, end: Instant) -> Result<String> {
    loop {
        let left = end.saturating_duration_since(Instant::now()).as_millis() as i32;
        if out.buffer().is_empty() {
            let mut pfd = libc::pollfd { fd: out.get_ref().as_raw_fd(), events: libc::POLLIN, revents: 0 };
            let r = unsafe { libc::poll(&mut pfd, 1, left.max(0)) };
            if r == 0 {
                bail!("timed out");
            }
        }
        let mut s = String::new();
        if out.read_line(&mut s)? == 0 {
            bail!("child ended without an answer");
        }
        let s = s.trim();
        // Libraries may print; only our own lines count.
        if s == "READY" || s.starts_with(['{', '[']) || s.starts_with("ERR ") {
            return Ok(s.to_string());
        }
    }
}

pub fn status_kb(pid: u32, key: &str) -> u64 {
    std::fs::read_to_string(format!("/proc/{pid}/status"))
        .ok()
        .and_then(|s| {
            s.lines().find(|l| l.starts_with(key)).and_then(|l| l.split_whitespace().nth(1)?.parse().ok())
        })
        .unwrap_or(0)
}

/// Waits for a child up to `grace`, then ends it by its own pid. Returns CPU seconds and
/// context switches.
pub fn reap(c: &Child, grace: Duration) -> (f64, u64) {
    let pid = c.id() as i32;
    let end = Instant::now() + grace;
    let mut st = 0;
    let mut ru: libc::rusage = unsafe { std::mem::zeroed() };
    let mut killed = false;
    loop {
        let r = unsafe { libc::wait4(pid, &mut st, if killed { 0 } else { libc::WNOHANG }, &mut ru) };
        if r == pid {
            break;
        }
        if r < 0 {
            return (0.0, 0);
        }
        if Instant::now() >= end {
            unsafe { libc::kill(pid, libc::SIGKILL) };
            killed = true;
            continue;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let tv = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    (tv(ru.ru_utime) + tv(ru.ru_stime), (ru.ru_nvcsw + ru.ru_nivcsw) as u64)
}

pub fn stderr_tail(c: &mut Child) -> String {
    use std::io::Read;
    let mut s = String::new();
    if let Some(mut e) = c.stderr.take() {
        let fd = e.as_raw_fd();
        unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) };
        let mut v = Vec::new();
        let _ = e.read_to_end(&mut v);
        s = String::from_utf8_lossy(&v).lines().last().unwrap_or("").chars().take(160).collect();
    }
    s
}

fn cell(p: &dyn Peer, a: &Args, pin: Pin, round: usize) -> Cell {
    let mut out = Cell {
        peer: p.name().into(),
        raw: p.raw(),
        workload: a.workload.name().into(),
        size: a.size,
        round,
        pin: pin.name().into(),
        conns: a.conns,
        ..Default::default()
    };
    // The median of five short probes, so that one interruption does not decide it.
    out.line_ns = crate::table::median((0..5).map(|_| crate::limits::line_probe(1500)).collect());
    let (t0, b0) = (Instant::now(), busy());
    let r = (|| -> Result<()> {
        std::fs::create_dir_all(&a.dir)?;
        // Each connection is made anew.
        let limit = Duration::from_secs_f64(a.secs * 3.0 + 15.0 + a.conns as f64 * 0.005);
        let mut srv = spawn("server", p.name(), a, pin)?;
        let mut so = BufReader::new(srv.stdout.take().unwrap());
        if let Err(e) = line(&mut so, Instant::now() + Duration::from_secs(10)) {
            reap(&srv, Duration::ZERO);
            bail!("server: {e} {}", stderr_tail(&mut srv));
        }
        out.rss0_kb = status_kb(srv.id(), "VmRSS:");
        let mut cli = match spawn("client", p.name(), a, pin) {
            Ok(c) => c,
            Err(e) => {
                reap(&srv, Duration::ZERO);
                return Err(e);
            }
        };
        let mut co = BufReader::new(cli.stdout.take().unwrap());
        let ans = line(&mut co, Instant::now() + limit);
        out.rss_peak_kb = status_kb(srv.id(), "VmHWM:");
        drop(cli.stdin.take());
        let (c_cpu, c_sw) = reap(&cli, Duration::from_millis(500));
        let grace =
            if ans.is_ok() && matches!(a.workload, Workload::PingPong | Workload::Stream) { 300 } else { 0 };
        drop(srv.stdin.take());
        let (s_cpu, s_sw) = reap(&srv, Duration::from_millis(grace));
        let ans = match ans {
            Ok(s) if s.starts_with('{') => s,
            Ok(s) => bail!("client: {s}; server: {}", stderr_tail(&mut srv)),
            Err(e) => bail!("client: {e} {}; server: {}", stderr_tail(&mut cli), stderr_tail(&mut srv)),
        };
        let o: ClientOut = serde_json::from_str(&ans)?;
        out.n = o.n;
        out.min_ns = o.min as f64;
        out.p50_ns = o.p50 as f64;
        out.p99_ns = o.p99 as f64;
        out.mean_ns = o.mean;
        out.ops_s = o.ops_s;
        out.gb_s = o.gb_s;
        out.cores = (c_cpu + s_cpu) / o.elapsed;
        out.others = ((busy() - b0 - c_cpu - s_cpu) / t0.elapsed().as_secs_f64()).max(0.0);
        out.ctx_switches = c_sw + s_sw;
        Ok(())
    })();
    let _ = std::fs::remove_dir_all(&a.dir);
    if let Err(e) = r {
        out.err = Some(format!("{e:#}"));
    }
    out
}

/// Removes what this run left behind in /dev/shm under its own prefix.
fn sweep(prefix: &str) {
    if let Ok(d) = std::fs::read_dir("/dev/shm") {
        for e in d.flatten() {
            if e.file_name().to_string_lossy().starts_with(prefix) {
                let _ = std::fs::remove_file(e.path());
            }
        }
    }
}

/// A directory of this run's own, for sockets and FIFOs.
pub fn base() -> PathBuf {
    std::env::temp_dir().join(format!("peers-{}", std::process::id()))
}

pub fn run(peers: &[&'static dyn Peer], plan: &Plan, store: &mut Store) -> Result<()> {
    let base = base();
    let mut k = 0usize;
    for round in 0..plan.rounds {
        let t = Instant::now();
        for (pin, w, size, conns) in plan.cells() {
            // Rotate the order, so that no row always runs after the same neighbour.
            let n = peers.len();
            for i in 0..n {
                let p = peers[(i + round * 7) % n];
                let spins_alone = p.needs_two_cores() && pin == Pin::Same;
                if !p.supports(w, size) || conns > p.most_clients() || spins_alone {
                    continue;
                }
                k += 1;
                let a = Args {
                    workload: w,
                    size,
                    secs: plan.secs,
                    dir: base.join(k.to_string()),
                    uid: format!("peers{}x{k}", std::process::id()),
                    conns,
                };
                let c = cell(p, &a, pin, round);
                sweep(&a.uid);
                say(&c, plan.quiet);
                store.keep(Record::Cell(c))?;
            }
        }
        eprintln!("round {} of {} took {:.0} s", round + 1, plan.rounds, t.elapsed().as_secs_f64());
    }
    let _ = std::fs::remove_dir_all(&base);
    Ok(())
}

fn say(c: &Cell, quiet: bool) {
    if let Some(e) = &c.err {
        eprintln!("  {} {} {} {}: {e}", c.peer, c.workload, c.size, c.pin);
    } else if !quiet {
        eprintln!(
            "  r{} {:<5} {:<22} {:<8} {:>8} {:>5}  p50 {:>10.2} us  {:>12.0} op/s {:>8.3} GB/s  cores {:.2}  line {:.0} ns  \
             others {:.2}",
            c.round,
            c.pin,
            c.peer,
            c.workload,
            c.size,
            c.conns,
            c.p50_ns / 1e3,
            c.ops_s,
            c.gb_s,
            c.cores,
            c.line_ns,
            c.others
        );
    }
}

/// How a child begins: it dies with the parent, may open many descriptors, and stays on its core.
pub fn settle_in(role: &str, pin: Pin) {
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        let mut rl: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut rl);
        rl.rlim_cur = rl.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &rl);
    }
    match pin {
        Pin::None => {}
        Pin::Split => crate::sys::pin(usize::from(role.ends_with("client"))),
        Pin::Same => crate::sys::pin(0),
    }
}

pub fn client(peer: &dyn Peer, a: &Args) -> Result<()> {
    answer(&match peer.client(a) {
        Ok(s) => summarise(s),
        Err(e) => format!("ERR {}", format!("{e:#}").replace('\n', " ")),
    })
}

/// Says the one line that the parent waits for, and stays until the parent has looked at both processes.
pub fn answer(line: &str) -> Result<()> {
    println!("{line}");
    std::io::stdout().flush()?;
    let mut l = String::new();
    let _ = std::io::stdin().read_line(&mut l);
    std::process::exit(0);
}
