//! The floor in shared memory: two single-producer single-consumer byte rings in one memfd,
//! handed over a unix socket with SCM_RIGHTS. Payload is copied in and copied out.
//!
//! Head and tail live on cache lines of their own; each side keeps a private copy of the
//! other's index and rereads it only when that copy says "full" or "empty". A message
//! bigger than a chunk is published chunk by chunk, so that the two copies overlap.

use crate::core::*;
use crate::sys::*;
use anyhow::{Result, bail};
use std::cell::Cell;
use std::hint::spin_loop;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*, fence};
use std::time::{Duration, Instant};

#[repr(C, align(128))]
struct Line<T>(T);

/// At the start of each ring.
#[repr(C)]
struct Ctl {
    head: Line<AtomicU64>,
    tail: Line<AtomicU64>,
    /// Nonzero while the consumer sleeps (or is about to).
    cwait: Line<AtomicU32>,
    /// Nonzero while the producer sleeps.
    pwait: Line<AtomicU32>,
}

const CTL: usize = 4096;
const HDR: usize = 8;

fn env_usize(k: &str, d: usize) -> usize {
    std::env::var(k).ok().and_then(|v| v.parse().ok()).unwrap_or(d)
}

fn ring_bytes() -> usize {
    env_usize("PEERS_RING", 1 << 20).next_power_of_two()
}

fn chunk_bytes() -> usize {
    env_usize("PEERS_CHUNK", 32 << 10) & !7
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Wake {
    Never,
    Futex,
    EventFd,
}

#[derive(Clone, Copy)]
struct Policy {
    wake: Wake,
    /// How long to spin before sleeping.
    spin: Duration,
    /// How often to give the core away after spinning, before sleeping.
    yields: u32,
    /// Stop spinning while it does not pay (try again once in 64 waits).
    adapt: bool,
    /// Copy chunks in with stores that bypass the cache.
    stream_in: bool,
    /// Publish small messages of a stream 4 KiB at a time.
    batch: bool,
}

struct Map {
    p: *mut u8,
    n: usize,
}

impl Map {
    fn new(fd: RawFd, n: usize) -> Result<Self> {
        let p = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                n,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                fd,
                0,
            )
        };
        if p == libc::MAP_FAILED {
            bail!("mmap: {}", std::io::Error::last_os_error());
        }
        Ok(Map { p: p.cast(), n })
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        unsafe { libc::munmap(self.p.cast(), self.n) };
    }
}

/// One direction, seen from either end.
struct Ring {
    ctl: *const Ctl,
    data: *mut u8,
    mask: u64,
    cap: u64,
    chunk: usize,
    /// My own index, not yet (or already) published.
    mine: u64,
    /// What I last saw of the other's.
    theirs: u64,
    pol: Policy,
    /// Above zero: recent spins ended with what they waited for.
    score: Cell<i32>,
    waits: Cell<u32>,
    /// Signals "data" and "space" (eventfd policy only).
    data_ev: RawFd,
    space_ev: RawFd,
}

impl Ring {
    fn ctl(&self) -> &Ctl {
        unsafe { &*self.ctl }
    }

    #[cold]
    fn sleep(&self, flag: &AtomicU32, ev: RawFd, ready: impl Fn() -> bool) {
        flag.store(1, Relaxed);
        fence(SeqCst);
        if ready() {
            flag.store(0, Relaxed);
            return;
        }
        match self.pol.wake {
            Wake::Futex => futex_wait(flag, 1),
            Wake::EventFd => {
                let mut b = [0u8; 8];
                unsafe { libc::read(ev, b.as_mut_ptr().cast(), 8) };
            }
            Wake::Never => {}
        }
        flag.store(0, Relaxed);
    }

