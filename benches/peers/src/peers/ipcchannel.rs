//! servo `ipc-channel`: the byte channel (no serde), and `IpcSharedMemory` handed over per
//! message.

use crate::core::*;
use anyhow::{Result, anyhow};
use ipc_channel::ipc::{
    self, IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcReceiver, IpcSender, IpcSharedMemory,
};
use serde::{Serialize, de::DeserializeOwned};

pub struct IpcChannel {
    shm: bool,
}

pub static BYTES: IpcChannel = IpcChannel { shm: false };
pub static SHM: IpcChannel = IpcChannel { shm: true };

type BytesPair = (IpcBytesReceiver, IpcBytesSender);
type ShmPair = (IpcReceiver<IpcSharedMemory>, IpcSender<IpcSharedMemory>);

struct BytesConn(BytesPair);

impl Conn for BytesConn {
    fn send(&mut self, m: &[u8]) -> Result<()> {
        Ok(self.0.1.send(m)?)
    }
    fn recv(&mut self, buf: &mut Vec<u8>) -> Result<Head> {
        *buf = self.0.0.recv().map_err(|e| anyhow!("{e:?}"))?;
        Head::of(buf)
    }
}

struct ShmConn(ShmPair);

impl Conn for ShmConn {
    fn send(&mut self, m: &[u8]) -> Result<()> {
        self.0.1.send(IpcSharedMemory::from_bytes(m)).map_err(|e| anyhow!("{e:?}"))
    }
    fn recv(&mut self, _: &mut Vec<u8>) -> Result<Head> {
        let m = self.0.0.recv().map_err(|e| anyhow!("{e:?}"))?;
        Head::of(&m)
    }
    fn echo(&mut self, _: &mut Vec<u8>) -> Result<Head> {
        let m = self.0.0.recv().map_err(|e| anyhow!("{e:?}"))?;
        let h = Head::of(&m)?;
        self.send(&m)?;
        Ok(h)
    }
}

/// The server's control channel: clients send it the ends the server is to use.
fn control<T: Serialize + DeserializeOwned>(a: &Args) -> Result<IpcReceiver<T>> {
    let (s, name) = IpcOneShotServer::<IpcSender<IpcSender<T>>>::new()?;
    let tmp = a.path("name.new");
    std::fs::write(&tmp, name)?;
    std::fs::rename(tmp, a.path("name"))?;
    a.ready();
    let (_keep, back) = s.accept().map_err(|e| anyhow!("{e:?}"))?;
    let (tx, rx) = ipc::channel()?;
    back.send(tx).map_err(|e| anyhow!("{e:?}"))?;
    Ok(rx)
}

fn attach<T: Serialize + DeserializeOwned>(a: &Args) -> Result<IpcSender<T>> {
    let name = std::fs::read_to_string(a.path("name"))?;
    let one = IpcSender::<IpcSender<IpcSender<T>>>::connect(name)?;
    let (tx, rx) = ipc::channel()?;
    one.send(tx).map_err(|e| anyhow!("{e:?}"))?;
    rx.recv().map_err(|e| anyhow!("{e:?}"))
}

fn dial_bytes(ctl: &IpcSender<BytesPair>) -> Result<BytesConn> {
    let (to, their_rx) = ipc::bytes_channel()?;
    let (their_tx, from) = ipc::bytes_channel()?;
    ctl.send((their_rx, their_tx)).map_err(|e| anyhow!("{e:?}"))?;
    Ok(BytesConn((from, to)))
}

impl Peer for IpcChannel {
    fn name(&self) -> &'static str {
        if self.shm { "ipc-channel-shm" } else { "ipc-channel" }
    }
    fn note(&self) -> &'static str {
        if self.shm {
            "ipc-channel 0.23, one IpcSharedMemory per message, received in place"
        } else {
            "ipc-channel 0.23 bytes_channel, received as Vec"
        }
    }
    fn supports(&self, w: Workload, size: usize) -> bool {
        match w {
            Workload::PingPong | Workload::Stream => !self.shm || size >= 65536,
            Workload::Churn => !self.shm,
            Workload::FanIn => false,
        }
    }
    fn serve(&self, a: &Args) -> Result<()> {
        if self.shm {
            let ctl = control::<ShmPair>(a)?;
            let p = ctl.recv().map_err(|e| anyhow!("{e:?}"))?;
            return drive_server(&mut ShmConn(p), a);
        }
        let ctl = control::<BytesPair>(a)?;
        if a.workload == Workload::Churn {
            let mut b = scratch(64);
            loop {
                BytesConn(ctl.recv().map_err(|e| anyhow!("{e:?}"))?).echo(&mut b)?;
            }
        }
        let p = ctl.recv().map_err(|e| anyhow!("{e:?}"))?;
        drive_server(&mut BytesConn(p), a)
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        if self.shm {
            let ctl = attach::<ShmPair>(a)?;
            let (to, their_rx) = ipc::channel()?;
            let (their_tx, from) = ipc::channel()?;
            ctl.send((their_rx, their_tx)).map_err(|e| anyhow!("{e:?}"))?;
            return drive_client(&mut ShmConn((from, to)), a);
        }
        let ctl = attach::<BytesPair>(a)?;
        if a.workload == Workload::Churn {
            let mut b = scratch(64);
            return drive_churn(a, |m, _| {
                let mut c = dial_bytes(&ctl)?;
                c.send(m)?;
                c.recv(&mut b)?;
                Ok(())
            });
        }
        drive_client(&mut dial_bytes(&ctl)?, a)
    }
}
