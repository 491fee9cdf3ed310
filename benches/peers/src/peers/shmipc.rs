//! `shmipc` (CloudWeGo): shared memory buffers, a unix socket for wake-ups, tokio
//! current-thread; configured as in its own benchmark (memfd, slices fitted to the message).

use crate::core::*;
use crate::peers::tokio::{adrive_churn, block_on};
use ::shmipc::buffer::BufferReader;
use ::shmipc::config::SizePercentPair;
use ::shmipc::consts::MemMapType;
use ::shmipc::session::{SessionManager, SessionManagerConfig};
use ::shmipc::stream::Stream;
use ::shmipc::transport::{DefaultUnixConnect, DefaultUnixListen};
use ::shmipc::{Error, Listener};
use anyhow::{Result, anyhow};
use std::os::unix::net::SocketAddr;

pub struct ShmIpc;

struct SConn {
    s: Stream,
    size: usize,
}

fn er(e: Error) -> anyhow::Error {
    anyhow!("{e}")
}

async fn flush(s: &mut Stream) -> Result<()> {
    loop {
        match s.flush(false).await {
            Ok(()) => return Ok(()),
            Err(Error::QueueFull) => tokio::task::yield_now().await,
            Err(e) => return Err(er(e)),
        }
    }
}

impl AsyncConn for SConn {
    async fn send(&mut self, m: &[u8]) -> Result<()> {
        self.s.write_bytes(m).map_err(er)?;
        flush(&mut self.s).await
    }
    async fn recv(&mut self, _: &mut Vec<u8>) -> Result<Head> {
        let h = Head::of(&self.s.read_exact_bytes(self.size).await.map_err(er)?);
        self.s.release_read_and_reuse();
        h
    }
    async fn echo(&mut self, buf: &mut Vec<u8>) -> Result<Head> {
        let b = self.s.read_exact_bytes(self.size).await.map_err(er)?;
        let h = Head::of(&b)?;
        // The answer needs `&mut` of the same stream, so the bytes pass through `buf`.
        set_len(buf, b.len());
        buf.copy_from_slice(&b);
        drop(b);
        self.s.recv_buf().release_previous_read();
        self.send(buf).await?;
        Ok(h)
    }
}

fn config(a: &Args) -> SessionManagerConfig {
    let mut c = SessionManagerConfig::new();
    let k = c.config_mut();
    k.queue_cap = 8192;
    k.share_memory_buffer_cap = 64 << 20;
    k.mem_map_type = MemMapType::MemMapTypeMemFd;
    k.buffer_slice_sizes = vec![
        SizePercentPair { size: a.size.max(64) as u32 + 256, percent: 70 },
        SizePercentPair { size: (16 << 10) + 256, percent: 20 },
        SizePercentPair { size: (64 << 10) + 256, percent: 10 },
    ];
    k.buffer_slice_sizes.sort_by_key(|p| p.size);
    c.with_session_num(1)
}

fn addr(a: &Args) -> Result<SocketAddr> {
    Ok(SocketAddr::from_pathname(a.path("s"))?)
}

impl Peer for ShmIpc {
    fn name(&self) -> &'static str {
        "shmipc"
    }
    fn note(&self) -> &'static str {
        "shmipc 0.2 (CloudWeGo), memfd, unix-socket wake-ups, tokio current-thread, client reads in place"
    }
    fn supports(&self, w: Workload, _: usize) -> bool {
        matches!(w, Workload::PingPong | Workload::Churn)
    }
    fn serve(&self, a: &Args) -> Result<()> {
        block_on(async {
            let mut l = Listener::new(DefaultUnixListen, addr(a)?, config(a).config().clone()).await?;
            a.ready();
            if a.workload == Workload::Churn {
                loop {
                    let s = l.accept().await?;
                    ::tokio::spawn(async move {
                        let mut c = SConn { s, size: 64 };
                        let mut b = vec![];
                        while c.echo(&mut b).await.is_ok() {}
                    });
                }
            }
            let s = l.accept().await?;
            let r = adrive_server(&mut SConn { s, size: a.size }, a).await;
            ::tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            r
        })
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        block_on(async {
            let open = async || -> Result<SessionManager<DefaultUnixConnect>> {
                SessionManager::new(config(a), DefaultUnixConnect, addr(a)?).await.map_err(|e| anyhow!("{e}"))
            };
            if a.workload == Workload::Churn {
                return adrive_churn(a, async |m: &[u8], _| {
                    let sm = open().await?;
                    let mut c = SConn { s: sm.get_stream().map_err(er)?, size: 64 };
                    c.send(m).await?;
                    c.recv(&mut vec![]).await?;
                    c.s.close().await.map_err(er)?;
                    sm.close().await;
                    Ok(())
                })
                .await;
            }
            let sm = open().await?;
            let r = adrive_client(&mut SConn { s: sm.get_stream().map_err(er)?, size: a.size }, a).await;
            sm.close().await;
            r
        })
    }
}
