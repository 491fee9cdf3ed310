//! The floor: hand-written kernel transports, no library.
//!
//! Byte streams carry a 4-byte little-endian length before each message: one `writev` out,
//! one `readv` in (header, straight into the caller's buffer, surplus into a side buffer).

use crate::core::*;
use crate::sys::*;
use anyhow::{Result, bail};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

#[derive(Clone, Copy, PartialEq)]
enum Wait {
    /// Blocking descriptor: the read itself sleeps.
    Block,
    /// Non-blocking descriptor, `epoll_wait` before each read.
    Epoll,
    /// Non-blocking descriptor, the read repeated; blocks in epoll after a bounded spin.
    Spin,
}

pub struct StreamConn {
    _own: Vec<OwnedFd>,
    r: RawFd,
    w: RawFd,
    side: Box<[u8]>,
    pos: usize,
    end: usize,
    hint: usize,
    wait: Wait,
    ep: Option<Epoll>,
    batch: Option<Vec<u8>>,
}

const SIDE: usize = 64 * 1024;

impl StreamConn {
    fn new(r: OwnedFd, w: Option<OwnedFd>, wait: Wait, batch: bool) -> Result<Self> {
        let rfd = r.as_raw_fd();
        let wfd = w.as_ref().map_or(rfd, |w| w.as_raw_fd());
        let mut own = vec![r];
        own.extend(w);
        let ep = if wait == Wait::Block {
            None
        } else {
            nonblocking(rfd)?;
            let e = Epoll::new()?;
            e.add(rfd, 0, libc::EPOLLIN)?;
            Some(e)
        };
        Ok(StreamConn {
            _own: own,
            r: rfd,
            w: wfd,
            side: vec![0; SIDE].into(),
            pos: 0,
            end: 0,
            hint: 0,
            wait,
            ep,
            batch: batch.then(|| Vec::with_capacity(SIDE)),
        })
    }

    #[inline]
    fn readv(&mut self, iov: &[libc::iovec]) -> Result<usize> {
        if self.wait == Wait::Epoll {
            let mut ev = [libc::epoll_event { events: 0, u64: 0 }; 1];
            self.ep.as_ref().unwrap().wait(&mut ev)?;
        }
        let mut spins = 0u32;
        loop {
            let n = unsafe { libc::readv(self.r, iov.as_ptr(), iov.len() as i32) };
            if n > 0 {
                return Ok(n as usize);
            }
            if n == 0 {
                bail!("closed");
            }
            match errno() {
                libc::EINTR => {}
                libc::EAGAIN => {
                    spins += 1;
                    if self.wait == Wait::Epoll || spins > 200 {
                        let mut ev = [libc::epoll_event { events: 0, u64: 0 }; 1];
                        self.ep.as_ref().unwrap().wait(&mut ev)?;
                    }
                }
                _ => return Err(std::io::Error::last_os_error().into()),
            }
        }
    }

    fn write_all(&mut self, a: &[u8], b: &[u8]) -> Result<()> {
        let (mut a, mut b) = (a, b);
        loop {
            let iov = [
                libc::iovec { iov_base: a.as_ptr() as *mut _, iov_len: a.len() },
                libc::iovec { iov_base: b.as_ptr() as *mut _, iov_len: b.len() },
            ];
            let n = unsafe { libc::writev(self.w, iov.as_ptr(), 2) };
            if n < 0 {
                match errno() {
                    libc::EINTR => continue,
                    libc::EAGAIN => {
                        let mut p = libc::pollfd { fd: self.w, events: libc::POLLOUT, revents: 0 };
                        unsafe { libc::poll(&mut p, 1, -1) };
                        continue;
                    }
                    _ => return Err(std::io::Error::last_os_error().into()),
                }
            }
            let n = n as usize;
            if n == a.len() + b.len() {
                return Ok(());
            }
            if n < a.len() {
                a = &a[n..];
            } else {
                b = &b[n - a.len()..];
                a = &[];
            }
        }
    }

    /// At least `want` unread bytes in the side buffer.
    fn fill(&mut self, want: usize) -> Result<()> {
        if self.pos > 0 {
            self.side.copy_within(self.pos..self.end, 0);
            self.end -= self.pos;
            self.pos = 0;
        }
        while self.end < want {
            let p = unsafe { self.side.as_mut_ptr().add(self.end) };
            let iov = [libc::iovec { iov_base: p.cast(), iov_len: SIDE - self.end }];
            self.end += self.readv(&iov)?;
        }
        Ok(())
    }

