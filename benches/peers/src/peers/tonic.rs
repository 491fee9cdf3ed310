//! tonic gRPC over a unix socket, current-thread runtime, default settings. The service is
//! written out by hand, so no protoc is needed. The stream workload is one client stream.

use crate::core::*;
use crate::peers::tokio::{adrive_churn, adrive_fanin, block_on};
use ::tonic::body::Body;
use ::tonic::transport::{Channel, Endpoint, Server};
use ::tonic::{Request, Response, Status, Streaming};
use anyhow::Result;
use bytes::Bytes;
use futures::StreamExt;
use http::uri::PathAndQuery;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tonic_prost::ProstCodec;

pub struct Tonic;

#[derive(Clone, PartialEq, prost::Message)]
struct Msg {
    #[prost(bytes = "bytes", tag = "1")]
    data: Bytes,
}

type Codec = ProstCodec<Msg, Msg>;

#[derive(Clone)]
struct Svc;

impl ::tonic::server::NamedService for Svc {
    const NAME: &'static str = "peers.Echo";
}

async fn sink(r: Request<Streaming<Msg>>) -> std::result::Result<Response<Msg>, Status> {
    let mut s = r.into_inner();
    let mut n = 0u64;
    while let Some(m) = s.message().await? {
        let h = Head::of(&m.data).map_err(|e| Status::internal(e.to_string()))?;
        if h.seq != n {
            return Err(Status::internal("out of order"));
        }
        n += 1;
    }
    Ok(Response::new(Msg { data: Bytes::copy_from_slice(&n.to_le_bytes()) }))
}

impl tower::Service<http::Request<Body>> for Svc {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, req: http::Request<Body>) -> Self::Future {
        let up = req.uri().path() == "/peers.Echo/Sink";
        Box::pin(async move {
            let mut g = ::tonic::server::Grpc::new(Codec::default());
            Ok(if up {
                g.client_streaming(tower::service_fn(sink), req).await
            } else {
                g.unary(
                    tower::service_fn(|r: Request<Msg>| async move {
                        Ok::<_, Status>(Response::new(r.into_inner()))
                    }),
                    req,
                )
                .await
            })
        })
    }
}

async fn dial(a: &Args) -> Result<Channel> {
    let p = a.path("s");
    Ok(Endpoint::from_static("http://localhost")
        .connect_with_connector(tower::service_fn(move |_| {
            let p = p.clone();
            async move {
                Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(
                    ::tokio::net::UnixStream::connect(p).await?,
                ))
            }
        }))
        .await?)
}

async fn echo(c: &Channel, m: &[u8]) -> Result<Head> {
    let mut g = ::tonic::client::Grpc::new(c.clone());
    g.ready().await?;
    let r = g
        .unary(
            Request::new(Msg { data: Bytes::copy_from_slice(m) }),
            PathAndQuery::from_static("/peers.Echo/Echo"),
            Codec::default(),
        )
        .await?;
    Head::of(&r.into_inner().data)
}

struct TConn(Channel, Option<Head>);

impl AsyncConn for TConn {
    async fn send(&mut self, m: &[u8]) -> Result<()> {
        self.1 = Some(echo(&self.0, m).await?);
        Ok(())
    }
    async fn recv(&mut self, _: &mut Vec<u8>) -> Result<Head> {
        Ok(self.1.take().unwrap())
    }
}

impl Peer for Tonic {
    fn name(&self) -> &'static str {
        "tonic"
    }
    fn note(&self) -> &'static str {
        "tonic 0.14 gRPC over unix, unary calls, current-thread; stream = client streaming"
    }
    fn supports(&self, _: Workload, _: usize) -> bool {
        true
    }
    fn serve(&self, a: &Args) -> Result<()> {
        block_on(async {
            let l = ::tokio::net::UnixListener::bind(a.path("s"))?;
            a.ready();
            let inc = tokio_stream::wrappers::UnixListenerStream::new(l);
            Ok(Server::builder().add_service(Svc).serve_with_incoming(inc).await?)
        })
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        block_on(async {
            match a.workload {
                Workload::PingPong => adrive_client(&mut TConn(dial(a).await?, None), a).await,
                Workload::Stream => {
                    let c = dial(a).await?;
                    let mut g = ::tonic::client::Grpc::new(c);
                    g.ready().await?;
                    let start = Instant::now();
                    let end = a.deadline();
                    let size = a.size;
                    let count = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
                    let sent = count.clone();
                    let mut m = message(size);
                    let s = futures::stream::poll_fn(move |_| {
                        if Instant::now() >= end {
                            return Poll::Ready(None);
                        }
                        let n = sent.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        stamp(&mut m, n, false);
                        Poll::Ready(Some(Msg { data: Bytes::copy_from_slice(&m) }))
                    });
                    let r = g
                        .client_streaming(
                            Request::new(s.boxed()),
                            PathAndQuery::from_static("/peers.Echo/Sink"),
                            Codec::default(),
                        )
                        .await?;
                    let d = r.into_inner().data;
                    let n = u64::from_le_bytes(d[..8].try_into()?);
                    let ops = count.load(std::sync::atomic::Ordering::Relaxed);
                    anyhow::ensure!(n == ops, "receiver counted {n} of {ops}");
                    Ok(Samples { lat: vec![], ops, bytes: ops * size as u64, elapsed: start.elapsed() })
                }
                Workload::Churn => {
                    adrive_churn(a, async |m: &[u8], _| {
                        echo(&dial(a).await?, m).await?;
                        Ok(())
                    })
                    .await
                }
                Workload::FanIn => {
                    let mut cs = Vec::new();
                    for _ in 0..a.conns {
                        cs.push(dial(a).await?);
                    }
                    let s = adrive_fanin(a, &mut cs, async |c: &mut Channel, m: &[u8]| {
                        echo(c, m).await?;
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