    /// After publishing: wakes the other side if it sleeps.
    #[inline]
    fn signal(&self, flag: &AtomicU32, ev: RawFd) {
        if self.pol.wake == Wake::Never {
            return;
        }
        fence(SeqCst);
        if flag.load(Relaxed) != 0 && flag.swap(0, Relaxed) != 0 {
            match self.pol.wake {
                Wake::Futex => futex_wake(flag),
                _ => unsafe {
                    libc::write(ev, (&raw const ONE).cast(), 8);
                },
            }
        }
    }

    /// Runs `ready` until true: spinning, then asleep.
    #[inline]
    fn until(&self, flag: &AtomicU32, ev: RawFd, ready: impl Fn() -> bool) {
        if ready() {
            return;
        }
        let mut start: Option<Instant> = None;
        let mut yields = 0;
        let mut spin = self.pol.wake == Wake::Never || !self.pol.spin.is_zero();
        if self.pol.adapt {
            let w = self.waits.get().wrapping_add(1);
            self.waits.set(w);
            spin = self.score.get() > 0 || w.is_multiple_of(64);
        }
        loop {
            if spin {
                for _ in 0..32 {
                    spin_loop();
                    if ready() {
                        if self.pol.adapt {
                            self.score.set((self.score.get() + 1).min(8));
                        }
                        return;
                    }
                }
            }
            if self.pol.wake == Wake::Never {
                continue;
            }
            if spin && start.get_or_insert_with(Instant::now).elapsed() <= self.pol.spin {
                continue;
            }
            if spin && self.pol.adapt {
                self.score.set((self.score.get() - 2).max(-8));
                spin = false;
            }
            if yields < self.pol.yields {
                yields += 1;
                unsafe { libc::sched_yield() };
                if ready() {
                    return;
                }
                continue;
            }
            self.sleep(flag, ev, &ready);
            if ready() {
                return;
            }
            start = None;
            yields = 0;
        }
    }

    // ---- producer: mine = head, theirs = tail

    #[inline]
    fn space(&mut self, want: u64) {
        if self.cap - (self.mine - self.theirs) >= want {
            return;
        }
        let c = self.ctl();
        let need = self.mine + want - self.cap;
        self.until(&c.pwait.0, self.space_ev, || c.tail.0.load(Acquire) >= need);
        self.theirs = c.tail.0.load(Acquire);
    }

    #[inline]
    fn publish(&self) {
        self.ctl().head.0.store(self.mine, Release);
        self.signal(&self.ctl().cwait.0, self.data_ev);
    }

    #[inline]
    unsafe fn put(&self, at: u64, src: *const u8, n: usize) {
        let o = (at & self.mask) as usize;
        let first = n.min(self.cap as usize - o);
        unsafe {
            std::ptr::copy_nonoverlapping(src, self.data.add(o), first);
            if first < n {
                std::ptr::copy_nonoverlapping(src.add(first), self.data, n - first);
            }
        }
    }

    /// `put` with non-temporal stores: the other core then reads memory, not this core's
    /// cache, and no line has to be fetched for ownership first.
    #[cfg(target_arch = "x86_64")]
    unsafe fn put_around_cache(&self, at: u64, src: *const u8, n: usize) {
        use std::arch::x86_64::*;
        let o = (at & self.mask) as usize;
        let first = n.min(self.cap as usize - o);
        for (dst, src, n) in
            unsafe { [(self.data.add(o), src, first), (self.data, src.add(first), n - first)] }
        {
            unsafe {
                let lead = (dst.align_offset(16)).min(n);
                std::ptr::copy_nonoverlapping(src, dst, lead);
                let mut i = lead;
                while i + 16 <= n {
                    _mm_stream_si128(dst.add(i).cast(), _mm_loadu_si128(src.add(i).cast()));
                    i += 16;
                }
                std::ptr::copy_nonoverlapping(src.add(i), dst.add(i), n - i);
            }
        }
        // Streaming stores are not ordered by the release store that publishes them.
        unsafe { _mm_sfence() };
    }

    #[cfg(not(target_arch = "x86_64"))]
    unsafe fn put_around_cache(&self, at: u64, src: *const u8, n: usize) {
        unsafe { self.put(at, src, n) }
    }

