//! The pure-Rust `zeromq` on tokio: REQ/REP for ping-pong and churn; PUSH/PULL for the stream.

use crate::core::*;
use crate::peers::tokio::{adrive_churn, block_on};
use anyhow::Result;
use zeromq::{Socket, SocketRecv, SocketSend, ZmqMessage};

pub struct ZeroMq;

struct ZConn<T, R> {
    tx: T,
    rx: R,
}

impl<T: SocketSend, R: SocketRecv> AsyncConn for ZConn<T, R> {
    async fn send(&mut self, m: &[u8]) -> Result<()> {
        Ok(self.tx.send(bytes::Bytes::copy_from_slice(m).into()).await?)
    }
    async fn recv(&mut self, _: &mut Vec<u8>) -> Result<Head> {
        head(&self.rx.recv().await?)
    }
}

fn head(m: &ZmqMessage) -> Result<Head> {
    Head::of(m.get(0).map_or(&[][..], |b| &b[..]))
}

/// REQ and REP are one socket for both directions.
struct Both<S>(S);

impl<S: SocketSend + SocketRecv> AsyncConn for Both<S> {
    async fn send(&mut self, m: &[u8]) -> Result<()> {
        Ok(self.0.send(bytes::Bytes::copy_from_slice(m).into()).await?)
    }
    async fn recv(&mut self, _: &mut Vec<u8>) -> Result<Head> {
        head(&self.0.recv().await?)
    }
    async fn echo(&mut self, _: &mut Vec<u8>) -> Result<Head> {
        let m = self.0.recv().await?;
        let h = head(&m)?;
        self.0.send(m).await?;
        Ok(h)
    }
}

fn url(a: &Args, n: &str) -> String {
    format!("ipc://{}", a.path_str(n))
}

impl Peer for ZeroMq {
    fn name(&self) -> &'static str {
        "zeromq-rs"
    }
    fn note(&self) -> &'static str {
        "zeromq 0.7 (pure Rust, tokio current-thread) over ipc://: REQ/REP; PUSH/PULL for stream"
    }
    fn supports(&self, w: Workload, _: usize) -> bool {
        w != Workload::FanIn
    }
    fn serve(&self, a: &Args) -> Result<()> {
        block_on(async {
            if a.workload == Workload::Stream {
                let mut rx = zeromq::PullSocket::new();
                rx.bind(&url(a, "c2s")).await?;
                let mut tx = zeromq::PushSocket::new();
                tx.bind(&url(a, "s2c")).await?;
                a.ready();
                let r = adrive_server(&mut ZConn { tx, rx }, a).await;
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                return r;
            }
            let mut s = zeromq::RepSocket::new();
            s.bind(&url(a, "s")).await?;
            a.ready();
            let mut c = Both(s);
            if a.workload == Workload::Churn {
                let mut b = vec![];
                loop {
                    let _ = c.echo(&mut b).await;
                }
            }
            let r = adrive_server(&mut c, a).await;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            r
        })
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        block_on(async {
            if a.workload == Workload::Stream {
                let mut tx = zeromq::PushSocket::new();
                tx.connect(&url(a, "c2s")).await?;
                let mut rx = zeromq::PullSocket::new();
                rx.connect(&url(a, "s2c")).await?;
                return adrive_client(&mut ZConn { tx, rx }, a).await;
            }
            let dial = async || -> Result<Both<zeromq::ReqSocket>> {
                let mut s = zeromq::ReqSocket::new();
                s.connect(&url(a, "s")).await?;
                Ok(Both(s))
            };
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