    /// Reads exactly `buf[from..]`.
    fn read_rest(&mut self, buf: &mut [u8], mut from: usize) -> Result<()> {
        while from < buf.len() {
            let iov = [libc::iovec { iov_base: buf[from..].as_mut_ptr().cast(), iov_len: buf.len() - from }];
            from += self.readv(&iov)?;
        }
        Ok(())
    }
}

impl Conn for StreamConn {
    #[inline]
    fn send(&mut self, m: &[u8]) -> Result<()> {
        if self.batch.as_ref().is_some_and(|b| !b.is_empty()) {
            self.flush()?;
        }
        self.write_all(&(m.len() as u32).to_le_bytes(), m)
    }
    fn send_more(&mut self, m: &[u8]) -> Result<()> {
        let Some(b) = &mut self.batch else { return self.send(m) };
        if b.len() + 4 + m.len() > SIDE {
            self.flush()?;
            if m.len() + 4 > SIDE {
                return self.send(m);
            }
        }
        let b = self.batch.as_mut().unwrap();
        b.extend_from_slice(&(m.len() as u32).to_le_bytes());
        b.extend_from_slice(m);
        Ok(())
    }
    fn flush(&mut self) -> Result<()> {
        if let Some(b) = self.batch.take() {
            self.write_all(&b, &[])?;
            let mut b = b;
            b.clear();
            self.batch = Some(b);
        }
        Ok(())
    }
    #[inline]
    fn recv(&mut self, buf: &mut Vec<u8>) -> Result<Head> {
        if self.pos == self.end && self.hint >= 4096 {
            // Expect a message like the last one: no second copy for it.
            let hint = self.hint;
            set_len(buf, hint);
            let mut hdr = [0u8; 4];
            let iov = [
                libc::iovec { iov_base: hdr.as_mut_ptr().cast(), iov_len: 4 },
                libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: hint },
                libc::iovec { iov_base: self.side.as_mut_ptr().cast(), iov_len: SIDE },
            ];
            let n = self.readv(&iov)?;
            self.pos = 0;
            self.end = n.saturating_sub(4 + hint);
            if n >= 4 && u32::from_le_bytes(hdr) as usize == hint {
                let got = (n - 4).min(hint);
                self.read_rest(buf, got)?;
                return Head::of(buf);
            }
            // A different length: put everything back in order and take the slow way.
            let body = n.saturating_sub(4).min(hint);
            let mut all = hdr[..n.min(4)].to_vec();
            all.extend_from_slice(&buf[..body]);
            all.extend_from_slice(&self.side[..self.end]);
            self.hint = 0;
            if all.len() > SIDE {
                let len = u32::from_le_bytes(hdr) as usize;
                if len + 4 < all.len() {
                    bail!("mixed large messages are not part of this benchmark");
                }
                set_len(buf, len);
                buf[..all.len() - 4].copy_from_slice(&all[4..]);
                let from = all.len() - 4;
                self.end = 0;
                self.read_rest(buf, from)?;
                return Head::of(buf);
            }
            self.side[..all.len()].copy_from_slice(&all);
            self.end = all.len();
        }
        if self.end - self.pos < 4 {
            self.fill(4)?;
        }
        let len = u32::from_le_bytes(self.side[self.pos..self.pos + 4].try_into().unwrap()) as usize;
        self.pos += 4;
        self.hint = len;
        set_len(buf, len);
        let have = (self.end - self.pos).min(len);
        buf[..have].copy_from_slice(&self.side[self.pos..self.pos + have]);
        self.pos += have;
        if self.pos == self.end {
            self.pos = 0;
            self.end = 0;
        }
        if have < len {
            if len - have >= 4096 {
                self.read_rest(buf, have)?;
            } else {
                self.fill(len - have)?;
                buf[have..].copy_from_slice(&self.side[..len - have]);
                self.pos = len - have;
            }
        }
        Head::of(buf)
    }
}

/// One `send`/`recv` is one message.
pub struct PacketConn(OwnedFd);