    #[inline]
    fn send(&mut self, m: &[u8], publish: bool) {
        let total = HDR + m.len().next_multiple_of(8);
        if total <= self.chunk {
            if self.cap - (self.mine - self.theirs) < total as u64 {
                // What was kept back must be visible before this side waits for space.
                self.publish();
                self.space(total as u64);
            }
            unsafe {
                self.put(self.mine, (m.len() as u64).to_le_bytes().as_ptr(), HDR);
                self.put(self.mine + HDR as u64, m.as_ptr(), m.len());
            }
            self.mine += total as u64;
            if publish {
                self.publish();
            }
            return;
        }
        self.space(HDR as u64);
        unsafe { self.put(self.mine, (m.len() as u64).to_le_bytes().as_ptr(), HDR) };
        self.mine += HDR as u64;
        let mut off = 0;
        while off < m.len() {
            let n = self.chunk.min(m.len() - off);
            let step = n.next_multiple_of(8) as u64;
            self.space(step);
            unsafe {
                if self.pol.stream_in {
                    self.put_around_cache(self.mine, m.as_ptr().add(off), n);
                } else {
                    self.put(self.mine, m.as_ptr().add(off), n);
                }
            }
            self.mine += step;
            off += n;
            self.publish();
        }
    }

    // ---- consumer: mine = tail, theirs = head

    #[inline]
    fn avail(&mut self, want: u64) -> u64 {
        if self.theirs - self.mine < want {
            let c = self.ctl();
            let need = self.mine + want;
            self.until(&c.cwait.0, self.data_ev, || c.head.0.load(Acquire) >= need);
            self.theirs = c.head.0.load(Acquire);
        }
        self.theirs - self.mine
    }

    #[inline]
    unsafe fn get(&self, at: u64, dst: *mut u8, n: usize) {
        let o = (at & self.mask) as usize;
        let first = n.min(self.cap as usize - o);
        unsafe {
            std::ptr::copy_nonoverlapping(self.data.add(o), dst, first);
            if first < n {
                std::ptr::copy_nonoverlapping(self.data, dst.add(first), n - first);
            }
        }
    }

    #[inline]
    fn release(&self) {
        self.ctl().tail.0.store(self.mine, Release);
        self.signal(&self.ctl().pwait.0, self.space_ev);
    }

    #[inline]
    fn recv(&mut self, buf: &mut Vec<u8>) {
        self.avail(HDR as u64);
        let mut h = [0u8; HDR];
        unsafe { self.get(self.mine, h.as_mut_ptr(), HDR) };
        let len = u64::from_le_bytes(h) as usize;
        set_len(buf, len);
        let total = HDR + len.next_multiple_of(8);
        if total <= self.chunk {
            // Small messages are published whole.
            unsafe { self.get(self.mine + HDR as u64, buf.as_mut_ptr(), len) };
            self.mine += total as u64;
            // Telling the producer costs a shared line: once a quarter ring is plenty,
            // or when there is nothing left to read.
            if self.mine == self.theirs || self.mine - self.ctl().tail.0.load(Relaxed) > self.cap / 4 {
                self.release();
            }
            return;
        }
        self.mine += HDR as u64;
        let mut off = 0;
        while off < len {
            let left = len - off;
            let want = left.min(self.chunk).next_multiple_of(8) as u64;
            self.avail(want);
            let n = left.min(self.chunk);
            unsafe { self.get(self.mine, buf.as_mut_ptr().add(off), n) };
            self.mine += want;
            off += n;
            self.release();
        }
    }
}

static ONE: u64 = 1;

struct ShmConn {
    tx: Ring,
    rx: Ring,
    kept: usize,
    _map: Map,
    _fds: Vec<OwnedFd>,
    _sock: OwnedFd,
}

