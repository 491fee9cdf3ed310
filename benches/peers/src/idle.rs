//! What an idle hobnob connection holds: user memory and descriptors, on both sides. Every connection has echoed one
//! message and then does nothing.

use crate::cli::Pin;
use crate::core::{Args, Workload, message};
use crate::peers::hobnob::{Fifo, Road, Unix, connect, connect_options, serve};
use crate::run::{answer, base, line, reap, spawn, status_kb, stderr_tail};
use anyhow::{Context, Result, bail, ensure};
use hobnob::{IpcReceiver, IpcSender, IpcServer, ServerOptions};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::io::{BufReader, Write};
use std::process::Child;
use std::time::{Duration, Instant};

/// Transport and size of the one message.
pub const CASES: [(&str, usize); 4] = [("unix", 64), ("unix", 65536), ("fifo", 64), ("fifo", 65536)];

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Idle {
    pub transport: String,
    /// Of the one message.
    pub size: usize,
    pub conns: usize,
    pub server: Held,
    pub client: Held,
}

/// For each connection.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Held {
    /// Growth of the resident set, in KiB.
    pub kib: f64,
    pub descriptors: f64,
}

/// What a process holds at one moment.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Look {
    pub kib: u64,
    pub descriptors: usize,
}

impl Look {
    pub fn at(child: &Child) -> Result<Self> {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", child.id()))?.count();
        Ok(Look { kib: status_kb(child.id(), "VmRSS:"), descriptors })
    }

    fn since(self, before: Look, conns: usize) -> Held {
        let each = |more: f64| more / conns as f64;
        Held {
            kib: each(self.kib as f64 - before.kib as f64),
            descriptors: each(self.descriptors as f64 - before.descriptors as f64),
        }
    }
}

pub fn measure(&(transport, size): &(&str, usize), conns: usize) -> Result<Idle> {
    let dir = base().join("idle");
    let a = Args { workload: Workload::Churn, size, secs: 0.0, dir, uid: String::new(), conns };
    std::fs::create_dir_all(&a.dir)?;
    let held = both_sides(transport, &a);
    let _ = std::fs::remove_dir_all(base());
    let (server, client) = held.with_context(|| format!("idle, {transport}, {size} bytes"))?;
    Ok(Idle { transport: transport.into(), size, conns, server, client })
}

fn both_sides(transport: &str, a: &Args) -> Result<(Held, Held)> {
    let mut server = spawn("idle-server", transport, a, Pin::None)?;
    let held = beside(&server_says(&mut server)?, &mut server, transport, a);
    drop(server.stdin.take());
    reap(&server, Duration::from_millis(200));
    held.map_err(|error| error.context(stderr_tail(&mut server)))
}

fn server_says(server: &mut Child) -> Result<Look> {
    let mut said = BufReader::new(server.stdout.take().context("no stdout")?);
    line(&mut said, Instant::now() + Duration::from_secs(10))?;
    Look::at(server)
}

fn beside(before: &Look, server: &mut Child, transport: &str, a: &Args) -> Result<(Held, Held)> {
    let mut client = spawn("idle-client", transport, a, Pin::None)?;
    let mut said = BufReader::new(client.stdout.take().context("no stdout")?);
    let held = (|| {
        line(&mut said, Instant::now() + Duration::from_secs(10))?;
        let client_before = Look::at(&client)?;
        client.stdin.as_mut().context("no stdin")?.write_all(b"go\n")?;
        match line(&mut said, Instant::now() + Duration::from_secs(120))? {
            said if said.starts_with("ERR") => bail!(said),
            _ => {}
        }
        let (server, client) = (Look::at(server)?, Look::at(&client)?);
        Ok((server.since(*before, a.conns), client.since(client_before, a.conns)))
    })();
    drop(client.stdin.take());
    reap(&client, Duration::from_millis(500));
    held
}

pub fn child(role: &str, transport: &str, a: &Args) -> Result<()> {
    match (role, transport) {
        ("idle-server", "unix") => hold_as_server::<Unix>(a),
        ("idle-server", "fifo") => hold_as_server::<Fifo>(a),
        ("idle-client", "unix") => hold_as_client::<Unix>(a),
        ("idle-client", "fifo") => hold_as_client::<Fifo>(a),
        _ => bail!("no such transport: {transport}"),
    }
}

fn hold_as_server<R: Road>(a: &Args) -> Result<()> {
    let mut server = serve::<R>(a, ServerOptions::new().max_clients(a.conns))?;
    // One buffer for all, as a server with one thread would have it.
    let (mut held, mut info) = (Vec::with_capacity(a.conns), Vec::with_capacity(a.size));
    a.ready();
    for _ in 0..a.conns {
        let mut client = server.accept_client()?;
        ensure!(client.recv_info(&mut info)?, "goodbye before a message");
        client.send_info(&info)?;
        held.push(client);
    }
    // The parent looks now, and ends this process when it has seen enough.
    std::io::stdin().read_line(&mut String::new())?;
    std::process::exit(0);
}

fn hold_as_client<R: Road>(a: &Args) -> Result<()> {
    let options = connect_options(a);
    let (m, mut info) = (message(a.size), Vec::with_capacity(a.size));
    let mut held = Vec::with_capacity(a.conns);
    a.ready();
    std::io::stdin().read_line(&mut String::new())?;
    let mut hold = || -> Result<()> {
        for _ in 0..a.conns {
            let mut connection = connect::<R>(&options)?;
            connection.send_info(&m)?;
            ensure!(connection.recv_info(&mut info)? && info == m, "wrong echo");
            held.push(connection);
        }
        Ok(())
    };
    match hold() {
        Ok(()) => answer("{}"),
        Err(error) => answer(&format!("ERR {error:#}")),
    }
}

pub fn table(idle: &[Idle]) -> String {
    let mut out = String::from(
        "| transport | message echoed before | connections | server KiB | server descriptors | client KiB | client \
         descriptors |\n|---|---:|---:|---:|---:|---:|---:|\n",
    );
    for i in idle {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.2} | {:.3} | {:.2} | {:.3} |",
            i.transport,
            crate::table::size_name(i.size),
            i.conns,
            i.server.kib,
            i.server.descriptors,
            i.client.kib,
            i.client.descriptors
        );
    }
    out
}