impl Conn for PacketConn {
    #[inline]
    fn send(&mut self, m: &[u8]) -> Result<()> {
        let n = ck(
            unsafe { libc::send(self.0.as_raw_fd(), m.as_ptr().cast(), m.len(), libc::MSG_NOSIGNAL) },
            "send",
        )?;
        if n != m.len() {
            bail!("short send");
        }
        Ok(())
    }
    #[inline]
    fn recv(&mut self, buf: &mut Vec<u8>) -> Result<Head> {
        let cap = buf.capacity();
        set_len(buf, cap);
        let n = ck(unsafe { libc::recv(self.0.as_raw_fd(), buf.as_mut_ptr().cast(), cap, 0) }, "recv")?;
        if n == 0 {
            bail!("closed");
        }
        set_len(buf, n);
        Head::of(buf)
    }
}

fn bufs_for(fd: &OwnedFd, size: usize) -> Result<()> {
    if size > 100 * 1024 { set_bufs(fd, 4 << 20) } else { Ok(()) }
}

// ---------------------------------------------------------------- stream rows

enum Kind {
    Unix,
    Tcp,
    Fifo { size: i32 },
}

pub struct StreamPeer {
    name: &'static str,
    note: &'static str,
    kind: Kind,
    wait: Wait,
    batch: bool,
    /// Socket buffer size to ask for; 0 leaves the default.
    buf: i32,
}

pub static UNIX: StreamPeer = StreamPeer {
    name: "raw-unix-stream",
    note: "AF_UNIX stream, u32 length prefix, writev/readv, blocking",
    kind: Kind::Unix,
    wait: Wait::Block,
    batch: false,
    buf: 0,
};
pub static UNIX_BIG: StreamPeer = StreamPeer {
    name: "raw-unix-stream-4m",
    note: "the same with 4 MiB socket buffers",
    kind: Kind::Unix,
    wait: Wait::Block,
    batch: false,
    buf: 4 << 20,
};
pub static UNIX_1M: StreamPeer = StreamPeer {
    name: "raw-unix-stream-1m",
    note: "the same with 1 MiB socket buffers, which is what hobnob asks for",
    kind: Kind::Unix,
    wait: Wait::Block,
    batch: false,
    buf: 1 << 20,
};
pub static UNIX_BATCH: StreamPeer = StreamPeer {
    name: "raw-unix-batch",
    note: "the same, sender coalesces into 64 KiB writes",
    kind: Kind::Unix,
    wait: Wait::Block,
    batch: true,
    buf: 0,
};
pub static UNIX_EPOLL: StreamPeer = StreamPeer {
    name: "raw-unix-epoll",
    note: "the same, non-blocking, epoll_wait before each read",
    kind: Kind::Unix,
    wait: Wait::Epoll,
    batch: false,
    buf: 0,
};
pub static UNIX_SPIN: StreamPeer = StreamPeer {
    name: "raw-unix-spin",
    note: "the same, non-blocking read repeated up to 200 times, then epoll",
    kind: Kind::Unix,
    wait: Wait::Spin,
    batch: false,
    buf: 0,
};
pub static UNIX_SPIN_BIG: StreamPeer = StreamPeer {
    name: "raw-unix-spin-1m",
    note: "the same with 1 MiB socket buffers",
    kind: Kind::Unix,
    wait: Wait::Spin,
    batch: false,
    buf: 1 << 20,
};
pub static TCP: StreamPeer = StreamPeer {
    name: "raw-tcp",
    note: "TCP over loopback, NODELAY, same framing",
    kind: Kind::Tcp,
    wait: Wait::Block,
    batch: false,
    buf: 0,
};
pub static FIFO: StreamPeer = StreamPeer {
    name: "raw-fifo",
    note: "two FIFOs, default 64 KiB pipes, same framing",
    kind: Kind::Fifo { size: 0 },
    wait: Wait::Block,
    batch: false,
    buf: 0,
};
pub static FIFO_1M: StreamPeer = StreamPeer {
    name: "raw-fifo-1m",
    note: "two FIFOs grown to 1 MiB",
    kind: Kind::Fifo { size: 1 << 20 },
    wait: Wait::Block,
    batch: false,
    buf: 0,
};
pub static FIFO_SPIN: StreamPeer = StreamPeer {
    name: "raw-fifo-spin",
    note: "two FIFOs, non-blocking read repeated up to 200 times, then epoll",
    kind: Kind::Fifo { size: 0 },
    wait: Wait::Spin,
    batch: false,
    buf: 0,
};

