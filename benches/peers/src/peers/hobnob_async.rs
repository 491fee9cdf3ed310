//! hobnob's words as futures: a row for each runtime, with the transport that the address names, as an application
//! has it. One thread, as the other rows on tokio.

use crate::core::*;
use crate::peers::hobnob::{connect_options, fanin_client};
use crate::peers::tokio::adrive_churn;
use anyhow::{Result, bail, ensure};
use hobnob::{Address, AnyConnection, AnyServer, ServerOptions};
use ipc_async::{Connection, Runtime, Server, Smol, Tokio};
use std::time::Duration;

/// A runtime that can be entered.
pub trait Enter: Runtime {
    fn block_on<F: Future>(f: F) -> F::Output;
}

impl Enter for Tokio {
    fn block_on<F: Future>(f: F) -> F::Output {
        crate::peers::tokio::block_on(f)
    }
}

impl Enter for Smol {
    fn block_on<F: Future>(f: F) -> F::Output {
        smol::block_on(f)
    }
}

type Client<R> = Connection<R, AnyConnection>;

impl<R: Runtime> AsyncConn for Client<R> {
    async fn send(&mut self, m: &[u8]) -> Result<()> {
        Ok(self.send_info(m).await?)
    }
    async fn send_more(&mut self, m: &[u8]) -> Result<()> {
        Ok(self.feed_info(m).await?)
    }
    async fn flush(&mut self) -> Result<()> {
        Ok(self.flush_info().await?)
    }
    async fn recv(&mut self, buf: &mut Vec<u8>) -> Result<Head> {
        if !self.recv_info(buf).await? {
            bail!("goodbye in the middle");
        }
        Head::of(buf)
    }
}

/// Echoes until the client says goodbye.
async fn echo<R: Runtime>(mut client: Client<R>) -> hobnob::Result<()> {
    let mut info = Vec::new();
    while client.recv_info(&mut info).await? {
        client.send_info(&info).await?;
    }
    Ok(())
}

pub fn new_server<R: Runtime>(a: &Args, address: &str) -> Result<Server<R, AnyServer>> {
    let options = ServerOptions::new().directory(a.path("names")).max_clients(a.conns.max(64));
    Ok(Server::new(AnyServer::new_server_with(&address.parse()?, &options)?))
}

/// Serves echoes until the process is ended.
pub fn serve_echo<R: Enter>(a: &Args, address: &str) -> Result<()> {
    R::block_on(async {
        let server = new_server::<R>(a, address)?;
        a.ready();
        ipc_async::serve(server, Duration::ZERO, echo::<R>).await?;
        Ok(())
    })
}

pub struct Async<R> {
    name: &'static str,
    note: &'static str,
    address: &'static str,
    runtime: std::marker::PhantomData<R>,
}

const fn row<R>(name: &'static str, note: &'static str, address: &'static str) -> Async<R> {
    Async { name, note, address, runtime: std::marker::PhantomData }
}

pub static TOKIO: Async<Tokio> =
    row("hobnob-tokio", "hobnob over unix as futures on tokio, current-thread runtime", "unix:peers");
pub static TOKIO_FIFO: Async<Tokio> = row("hobnob-tokio-fifo", "the same over fifo", "fifo:peers");
pub static SMOL: Async<Smol> =
    row("hobnob-smol", "hobnob over unix as futures on smol, its tasks on one thread", "unix:peers");

impl<R: Enter> Async<R> {
    async fn connect(&self, a: &Args) -> Result<Client<R>> {
        let at: Address = self.address.parse()?;
        Ok(Client::connect_with(&at, &connect_options(a)).await?)
    }

    async fn churn(&self, a: &Args) -> Result<Samples> {
        let mut info = Vec::new();
        adrive_churn(a, async |m: &[u8], seq| {
            let mut connection = self.connect(a).await?;
            connection.send_info(m).await?;
            ensure!(connection.recv_info(&mut info).await? && Head::of(&info)?.seq == seq, "wrong echo");
            Ok(connection.disconnect_from().await?)
        })
        .await
    }
}

impl<R: Enter> Peer for Async<R> {
    fn name(&self) -> &'static str {
        self.name
    }
    fn note(&self) -> &'static str {
        self.note
    }
    fn supports(&self, _: Workload, _: usize) -> bool {
        true
    }
    fn most_clients(&self) -> usize {
        if self.address.starts_with("fifo") { 1000 } else { usize::MAX }
    }
    fn serve(&self, a: &Args) -> Result<()> {
        if matches!(a.workload, Workload::Churn | Workload::FanIn) {
            return serve_echo::<R>(a, self.address);
        }
        R::block_on(async {
            let mut server = new_server::<R>(a, self.address)?;
            a.ready();
            adrive_server(&mut server.accept_client().await?, a).await
        })
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        match a.workload {
            Workload::FanIn => fanin_client(a, self.address),
            Workload::Churn => R::block_on(self.churn(a)),
            _ => R::block_on(async { adrive_client(&mut self.connect(a).await?, a).await }),
        }
    }
}
