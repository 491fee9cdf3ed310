//! tarpc over a unix socket, bincode, current-thread runtime. The stream workload keeps 64
//! calls with tiny answers in flight.

use crate::core::*;
use crate::peers::tokio::{adrive_churn, adrive_fanin, block_on};
use ::tarpc::server::{BaseChannel, Channel};
use ::tarpc::tokio_serde::formats::Bincode;
use ::tarpc::{client, context, serde_transport};
use anyhow::Result;
use futures::StreamExt;
use serde_bytes::ByteBuf;
use std::time::Instant;

pub struct Tarpc;

#[::tarpc::service]
trait Echo {
    async fn echo(m: ByteBuf) -> ByteBuf;
    async fn sink(m: ByteBuf) -> u64;
}

#[derive(Clone)]
struct Srv;

impl Echo for Srv {
    async fn echo(self, _: context::Context, m: ByteBuf) -> ByteBuf {
        m
    }
    async fn sink(self, _: context::Context, m: ByteBuf) -> u64 {
        Head::of(&m).map_or(u64::MAX, |h| h.seq)
    }
}

async fn dial(a: &Args) -> Result<EchoClient> {
    let mut t = serde_transport::unix::connect(a.path("s"), Bincode::default);
    t.config_mut().max_frame_length(16 << 20);
    Ok(EchoClient::new(client::Config::default(), t.await?).spawn())
}

struct TConn(EchoClient, Option<Head>);

impl AsyncConn for TConn {
    async fn send(&mut self, m: &[u8]) -> Result<()> {
        let r = self.0.echo(context::current(), ByteBuf::from(m)).await?;
        self.1 = Some(Head::of(&r)?);
        Ok(())
    }
    async fn recv(&mut self, _: &mut Vec<u8>) -> Result<Head> {
        Ok(self.1.take().unwrap())
    }
}

impl Peer for Tarpc {
    fn name(&self) -> &'static str {
        "tarpc"
    }
    fn note(&self) -> &'static str {
        "tarpc 0.38 over unix, bincode, current-thread; stream = 64 calls in flight"
    }
    fn supports(&self, _: Workload, _: usize) -> bool {
        true
    }
    fn serve(&self, a: &Args) -> Result<()> {
        block_on(async {
            let mut l = serde_transport::unix::listen(a.path("s"), Bincode::default).await?;
            l.config_mut().max_frame_length(16 << 20);
            a.ready();
            while let Some(t) = l.next().await {
                let t = t?;
                ::tokio::spawn(BaseChannel::with_defaults(t).execute(Srv.serve()).for_each(|r| async move {
                    ::tokio::spawn(r);
                }));
            }
            Ok(())
        })
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        block_on(async {
            match a.workload {
                Workload::PingPong => adrive_client(&mut TConn(dial(a).await?, None), a).await,
                Workload::Stream => {
                    let c = dial(a).await?;
                    pipelined(a, 64, |m| {
                        let c = c.clone();
                        async move { Ok(c.sink(context::current(), ByteBuf::from(m)).await?) }
                    })
                    .await
                }
                Workload::Churn => {
                    adrive_churn(a, async |m: &[u8], _| {
                        let c = dial(a).await?;
                        Head::of(&c.echo(context::current(), ByteBuf::from(m)).await?)?;
                        Ok(())
                    })
                    .await
                }
                Workload::FanIn => {
                    let mut cs = Vec::new();
                    for _ in 0..a.conns {
                        cs.push(dial(a).await?);
                    }
                    let s = adrive_fanin(a, &mut cs, async |c: &mut EchoClient, m: &[u8]| {
                        Head::of(&c.echo(context::current(), ByteBuf::from(m)).await?)?;
                        Ok(())
                    })
                    .await;
                    std::mem::forget(cs);
                    s
                }
            }
        })
    }
}

/// Keeps `window` calls in flight until the deadline.
pub async fn pipelined<F: Future<Output = Result<u64>>>(
    a: &Args,
    window: usize,
    call: impl Fn(Vec<u8>) -> F,
) -> Result<Samples> {
    use futures::stream::FuturesUnordered;
    let mut m = a.msg();
    let start = Instant::now();
    let end = a.deadline();
    let mut fly = FuturesUnordered::new();
    let (mut seq, mut done) = (0u64, 0u64);
    loop {
        let more = Instant::now() < end;
        while more && fly.len() < window {
            stamp(&mut m, seq, false);
            seq += 1;
            fly.push(call(m.clone()));
        }
        match fly.next().await {
            Some(r) => {
                r?;
                done += 1;
            }
            None => break,
        }
    }
    Ok(Samples { lat: vec![], ops: done, bytes: done * a.size as u64, elapsed: start.elapsed() })
}