impl StreamPeer {
    fn tcp(s: std::net::TcpStream) -> Result<OwnedFd> {
        s.set_nodelay(true)?;
        Ok(s.into())
    }
    fn fifo(&self, a: &Args, server: bool, size: i32) -> Result<StreamConn> {
        let end = |n: &str, fl: i32| -> Result<OwnedFd> {
            let fd = open(&a.path(n), fl)?;
            if size > 0 {
                ck(
                    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETPIPE_SZ, size) } as isize,
                    "F_SETPIPE_SZ",
                )?;
            }
            Ok(fd)
        };
        let (r, w) = if server {
            let r = end("c2s", libc::O_RDONLY)?;
            (r, end("s2c", libc::O_WRONLY)?)
        } else {
            let w = end("c2s", libc::O_WRONLY)?;
            (end("s2c", libc::O_RDONLY)?, w)
        };
        StreamConn::new(r, Some(w), self.wait, self.batch)
    }
    fn sized(&self, fd: OwnedFd) -> Result<OwnedFd> {
        if self.buf > 0 {
            set_bufs(&fd, self.buf)?;
        }
        Ok(fd)
    }
    fn conn(&self, fd: OwnedFd) -> Result<StreamConn> {
        StreamConn::new(self.sized(fd)?, None, self.wait, self.batch)
    }
    fn connect(&self, a: &Args) -> Result<OwnedFd> {
        match self.kind {
            Kind::Unix => unix_connect(libc::SOCK_STREAM, &a.path("s")),
            Kind::Tcp => {
                let port: u16 = std::fs::read_to_string(a.path("port"))?.trim().parse()?;
                Self::tcp(std::net::TcpStream::connect(("127.0.0.1", port))?)
            }
            Kind::Fifo { .. } => bail!("no sockets"),
        }
    }
}

impl Peer for StreamPeer {
    fn name(&self) -> &'static str {
        self.name
    }
    fn raw(&self) -> bool {
        true
    }
    fn note(&self) -> &'static str {
        self.note
    }
    fn supports(&self, w: Workload, _: usize) -> bool {
        let plain = matches!(self.name, "raw-unix-stream" | "raw-tcp" | "raw-fifo");
        match w {
            Workload::PingPong => !self.batch,
            Workload::Stream => true,
            Workload::Churn => plain,
            Workload::FanIn => matches!(self.name, "raw-unix-epoll"),
        }
    }
    fn most_clients(&self) -> usize {
        usize::MAX
    }
    fn serve(&self, a: &Args) -> Result<()> {
        if let Kind::Fifo { size } = self.kind {
            if a.workload == Workload::Churn {
                return fifo_churn_server(a);
            }
            for n in ["c2s", "s2c"] {
                mkfifo(&a.path(n))?;
            }
            a.ready();
            return drive_server(&mut self.fifo(a, true, size)?, a);
        }
        let l: OwnedFd = match self.kind {
            Kind::Unix => unix_listen(libc::SOCK_STREAM, &a.path("s"))?,
            _ => {
                let l = std::net::TcpListener::bind("127.0.0.1:0")?;
                std::fs::write(a.path("port"), l.local_addr()?.port().to_string())?;
                l.into()
            }
        };
        a.ready();
        let tcp = matches!(self.kind, Kind::Tcp);
        let take = || -> Result<OwnedFd> {
            let fd = accept(&l, 0)?;
            if tcp { Self::tcp(fd.into()) } else { Ok(fd) }
        };
        match a.workload {
            Workload::Churn => {
                let mut b = scratch(64);
                loop {
                    let mut c = self.conn(take()?)?;
                    c.echo(&mut b)?;
                }
            }
            Workload::FanIn => fanin_server(&l),
            _ => drive_server(&mut self.conn(take()?)?, a),
        }
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        if let Kind::Fifo { size } = self.kind {
            if a.workload == Workload::Churn {
                return fifo_churn_client(a);
            }
            return drive_client(&mut self.fifo(a, false, size)?, a);
        }
        match a.workload {
            Workload::Churn => {
                let mut b = scratch(64);
                drive_churn(a, |m, seq| {
                    let mut c = self.conn(self.connect(a)?)?;
                    c.send(m)?;
                    if c.recv(&mut b)?.seq != seq {
                        bail!("wrong echo");
                    }
                    Ok(())
                })
            }
            Workload::FanIn => fanin_client(a),
            _ => drive_client(&mut self.conn(self.connect(a)?)?, a),
        }
    }
}

