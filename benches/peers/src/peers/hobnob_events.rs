//! hobnob's event loop: one thread waits for all clients and answers them, another takes them in. The clients of round
//! trips and churn are those of `hobnob-unix-sleep`.

use crate::core::*;
use crate::peers::hobnob::{Any, ROWS, fanin_client, serve};
use anyhow::Result;
use hobnob::{EventOptions, Reply, ServerOptions, serve_events};

pub struct Events {
    name: &'static str,
    note: &'static str,
    workers: usize,
}

pub static EVENTS: Events =
    Events { name: "hobnob-events", note: "hobnob's serve_events over unix, one thread", workers: 0 };
pub static WORKERS: Events = Events {
    name: "hobnob-events-workers",
    note: "the same, the handlers in two threads of their own",
    workers: 2,
};

/// Serves echoes until the process is ended.
pub fn serve_echo(a: &Args, workers: usize) -> Result<()> {
    let server = serve::<Any>(a, ServerOptions::new().max_clients(a.conns.max(64)))?;
    a.ready();
    let options = EventOptions::new().workers(workers);
    serve_events(server, options, |info: &[u8], reply: &mut Reply<'_>| reply.send(info))?;
    Ok(())
}

impl Peer for Events {
    fn name(&self) -> &'static str {
        self.name
    }
    fn note(&self) -> &'static str {
        self.note
    }
    fn supports(&self, w: Workload, _: usize) -> bool {
        w == Workload::FanIn || (self.workers == 0 && w != Workload::Stream)
    }
    fn most_clients(&self) -> usize {
        usize::MAX
    }
    fn serve(&self, a: &Args) -> Result<()> {
        serve_echo(a, self.workers)
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        match a.workload {
            Workload::FanIn => fanin_client(a, "unix:peers"),
            _ => ROWS[0].client(a),
        }
    }
}