impl ShmConn {
    fn build(sock: OwnedFd, fds: Vec<OwnedFd>, server: bool, pol: Policy) -> Result<Self> {
        let cap = ring_bytes();
        let map = Map::new(fds[0].as_raw_fd(), 2 * (CTL + cap))?;
        let ev = |i: usize| fds.get(i).map_or(-1, |f| f.as_raw_fd());
        let ring = |k: usize| Ring {
            ctl: unsafe { map.p.add(k * (CTL + cap)) }.cast(),
            data: unsafe { map.p.add(k * (CTL + cap) + CTL) },
            mask: cap as u64 - 1,
            cap: cap as u64,
            chunk: chunk_bytes().min(cap / 2),
            mine: 0,
            theirs: 0,
            pol,
            score: Cell::new(4),
            waits: Cell::new(0),
            data_ev: ev(1 + 2 * k),
            space_ev: ev(2 + 2 * k),
        };
        let (tx, rx) = if server { (ring(1), ring(0)) } else { (ring(0), ring(1)) };
        Ok(ShmConn { tx, rx, kept: 0, _map: map, _fds: fds, _sock: sock })
    }
    fn connect(a: &Args, pol: Policy) -> Result<Self> {
        let sock = unix_connect(libc::SOCK_STREAM, &a.path("s"))?;
        let fd =
            ck(unsafe { libc::memfd_create(c"peers".as_ptr(), libc::MFD_CLOEXEC) } as isize, "memfd_create")?;
        let fd: OwnedFd = unsafe { std::os::fd::FromRawFd::from_raw_fd(fd as RawFd) };
        ck(
            unsafe { libc::ftruncate(fd.as_raw_fd(), 2 * (CTL + ring_bytes()) as i64) } as isize,
            "ftruncate",
        )?;
        let mut fds = vec![fd];
        if pol.wake == Wake::EventFd {
            for _ in 0..4 {
                fds.push(eventfd()?);
            }
        }
        let raw: Vec<RawFd> = fds.iter().map(|f| f.as_raw_fd()).collect();
        send_fds(sock.as_raw_fd(), &raw)?;
        Self::build(sock, fds, false, pol)
    }
    fn accept(l: &OwnedFd, pol: Policy) -> Result<Self> {
        let sock = accept(l, 0)?;
        let fds = recv_fds(sock.as_raw_fd(), if pol.wake == Wake::EventFd { 5 } else { 1 })?;
        Self::build(sock, fds, true, pol)
    }
}

impl Conn for ShmConn {
    #[inline]
    fn send(&mut self, m: &[u8]) -> Result<()> {
        self.tx.send(m, true);
        Ok(())
    }
    #[inline]
    fn send_more(&mut self, m: &[u8]) -> Result<()> {
        if !self.tx.pol.batch {
            return self.send(m);
        }
        self.tx.send(m, false);
        self.kept += m.len();
        if self.kept >= 4096 {
            self.flush()?;
        }
        Ok(())
    }
    fn flush(&mut self) -> Result<()> {
        self.tx.publish();
        self.kept = 0;
        Ok(())
    }
    #[inline]
    fn recv(&mut self, buf: &mut Vec<u8>) -> Result<Head> {
        self.rx.recv(buf);
        Head::of(buf)
    }
}

pub struct Shm {
    name: &'static str,
    note: &'static str,
    pol: Policy,
    churn: bool,
}