/// The least that a rendezvous over FIFOs can be: the client makes a pair under its pid and writes the pid to the
/// server's FIFO; opening the ends in the same order on both sides waits for the other.
fn fifo_churn_server(a: &Args) -> Result<()> {
    mkfifo(&a.path("rendezvous"))?;
    let knocks = open(&a.path("rendezvous"), libc::O_RDONLY | libc::O_NONBLOCK)?;
    // A writer of our own, so that a client's leaving is no end of file.
    let _writer = open(&a.path("rendezvous"), libc::O_WRONLY)?;
    blocking(knocks.as_raw_fd())?;
    a.ready();
    let mut b = scratch(64);
    loop {
        let mut pid = [0u8; 4];
        if ck(unsafe { libc::read(knocks.as_raw_fd(), pid.as_mut_ptr().cast(), 4) }, "read")? != 4 {
            bail!("short knock");
        }
        let pid = u32::from_le_bytes(pid);
        let r = open(&a.path(&format!("{pid}.c2s")), libc::O_RDONLY)?;
        let w = open(&a.path(&format!("{pid}.s2c")), libc::O_WRONLY)?;
        StreamConn::new(r, Some(w), Wait::Block, false)?.echo(&mut b)?;
    }
}

fn fifo_churn_client(a: &Args) -> Result<Samples> {
    let pid = std::process::id();
    let (c2s, s2c) = (a.path(&format!("{pid}.c2s")), a.path(&format!("{pid}.s2c")));
    let mut b = scratch(64);
    drive_churn(a, |m, seq| {
        mkfifo(&c2s)?;
        mkfifo(&s2c)?;
        let knock = open(&a.path("rendezvous"), libc::O_WRONLY)?;
        ck(unsafe { libc::write(knock.as_raw_fd(), pid.to_le_bytes().as_ptr().cast(), 4) }, "write")?;
        drop(knock);
        let w = open(&c2s, libc::O_WRONLY)?;
        let r = open(&s2c, libc::O_RDONLY)?;
        let mut c = StreamConn::new(r, Some(w), Wait::Block, false)?;
        c.send(m)?;
        if c.recv(&mut b)?.seq != seq {
            bail!("wrong echo");
        }
        unlink(&c2s)?;
        unlink(&s2c)
    })
}

/// One thread, one epoll, 64 B frames echoed whole. Each connection has at most one
/// request outstanding, so one read is one frame.
fn fanin_server(l: &OwnedFd) -> Result<()> {
    let ep = Epoll::new()?;
    nonblocking(l.as_raw_fd())?;
    ep.add(l.as_raw_fd(), u64::MAX, libc::EPOLLIN)?;
    let mut ev = [libc::epoll_event { events: 0, u64: 0 }; 256];
    let mut buf = [0u8; 4096];
    loop {
        for e in ep.wait(&mut ev)? {
            let tok = e.u64;
            if tok == u64::MAX {
                while let Ok(c) = accept(l, libc::SOCK_NONBLOCK) {
                    use std::os::fd::IntoRawFd;
                    let fd = c.into_raw_fd();
                    ep.add(fd, fd as u64, libc::EPOLLIN)?;
                }
                continue;
            }
            let fd = tok as RawFd;
            let n = unsafe { libc::read(fd, buf.as_mut_ptr().cast(), buf.len()) };
            if n <= 0 {
                unsafe { libc::close(fd) };
                continue;
            }
            let r = unsafe { libc::write(fd, buf.as_ptr().cast(), n as usize) };
            if r != n {
                bail!("short write");
            }
        }
    }
}

