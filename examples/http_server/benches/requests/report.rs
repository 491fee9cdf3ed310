//! What is measured, and how it is told.

use std::{io, net::TcpListener};

use tempfile::TempDir;

use crate::servers::{Listener, Server, Tool, is_there};

/// The same load on both servers, once each round.
pub struct Row {
    transport: &'static str,
    load: &'static str,
    tool: Tool,
    /// Requests a second of each round.
    hobnob: Vec<f64>,
    tokio: Vec<f64>,
}

/// Those that can be measured here.
pub fn rows() -> Vec<Row> {
    let row = |transport, load, tool| Row { transport, load, tool, hobnob: Vec::new(), tokio: Vec::new() };
    let mut rows = vec![row("tcp", "load.rs", Tool::Ours), row("unix", "load.rs", Tool::Ours)];
    match is_there("wrk") {
        true => rows.insert(0, row("tcp", "wrk", Tool::Wrk)),
        false => eprintln!("left out: wrk on tcp, for there is no wrk (apt-get install wrk)"),
    }
    rows
}

impl Row {
    pub fn measure(&mut self, round: usize, clients: usize, seconds: u64) -> io::Result<()> {
        let mut order = [Listener::Hobnob, Listener::Tokio];
        if round % 2 == 1 {
            order.reverse();
        }
        for listener in order {
            let (address, _folder) = self.place()?;
            let _server = Server::start(listener, &address)?;
            let rate = self.tool.run(&address, clients, seconds)?;
            match listener {
                Listener::Hobnob => self.hobnob.push(rate),
                Listener::Tokio => self.tokio.push(rate),
            }
        }
        Ok(())
    }

    /// A free place, and the folder that it is in.
    fn place(&self) -> io::Result<(String, TempDir)> {
        let folder = tempfile::tempdir()?;
        let address = match self.transport {
            "unix" => format!("unix:{}", folder.path().join("socket").display()),
            _ => format!("tcp:{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?),
        };
        Ok((address, folder))
    }

    fn ratios(&self) -> Vec<f64> {
        self.hobnob.iter().zip(&self.tokio).map(|(hobnob, tokio)| hobnob / tokio).collect()
    }
}

pub fn print(rows: &[Row]) {
    println!("| transport | load | hobnob, requests/s | tokio's own, requests/s | ratio |");
    println!("|---|---|---:|---:|---:|");
    for row in rows {
        let (hobnob, tokio, ratio) =
            (spread(&row.hobnob, 0), spread(&row.tokio, 0), spread(&row.ratios(), 2));
        println!("| `{}` | {} | {hobnob} | {tokio} | {ratio} |", row.transport, row.load);
    }
}

/// The median, the least and the most.
fn spread(of: &[f64], digits: usize) -> String {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted[..] {
        [] => "-".to_owned(),
        [first, ..] => {
            let (median, last) = (sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
            format!("{median:.digits$} ({first:.digits$} - {last:.digits$})")
        }
    }
}

pub fn json(rows: &[Row]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|Row { transport, load, hobnob, tokio, .. }| {
            format!(r#"{{"transport":"{transport}","load":"{load}","hobnob":{hobnob:?},"tokio":{tokio:?}}}"#)
        })
        .collect();
    format!("[{}]\n", rows.join(",\n"))
}
