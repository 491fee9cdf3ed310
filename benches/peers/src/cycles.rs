//! `peers cycles`: whether a server is after many clients what it was before: its descriptors and its memory.

use crate::cli::Pin;
use crate::core::{Args, Workload, message};
use crate::idle::Look;
use crate::peers::hobnob::{Any, connect, connect_options};
use crate::run::{answer, base, line, reap, spawn, stderr_tail};
use anyhow::{Context, Result, bail, ensure};
use hobnob::{IpcReceiver, IpcSender};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::io::{BufReader, Write};
use std::process::Child;
use std::time::{Duration, Instant};

/// Which server, and how many clients are there at once.
pub const CASES: [(&str, usize); 4] = [("events", 1), ("events", 500), ("tokio", 1), ("tokio", 500)];

/// So many clients come and go before the server counts as warm.
const WARM: usize = 1000;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cycles {
    pub server: String,
    pub cycles: usize,
    pub at_once: usize,
    /// Before the first client, after [`WARM`] of them, and after all.
    pub first: Look,
    pub warm: Look,
    pub after: Look,
}

impl Cycles {
    /// A heap is not the same to the page.
    pub fn is_back(&self) -> bool {
        self.after.descriptors == self.warm.descriptors && self.after.kib <= self.warm.kib + 128
    }

    pub fn said(&self) -> String {
        let look = |look: &Look| format!("{} descriptors, {} KiB", look.descriptors, look.kib);
        format!("warm {}; after {}", look(&self.warm), look(&self.after))
    }
}

pub fn measure(&(server, at_once): &(&str, usize), cycles: usize) -> Result<Cycles> {
    let dir = base().join("cycles");
    let (workload, uid) = (Workload::Churn, cycles.to_string());
    let a = Args { workload, size: 64, secs: 0.0, dir, uid, conns: at_once };
    std::fs::create_dir_all(&a.dir)?;
    let measured = both_sides(server, cycles, &a);
    let _ = std::fs::remove_dir_all(base());
    measured.with_context(|| format!("cycles, {server}, {at_once} at once"))
}

fn both_sides(name: &str, cycles: usize, a: &Args) -> Result<Cycles> {
    let mut server = spawn("cycles-server", name, a, Pin::None)?;
    let measured = beside(&mut server, name, cycles, a);
    drop(server.stdin.take());
    reap(&server, Duration::ZERO);
    measured.map_err(|error| error.context(stderr_tail(&mut server)))
}

fn beside(server: &mut Child, name: &str, cycles: usize, a: &Args) -> Result<Cycles> {
    let mut said = BufReader::new(server.stdout.take().context("no stdout")?);
    line(&mut said, Instant::now() + Duration::from_secs(10))?;
    let first = Look::at(server)?;
    let mut client = spawn("cycles-client", name, a, Pin::None)?;
    let looks = (|| {
        let mut said = BufReader::new(client.stdout.take().context("no stdout")?);
        let mut run = |count: usize| -> Result<Look> {
            writeln!(client.stdin.as_mut().context("no stdin")?, "{count}")?;
            match line(&mut said, Instant::now() + Duration::from_secs(120))? {
                said if said.starts_with("ERR") => bail!(said),
                _ => settled(server, &first),
            }
        };
        anyhow::Ok((run(WARM)?, run(cycles)?))
    })();
    drop(client.stdin.take());
    reap(&client, Duration::from_millis(500));
    let (warm, after) = looks?;
    Ok(Cycles { server: name.into(), cycles, at_once: a.conns, first, warm, after })
}

/// The last client's end is still on its way when that client has gone.
fn settled(server: &Child, first: &Look) -> Result<Look> {
    let ends = Instant::now() + Duration::from_secs(3);
    loop {
        let look = Look::at(server)?;
        if look.descriptors <= first.descriptors || Instant::now() > ends {
            return Ok(look);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn child(role: &str, name: &str, a: &Args) -> Result<()> {
    match (role, name) {
        ("cycles-client", _) => come_and_go(a),
        (_, "events") => crate::peers::hobnob_events::serve_echo(a, 0),
        #[cfg(feature = "p-tokio")]
        (_, "tokio") => crate::peers::hobnob_async::serve_echo::<ipc_async::Tokio>(a, "unix:peers"),
        _ => bail!("no such server: {name}"),
    }
}

/// As many clients as the parent says, each of which has one echo.
fn come_and_go(a: &Args) -> Result<()> {
    let (options, m, mut info) = (connect_options(a), message(64), Vec::new());
    let mut some = |count: usize| -> Result<()> {
        let mut held = Vec::with_capacity(count);
        for _ in 0..count {
            let mut connection = connect::<Any>(&options)?;
            connection.send_info(&m)?;
            ensure!(connection.recv_info(&mut info)? && info == m, "wrong echo");
            held.push(connection);
        }
        held.iter_mut().try_for_each(|connection| Ok(connection.disconnect_from()?))
    };
    loop {
        let mut said = String::new();
        if std::io::stdin().read_line(&mut said)? == 0 {
            return Ok(());
        }
        let count: usize = said.trim().parse()?;
        match (0..count.div_ceil(a.conns)).try_for_each(|_| some(a.conns)) {
            Ok(()) => println!("{{}}"),
            Err(error) => answer(&format!("ERR {error:#}"))?,
        }
        std::io::stdout().flush()?;
    }
}

pub fn table(all: &[Cycles]) -> String {
    let mut out = String::from(
        "| server | clients | at once | before the first | warm | after all | |\n|---|---:|---:|---:|---:|---:|---|\n",
    );
    let look = |look: &Look| format!("{} descriptors, {} KiB", look.descriptors, look.kib);
    for c in all {
        let verdict = if c.is_back() { "back" } else { "**not back**" };
        let looks = [look(&c.first), look(&c.warm), look(&c.after)].join(" | ");
        let _ = writeln!(out, "| {} | {} | {} | {looks} | {verdict} |", c.server, c.cycles, c.at_once);
    }
    out
}