/// Connects `a.conns` streams, then asks on all of them. Shared by every peer whose wire is "u32 little-endian length,
/// payload".
pub fn fanin_client(a: &Args) -> Result<Samples> {
    let cs: Vec<OwnedFd> = (0..a.conns)
        .map(|_| retry(|| unix_connect(libc::SOCK_STREAM, &a.path("s"))))
        .collect::<Result<_>>()?;
    let ends: Vec<_> = cs.iter().map(|c| (c.as_fd(), c.as_fd())).collect();
    let samples = waves_by_hand(a, &ends, &64u32.to_le_bytes())?;
    // The connections stay open until the process ends: the parent reads the server's memory.
    std::mem::forget(cs);
    Ok(samples)
}

/// In waves: one frame out on each connection, then one frame in on each, by bare system calls. Each connection is the
/// end to write to and the end to read from.
pub fn waves_by_hand(a: &Args, ends: &[(BorrowedFd<'_>, BorrowedFd<'_>)], header: &[u8]) -> Result<Samples> {
    let mut frame = header.to_vec();
    frame.extend(message(64));
    let mut got = vec![0u8; frame.len()];
    let mut wave = |seq: u64| -> Result<()> {
        stamp(&mut frame[header.len()..], seq, false);
        for (out, _) in ends {
            let n = ck(unsafe { libc::write(out.as_raw_fd(), frame.as_ptr().cast(), frame.len()) }, "write")?;
            if n != frame.len() {
                bail!("short write");
            }
        }
        for (_, inward) in ends {
            let mut k = 0;
            while k < got.len() {
                k += read_some(inward.as_raw_fd(), &mut got[k..])?;
            }
            if got != frame {
                bail!("wrong echo");
            }
        }
        Ok(())
    };
    wave(0)?;
    wave(1)?;
    let start = std::time::Instant::now();
    let end = a.deadline();
    let mut seq = 2;
    while std::time::Instant::now() < end {
        wave(seq)?;
        seq += 1;
    }
    let ops = (seq - 2) * ends.len() as u64;
    Ok(Samples { lat: vec![], ops, bytes: ops * 64, elapsed: start.elapsed() })
}

/// At least a byte, from a descriptor that need not block.
fn read_some(fd: RawFd, into: &mut [u8]) -> Result<usize> {
    loop {
        let n = unsafe { libc::read(fd, into.as_mut_ptr().cast(), into.len()) };
        match n {
            1.. => return Ok(n as usize),
            0 => bail!("closed"),
            _ if errno() == libc::EAGAIN => {
                let mut asked = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
                unsafe { libc::poll(&mut asked, 1, -1) };
            }
            _ => return Err(std::io::Error::last_os_error().into()),
        }
    }
}

// ---------------------------------------------------------------- packet rows

pub struct SeqPacket;

impl Peer for SeqPacket {
    fn name(&self) -> &'static str {
        "raw-seqpacket"
    }
    fn raw(&self) -> bool {
        true
    }
    fn note(&self) -> &'static str {
        "AF_UNIX seqpacket, send/recv, blocking (4 MiB buffers above 100 KiB)"
    }
    fn supports(&self, w: Workload, _: usize) -> bool {
        w != Workload::FanIn
    }
    fn serve(&self, a: &Args) -> Result<()> {
        let l = unix_listen(libc::SOCK_SEQPACKET, &a.path("s"))?;
        a.ready();
        if a.workload == Workload::Churn {
            let mut b = scratch(64);
            loop {
                PacketConn(accept(&l, 0)?).echo(&mut b)?;
            }
        }
        let c = accept(&l, 0)?;
        bufs_for(&c, a.size)?;
        drive_server(&mut PacketConn(c), a)
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        if a.workload == Workload::Churn {
            let mut b = scratch(64);
            return drive_churn(a, |m, _| {
                let mut c = PacketConn(unix_connect(libc::SOCK_SEQPACKET, &a.path("s"))?);
                c.send(m)?;
                c.recv(&mut b)?;
                Ok(())
            });
        }
        let c = unix_connect(libc::SOCK_SEQPACKET, &a.path("s"))?;
        bufs_for(&c, a.size)?;
        drive_client(&mut PacketConn(c), a)
    }
}

pub struct Dgram;