pub static SPIN: Shm = Shm {
    name: "raw-shm-spin",
    note: "memfd SPSC ring, copy in/out, pure busy-spin",
    pol: Policy {
        wake: Wake::Never,
        spin: Duration::ZERO,
        yields: 0,
        adapt: false,
        stream_in: false,
        batch: false,
    },
    churn: false,
};
pub static FUTEX: Shm = Shm {
    name: "raw-shm-futex",
    note: "the same ring, spin up to 50 us, then futex",
    pol: Policy {
        wake: Wake::Futex,
        spin: Duration::from_micros(50),
        yields: 0,
        adapt: false,
        stream_in: false,
        batch: false,
    },
    churn: true,
};
pub static FUTEX0: Shm = Shm {
    name: "raw-shm-futex0",
    note: "the same ring, futex at once, no spin",
    pol: Policy {
        wake: Wake::Futex,
        spin: Duration::ZERO,
        yields: 0,
        adapt: false,
        stream_in: false,
        batch: false,
    },
    churn: false,
};
pub static EVENTFD: Shm = Shm {
    name: "raw-shm-eventfd",
    note: "the same ring, spin up to 50 us, then blocking eventfd read",
    pol: Policy {
        wake: Wake::EventFd,
        spin: Duration::from_micros(50),
        yields: 0,
        adapt: false,
        stream_in: false,
        batch: false,
    },
    churn: false,
};
pub static EVENTFD0: Shm = Shm {
    name: "raw-shm-eventfd0",
    note: "the same ring, eventfd at once, no spin",
    pol: Policy {
        wake: Wake::EventFd,
        spin: Duration::ZERO,
        yields: 0,
        adapt: false,
        stream_in: false,
        batch: false,
    },
    churn: false,
};

pub static YIELD: Shm = Shm {
    name: "raw-shm-yield",
    note: "the same ring, spin up to 5 us, then 20 sched_yield, then futex",
    pol: Policy {
        wake: Wake::Futex,
        spin: Duration::from_micros(5),
        yields: 20,
        adapt: false,
        stream_in: false,
        batch: false,
    },
    churn: false,
};
pub static BATCH: Shm = Shm {
    name: "raw-shm-batch",
    note: "raw-shm-futex, publishing 4 KiB of small messages at a time",
    pol: Policy {
        wake: Wake::Futex,
        spin: Duration::from_micros(50),
        yields: 0,
        adapt: false,
        stream_in: false,
        batch: true,
    },
    churn: false,
};
pub static STREAMED: Shm = Shm {
    name: "raw-shm-nt",
    note: "raw-shm-futex with non-temporal stores on the way in (above 32 KiB)",
    pol: Policy {
        wake: Wake::Futex,
        spin: Duration::from_micros(50),
        yields: 0,
        adapt: false,
        stream_in: true,
        batch: false,
    },
    churn: false,
};
pub static ADAPT: Shm = Shm {
    name: "raw-shm-adapt",
    note: "the same ring, spin up to 25 us only while spinning pays, else futex at once",
    pol: Policy {
        wake: Wake::Futex,
        spin: Duration::from_micros(25),
        yields: 0,
        adapt: true,
        stream_in: false,
        batch: false,
    },
    churn: false,
};

impl Peer for Shm {
    fn name(&self) -> &'static str {
        self.name
    }
    fn raw(&self) -> bool {
        true
    }
    fn note(&self) -> &'static str {
        self.note
    }
    fn needs_two_cores(&self) -> bool {
        self.pol.wake == Wake::Never
    }
    fn supports(&self, w: Workload, size: usize) -> bool {
        match w {
            Workload::PingPong | Workload::Stream if self.pol.stream_in => size > 32 << 10,
            Workload::PingPong if self.pol.batch => false,
            Workload::PingPong | Workload::Stream => !self.pol.batch || size <= 4096,
            Workload::Churn => self.churn,
            Workload::FanIn => false,
        }
    }
    fn serve(&self, a: &Args) -> Result<()> {
        let l = unix_listen(libc::SOCK_STREAM, &a.path("s"))?;
        a.ready();
        if a.workload == Workload::Churn {
            let mut b = scratch(64);
            loop {
                ShmConn::accept(&l, self.pol)?.echo(&mut b)?;
            }
        }
        drive_server(&mut ShmConn::accept(&l, self.pol)?, a)
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        if a.workload == Workload::Churn {
            let mut b = scratch(64);
            return drive_churn(a, |m, _| {
                let mut c = ShmConn::connect(a, self.pol)?;
                c.send(m)?;
                c.recv(&mut b)?;
                Ok(())
            });
        }
        drive_client(&mut ShmConn::connect(a, self.pol)?, a)
    }
}

// ---------------------------------------------------------------- slot ring

