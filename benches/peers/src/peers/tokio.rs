//! tokio `UnixStream` with `LengthDelimitedCodec`, current-thread runtime.

use crate::core::*;
use ::tokio::net::{UnixListener, UnixStream};
use anyhow::{Context, Result};
use futures::{SinkExt, StreamExt};
use std::time::Instant;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

pub struct Tokio;

pub fn block_on<F: Future>(f: F) -> F::Output {
    let rt = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    rt.block_on(f)
}

pub async fn adrive_churn(a: &Args, mut op: impl AsyncFnMut(&[u8], u64) -> Result<()>) -> Result<Samples> {
    let mut m = message(64);
    for s in 0..5 {
        stamp(&mut m, s, false);
        op(&m, s).await?;
    }
    let start = Instant::now();
    let end = a.deadline();
    let mut n = 0u64;
    while Instant::now() < end {
        stamp(&mut m, n, false);
        op(&m, n).await?;
        n += 1;
    }
    Ok(Samples { lat: vec![], ops: n, bytes: n * 64, elapsed: start.elapsed() })
}

/// Every connection calls in a loop of its own, all on one thread.
pub async fn adrive_fanin<C>(
    a: &Args,
    cs: &mut [C],
    call: impl AsyncFn(&mut C, &[u8]) -> Result<()>,
) -> Result<Samples> {
    let m = message(64);
    let wave = cs.iter_mut().map(|c| call(c, &m));
    futures::future::try_join_all(wave).await?;
    let start = Instant::now();
    let end = a.deadline();
    let loops = cs.iter_mut().map(|c| {
        let (call, m) = (&call, &m);
        async move {
            let mut n = 0u64;
            while Instant::now() < end {
                call(c, m).await?;
                n += 1;
            }
            anyhow::Ok(n)
        }
    });
    let ops = futures::future::try_join_all(loops).await?.into_iter().sum();
    Ok(Samples { lat: vec![], ops, bytes: ops * 64, elapsed: start.elapsed() })
}

struct TConn(Framed<UnixStream, LengthDelimitedCodec>);

impl TConn {
    fn new(s: UnixStream) -> Self {
        TConn(LengthDelimitedCodec::builder().little_endian().new_framed(s))
    }
}

impl AsyncConn for TConn {
    async fn send(&mut self, m: &[u8]) -> Result<()> {
        Ok(self.0.send(m).await?)
    }
    async fn send_more(&mut self, m: &[u8]) -> Result<()> {
        Ok(self.0.feed(m).await?)
    }
    async fn flush(&mut self) -> Result<()> {
        Ok(SinkExt::<&[u8]>::flush(&mut self.0).await?)
    }
    async fn recv(&mut self, _: &mut Vec<u8>) -> Result<Head> {
        Head::of(&self.0.next().await.context("closed")??)
    }
    async fn echo(&mut self, _: &mut Vec<u8>) -> Result<Head> {
        let m = self.0.next().await.context("closed")??;
        let h = Head::of(&m)?;
        self.0.send(&m[..]).await?;
        Ok(h)
    }
}

impl Peer for Tokio {
    fn name(&self) -> &'static str {
        "tokio"
    }
    fn note(&self) -> &'static str {
        "tokio 1 UnixStream + LengthDelimitedCodec, current-thread runtime"
    }
    fn supports(&self, _: Workload, _: usize) -> bool {
        true
    }
    fn most_clients(&self) -> usize {
        usize::MAX
    }
    fn serve(&self, a: &Args) -> Result<()> {
        block_on(async {
            let l = UnixListener::bind(a.path("s"))?;
            a.ready();
            match a.workload {
                Workload::Churn | Workload::FanIn => loop {
                    let (s, _) = l.accept().await?;
                    ::tokio::spawn(async move {
                        let mut c = TConn::new(s);
                        let mut b = vec![];
                        while c.echo(&mut b).await.is_ok() {}
                    });
                },
                _ => adrive_server(&mut TConn::new(l.accept().await?.0), a).await,
            }
        })
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        if a.workload == Workload::FanIn {
            return crate::peers::raw::fanin_client(a);
        }
        block_on(async {
            let dial = async || -> Result<TConn> { Ok(TConn::new(UnixStream::connect(a.path("s")).await?)) };
            if a.workload == Workload::Churn {
                let mut b = vec![];
                return adrive_churn(a, async |m: &[u8], _| {
                    let mut c = dial().await?;
                    c.send(m).await?;
                    c.recv(&mut b).await?;
                    Ok(())
                })
                .await;
            }
            adrive_client(&mut dial().await?, a).await
        })
    }
}