impl Peer for Dgram {
    fn name(&self) -> &'static str {
        "raw-dgram"
    }
    fn raw(&self) -> bool {
        true
    }
    fn note(&self) -> &'static str {
        "AF_UNIX datagram, both ends connected, send/recv, blocking"
    }
    fn supports(&self, w: Workload, _: usize) -> bool {
        matches!(w, Workload::PingPong | Workload::Stream)
    }
    fn serve(&self, a: &Args) -> Result<()> {
        let s = unix_bind(libc::SOCK_DGRAM, &a.path("s"))?;
        bufs_for(&s, a.size)?;
        a.ready();
        let mut hello = [0u8; 1];
        ck(unsafe { libc::recv(s.as_raw_fd(), hello.as_mut_ptr().cast(), 1, 0) }, "recv")?;
        unix_connect_on(&s, &a.path("c"))?;
        ck(unsafe { libc::send(s.as_raw_fd(), hello.as_ptr().cast(), 1, 0) }, "send")?;
        drive_server(&mut PacketConn(s), a)
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        let s = unix_bind(libc::SOCK_DGRAM, &a.path("c"))?;
        bufs_for(&s, a.size)?;
        unix_connect_on(&s, &a.path("s"))?;
        let mut hello = [0u8; 1];
        ck(unsafe { libc::send(s.as_raw_fd(), hello.as_ptr().cast(), 1, 0) }, "send")?;
        ck(unsafe { libc::recv(s.as_raw_fd(), hello.as_mut_ptr().cast(), 1, 0) }, "recv")?;
        drive_client(&mut PacketConn(s), a)
    }
}

// ---------------------------------------------------------------- one-copy row

/// The message stays where it is; a 16-byte note (address, length) goes over a seqpacket
/// socket and the receiver copies straight out of the sender's memory. Needs permission to
/// read the other process, and the sender must not touch the buffer until it was read: the
/// ping-pong's answer is that signal.
pub struct Cma;

struct CmaConn {
    s: OwnedFd,
    pid: i32,
}

impl CmaConn {
    fn new(s: OwnedFd) -> Result<Self> {
        let c = peer_cred(s.as_raw_fd())?;
        Ok(CmaConn { s, pid: c.pid })
    }
}

impl Conn for CmaConn {
    fn send(&mut self, m: &[u8]) -> Result<()> {
        let note = [m.as_ptr() as u64, m.len() as u64];
        ck(unsafe { libc::send(self.s.as_raw_fd(), note.as_ptr().cast(), 16, libc::MSG_NOSIGNAL) }, "send")?;
        Ok(())
    }
    fn recv(&mut self, buf: &mut Vec<u8>) -> Result<Head> {
        let mut note = [0u64; 2];
        if ck(unsafe { libc::recv(self.s.as_raw_fd(), note.as_mut_ptr().cast(), 16, 0) }, "recv")? != 16 {
            bail!("closed");
        }
        let n = note[1] as usize;
        set_len(buf, n);
        let to = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: n };
        let from = libc::iovec { iov_base: note[0] as *mut _, iov_len: n };
        if ck(unsafe { libc::process_vm_readv(self.pid, &to, 1, &from, 1, 0) }, "process_vm_readv")? != n {
            bail!("short process_vm_readv");
        }
        Head::of(buf)
    }
}

impl Peer for Cma {
    fn name(&self) -> &'static str {
        "raw-cma"
    }
    fn raw(&self) -> bool {
        true
    }
    fn note(&self) -> &'static str {
        "process_vm_readv out of the sender's buffer, seqpacket for the note (one copy)"
    }
    fn supports(&self, w: Workload, size: usize) -> bool {
        w == Workload::PingPong && size >= 4096
    }
    fn serve(&self, a: &Args) -> Result<()> {
        let l = unix_listen(libc::SOCK_SEQPACKET, &a.path("s"))?;
        a.ready();
        let mut c = CmaConn::new(accept(&l, 0)?)?;
        let mut b = scratch(a.size);
        while !c.echo(&mut b)?.last {}
        // The last answer is still to be read out of `b`: wait for the client to close.
        let mut end = [0u8; 1];
        unsafe { libc::recv(c.s.as_raw_fd(), end.as_mut_ptr().cast(), 1, 0) };
        Ok(())
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        drive_client(&mut CmaConn::new(unix_connect(libc::SOCK_SEQPACKET, &a.path("s"))?)?, a)
    }
}