/// Fixed slots with the ready flag in the slot's own first line: a small message moves in
/// one cache line (two at 64 B), no separate index line to fetch. The latency floor.
pub struct Slot;

const SLOTS: usize = 64;

#[repr(C, align(64))]
struct SlotHdr {
    /// lap number + 1 when full, 0 when free.
    turn: AtomicU32,
    len: u32,
}

struct SlotConn {
    base: [*mut u8; 2],
    stride: usize,
    tx: usize,
    rx: usize,
    me: usize,
    _map: Map,
}

impl SlotConn {
    fn new(fd: OwnedFd, server: bool, size: usize) -> Result<Self> {
        let stride = (8 + size).next_multiple_of(128);
        let map = Map::new(fd.as_raw_fd(), 2 * SLOTS * stride)?;
        let base = [map.p, unsafe { map.p.add(SLOTS * stride) }];
        Ok(SlotConn { base, stride, tx: 0, rx: 0, me: server as usize, _map: map })
    }
    #[inline]
    fn slot(&self, dir: usize, i: usize) -> *mut u8 {
        unsafe { self.base[dir].add((i % SLOTS) * self.stride) }
    }
}

impl Conn for SlotConn {
    #[inline]
    fn send(&mut self, m: &[u8]) -> Result<()> {
        let p = self.slot(self.me, self.tx);
        let h = unsafe { &*(p as *const SlotHdr) };
        while h.turn.load(Acquire) != 0 {
            spin_loop();
        }
        unsafe {
            (*(p as *mut SlotHdr)).len = m.len() as u32;
            std::ptr::copy_nonoverlapping(m.as_ptr(), p.add(8), m.len());
        }
        h.turn.store(1, Release);
        self.tx += 1;
        Ok(())
    }
    #[inline]
    fn recv(&mut self, buf: &mut Vec<u8>) -> Result<Head> {
        let p = self.slot(1 - self.me, self.rx);
        let h = unsafe { &*(p as *const SlotHdr) };
        while h.turn.load(Acquire) == 0 {
            spin_loop();
        }
        let n = h.len as usize;
        set_len(buf, n);
        unsafe { std::ptr::copy_nonoverlapping(p.add(8), buf.as_mut_ptr(), n) };
        h.turn.store(0, Release);
        self.rx += 1;
        Head::of(buf)
    }
}

impl Peer for Slot {
    fn name(&self) -> &'static str {
        "raw-shm-slot"
    }
    fn raw(&self) -> bool {
        true
    }
    fn note(&self) -> &'static str {
        "memfd, 64 fixed slots with in-slot ready flag, copy in/out, pure busy-spin"
    }
    fn needs_two_cores(&self) -> bool {
        true
    }
    fn supports(&self, w: Workload, size: usize) -> bool {
        matches!(w, Workload::PingPong | Workload::Stream) && size <= 4096
    }
    fn serve(&self, a: &Args) -> Result<()> {
        let l = unix_listen(libc::SOCK_STREAM, &a.path("s"))?;
        a.ready();
        let s = accept(&l, 0)?;
        let fd = recv_fds(s.as_raw_fd(), 1)?.remove(0);
        drive_server(&mut SlotConn::new(fd, true, a.size)?, a)
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        let s = unix_connect(libc::SOCK_STREAM, &a.path("s"))?;
        let fd =
            ck(unsafe { libc::memfd_create(c"peers".as_ptr(), libc::MFD_CLOEXEC) } as isize, "memfd_create")?;
        let fd: OwnedFd = unsafe { std::os::fd::FromRawFd::from_raw_fd(fd as RawFd) };
        let stride = (8 + a.size).next_multiple_of(128);
        ck(unsafe { libc::ftruncate(fd.as_raw_fd(), (2 * SLOTS * stride) as i64) } as isize, "ftruncate")?;
        send_fds(s.as_raw_fd(), &[fd.as_raw_fd()])?;
        drive_client(&mut SlotConn::new(fd, false, a.size)?, a)
    }
}
