//! `shmem-ipc` shared rings of bytes (memfd + eventfd), framed by us with a u32 length.

use crate::core::*;
use crate::sys;
use anyhow::{Result, anyhow};
use shmem_ipc::sharedring::{Receiver, Sender};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

pub struct ShmemIpc;

const CAP: usize = 1 << 20;

struct SConn {
    tx: Sender<u8>,
    rx: Receiver<u8>,
    _sock: OwnedFd,
}

fn er<E: std::fmt::Display>(x: E) -> anyhow::Error {
    anyhow!("{x}")
}

impl SConn {
    fn connect(a: &Args) -> Result<Self> {
        let sock = sys::unix_connect(libc::SOCK_STREAM, &a.path("s"))?;
        let tx = Sender::<u8>::new(CAP).map_err(er)?;
        let rx = Receiver::<u8>::new(CAP).map_err(er)?;
        let fds: [RawFd; 6] = [
            tx.memfd().as_file().as_raw_fd(),
            tx.empty_signal().as_raw_fd(),
            tx.full_signal().as_raw_fd(),
            rx.memfd().as_file().as_raw_fd(),
            rx.empty_signal().as_raw_fd(),
            rx.full_signal().as_raw_fd(),
        ];
        sys::send_fds(sock.as_raw_fd(), &fds)?;
        Ok(SConn { tx, rx, _sock: sock })
    }
    fn accept(l: &OwnedFd) -> Result<Self> {
        let sock = sys::accept(l, 0)?;
        let mut f = sys::recv_fds(sock.as_raw_fd(), 6)?.into_iter().map(File::from);
        let mut n = || f.next().unwrap();
        let rx = Receiver::open(CAP, n(), n(), n()).map_err(er)?;
        let tx = Sender::open(CAP, n(), n(), n()).map_err(er)?;
        Ok(SConn { tx, rx, _sock: sock })
    }
    fn put(&mut self, a: &[u8], b: &[u8]) -> Result<()> {
        let (mut a, mut b) = (a, b);
        while !a.is_empty() || !b.is_empty() {
            self.tx.block_until_writable().map_err(er)?;
            // SAFETY: exactly one sender and one receiver, as set up above.
            unsafe {
                self.tx
                    .send_trusted(|out| {
                        let n = a.len().min(out.len());
                        out[..n].copy_from_slice(&a[..n]);
                        a = &a[n..];
                        let m = b.len().min(out.len() - n);
                        out[n..n + m].copy_from_slice(&b[..m]);
                        b = &b[m..];
                        n + m
                    })
                    .map_err(er)?;
            }
        }
        Ok(())
    }
    fn take(&mut self, mut dst: &mut [u8]) -> Result<()> {
        while !dst.is_empty() {
            self.rx.block_until_readable().map_err(er)?;
            // SAFETY: as above.
            unsafe {
                self.rx
                    .receive_trusted(|src| {
                        let n = dst.len().min(src.len());
                        dst[..n].copy_from_slice(&src[..n]);
                        dst = &mut std::mem::take(&mut dst)[n..];
                        n
                    })
                    .map_err(er)?;
            }
        }
        Ok(())
    }
}

impl Conn for SConn {
    fn send(&mut self, m: &[u8]) -> Result<()> {
        self.put(&(m.len() as u32).to_le_bytes(), m)
    }
    fn recv(&mut self, buf: &mut Vec<u8>) -> Result<Head> {
        let mut l = [0u8; 4];
        self.take(&mut l)?;
        set_len(buf, u32::from_le_bytes(l) as usize);
        self.take(buf)?;
        Head::of(buf)
    }
}

impl Peer for ShmemIpc {
    fn name(&self) -> &'static str {
        "shmem-ipc"
    }
    fn note(&self) -> &'static str {
        "shmem-ipc 0.3 sharedring<u8>, 1 MiB rings, blocking on its eventfds, u32 length prefix"
    }
    fn supports(&self, w: Workload, _: usize) -> bool {
        w != Workload::FanIn
    }
    fn serve(&self, a: &Args) -> Result<()> {
        let l = sys::unix_listen(libc::SOCK_STREAM, &a.path("s"))?;
        a.ready();
        if a.workload == Workload::Churn {
            let mut b = scratch(64);
            loop {
                SConn::accept(&l)?.echo(&mut b)?;
            }
        }
        drive_server(&mut SConn::accept(&l)?, a)
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        if a.workload == Workload::Churn {
            let mut b = scratch(64);
            return drive_churn(a, |m, _| {
                let mut c = SConn::connect(a)?;
                c.send(m)?;
                c.recv(&mut b)?;
                Ok(())
            });
        }
        drive_client(&mut SConn::connect(a)?, a)
    }
}
