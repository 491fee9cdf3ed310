//! `peers steps`: what each step of a connection costs, timed in two processes.

use crate::cli::Pin;
use crate::core::{Args, Workload};
use crate::peers::steps::{FIFO, Step, Steps, UNIX};
use crate::run::{answer, base, line, reap, spawn, stderr_tail};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::io::BufReader;
use std::process::Child;
use std::time::{Duration, Instant};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Timed {
    pub row: String,
    pub pin: String,
    pub conns: usize,
    pub client: Vec<Step>,
    pub server: Vec<Step>,
}

pub const ROWS: [&Steps; 2] = [&UNIX, &FIFO];

pub fn measure(row: &Steps, pin: Pin, conns: usize) -> Result<Timed> {
    let name = crate::core::Peer::name(row);
    let a = Args {
        workload: Workload::Churn,
        size: 64,
        secs: 0.0,
        dir: base().join(name),
        uid: String::new(),
        conns,
    };
    std::fs::create_dir_all(&a.dir)?;
    let measured = both_sides(name, &a, pin);
    let _ = std::fs::remove_dir_all(base());
    let (client, server) = measured?;
    Ok(Timed { row: name.into(), pin: pin.name().into(), conns, client, server })
}

fn both_sides(name: &str, a: &Args, pin: Pin) -> Result<(Vec<Step>, Vec<Step>)> {
    let mut server = spawn("steps-server", name, a, pin)?;
    let mut said = BufReader::new(server.stdout.take().context("no stdout")?);
    let measured = (|| {
        line(&mut said, Instant::now() + Duration::from_secs(10))?;
        let mut client = spawn("steps-client", name, a, pin)?;
        let steps = steps_of(&mut client);
        drop(client.stdin.take());
        reap(&client, Duration::from_millis(500));
        let limit = Instant::now() + Duration::from_secs(5);
        Ok((steps?, serde_json::from_str(&line(&mut said, limit)?)?))
    })();
    drop(server.stdin.take());
    reap(&server, Duration::from_millis(500));
    measured.map_err(|error: anyhow::Error| error.context(stderr_tail(&mut server)))
}

fn steps_of(client: &mut Child) -> Result<Vec<Step>> {
    let mut said = BufReader::new(client.stdout.take().context("no stdout")?);
    match line(&mut said, Instant::now() + Duration::from_secs(120))? {
        said if said.starts_with("ERR") => bail!(said),
        said => Ok(serde_json::from_str(&said)?),
    }
}

pub fn child(role: &str, row: &str, a: &Args) -> Result<()> {
    let steps =
        ROWS.into_iter().find(|steps| crate::core::Peer::name(*steps) == row).context("no such row")?;
    let server = role == "steps-server";
    let measured = if server { steps.timed_server(a) } else { steps.timed_client(a) };
    match measured {
        Ok(steps) => answer(&serde_json::to_string(&steps)?),
        Err(error) if server => Err(error),
        Err(error) => answer(&format!("ERR {error:#}")),
    }
}

/// Client and server side by side would suggest that the lines belong together; they do not.
pub fn table(timed: &Timed) -> String {
    let mut out = format!("\n{}, pinned: {}, {} connections\n", timed.row, timed.pin, timed.conns);
    for (side, steps) in [("client", &timed.client), ("server", &timed.server)] {
        let _ = write!(out, "\n| # | {side} | median ns | in % of connections |\n|---:|---|---:|---:|\n");
        for (i, step) in steps.iter().enumerate() {
            let _ = writeln!(out, "| {} | {} | {} | {:.0} |", i + 1, step.name, step.ns, step.share * 100.0);
        }
        let (waits, work): (Vec<_>, Vec<_>) = steps.iter().partition(|step| step.name.ends_with("(waits)"));
        let sum = |steps: &[&Step]| steps.iter().map(|step| step.ns as f64 * step.share).sum::<f64>();
        let _ = writeln!(out, "| | sum without waits | {:.0} | |", sum(&work));
        let _ = writeln!(out, "| | sum of waits | {:.0} | |", sum(&waits));
    }
    out
}
