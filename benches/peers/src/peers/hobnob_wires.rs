//! hobnob on a foreign wire: bytes as they are, without header, hello and goodbye.

use crate::core::*;
use crate::peers::hobnob::{Unix, connect, connect_options, serve};
use anyhow::{Result, bail};
use hobnob::{IpcConnection, IpcServer, ServerOptions, WaitStrategy, Wire};

pub struct RawWire;

impl Peer for RawWire {
    fn name(&self) -> &'static str {
        "hobnob-raw-wire"
    }
    fn note(&self) -> &'static str {
        "hobnob over unix on Wire::Raw, recv_info into owned memory"
    }
    /// Where one message of a stream ends the bytes do not say.
    fn supports(&self, w: Workload, _: usize) -> bool {
        w == Workload::PingPong
    }
    fn serve(&self, a: &Args) -> Result<()> {
        let options = ServerOptions::new().wait(WaitStrategy::Sleep).wire(Wire::Raw).allow(|_| true);
        let mut server = serve::<Unix>(a, options)?;
        a.ready();
        drive_server(&mut Bytes::new(server.accept_client()?, a), a)
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        let options = connect_options(a).wait(WaitStrategy::Sleep).wire(Wire::Raw);
        drive_client(&mut Bytes::new(connect::<Unix>(&options)?, a), a)
    }
}

/// Both sides know the size of a message.
struct Bytes<C> {
    connection: C,
    size: usize,
    piece: Vec<u8>,
}

impl<C: IpcConnection> Bytes<C> {
    fn new(connection: C, a: &Args) -> Self {
        Self { connection, size: a.msg().len(), piece: Vec::new() }
    }

    fn next(&mut self, buf: &mut Vec<u8>) -> Result<()> {
        if !self.connection.recv_info(buf)? {
            bail!("the end in the middle");
        }
        while buf.len() < self.size {
            if !self.connection.recv_info(&mut self.piece)? {
                bail!("the end in the middle");
            }
            buf.extend_from_slice(&self.piece);
        }
        Ok(())
    }
}

impl<C: IpcConnection> Conn for Bytes<C> {
    #[inline]
    fn send(&mut self, m: &[u8]) -> Result<()> {
        Ok(self.connection.send_info(m)?)
    }
    #[inline]
    fn recv(&mut self, buf: &mut Vec<u8>) -> Result<Head> {
        self.next(buf)?;
        Head::of(buf)
    }
}
