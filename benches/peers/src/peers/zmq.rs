//! libzmq over ipc://: PAIR sockets; REQ/REP for churn and fan-in.

use crate::core::*;
use anyhow::{Result, bail};
use std::time::Instant;

pub struct Zmq;

struct ZConn(zmq::Socket, zmq::Message);

impl Conn for ZConn {
    fn send(&mut self, m: &[u8]) -> Result<()> {
        Ok(self.0.send(m, 0)?)
    }
    fn recv(&mut self, _: &mut Vec<u8>) -> Result<Head> {
        self.0.recv(&mut self.1, 0)?;
        Head::of(&self.1)
    }
    fn echo(&mut self, buf: &mut Vec<u8>) -> Result<Head> {
        let h = self.recv(buf)?;
        // The received message is sent on as it is: libzmq's own zero-copy path.
        self.0.send(std::mem::replace(&mut self.1, zmq::Message::new()), 0)?;
        Ok(h)
    }
}

fn url(a: &Args) -> String {
    format!("ipc://{}", a.path_str("s"))
}

impl Peer for Zmq {
    fn name(&self) -> &'static str {
        "zmq"
    }
    fn note(&self) -> &'static str {
        "libzmq 4.3.4 (zmq 0.10) PAIR over ipc://, received as zmq::Message; REQ/REP for churn, fan-in"
    }
    fn supports(&self, _: Workload, _: usize) -> bool {
        true
    }
    fn serve(&self, a: &Args) -> Result<()> {
        let ctx = zmq::Context::new();
        match a.workload {
            Workload::Churn | Workload::FanIn => {
                let s = ctx.socket(zmq::REP)?;
                s.bind(&url(a))?;
                a.ready();
                let mut c = ZConn(s, zmq::Message::new());
                let mut b = vec![];
                loop {
                    c.echo(&mut b)?;
                }
            }
            _ => {
                let s = ctx.socket(zmq::PAIR)?;
                s.bind(&url(a))?;
                a.ready();
                drive_server(&mut ZConn(s, zmq::Message::new()), a)
            }
        }
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        let ctx = zmq::Context::new();
        let dial = |t| -> Result<ZConn> {
            let s = ctx.socket(t)?;
            s.set_linger(0)?;
            s.connect(&url(a))?;
            Ok(ZConn(s, zmq::Message::new()))
        };
        let mut b = vec![];
        match a.workload {
            Workload::Churn => drive_churn(a, |m, _| {
                let mut c = dial(zmq::REQ)?;
                c.send(m)?;
                c.recv(&mut b)?;
                Ok(())
            }),
            Workload::FanIn => {
                let mut cs: Vec<ZConn> = (0..a.conns).map(|_| dial(zmq::REQ)).collect::<Result<_>>()?;
                let s = waves(a, &mut cs, |c, m| c.send(m), |c| c.recv(&mut vec![]))?;
                std::mem::forget(cs);
                std::mem::forget(ctx);
                Ok(s)
            }
            _ => {
                let s = ctx.socket(zmq::PAIR)?;
                s.connect(&url(a))?;
                drive_client(&mut ZConn(s, zmq::Message::new()), a)
            }
        }
    }
}

/// One request out on every connection, then one answer in on every connection.
pub fn waves<C>(
    a: &Args,
    cs: &mut [C],
    mut send: impl FnMut(&mut C, &[u8]) -> Result<()>,
    mut recv: impl FnMut(&mut C) -> Result<Head>,
) -> Result<Samples> {
    let mut m = message(64);
    let mut start = Instant::now();
    let mut end = start;
    let mut seq = 0u64;
    let mut ops = 0u64;
    loop {
        stamp(&mut m, seq, false);
        for c in cs.iter_mut() {
            send(c, &m)?;
        }
        for c in cs.iter_mut() {
            if recv(c)?.seq != seq {
                bail!("wrong echo");
            }
        }
        seq += 1;
        if seq == 2 {
            start = Instant::now();
            end = a.deadline();
        } else if seq > 2 {
            ops += cs.len() as u64;
            if Instant::now() >= end {
                return Ok(Samples { lat: vec![], ops, bytes: ops * 64, elapsed: start.elapsed() });
            }
        }
    }
}
