//! What connecting costs at least: the system calls that a hobnob connection needs on both sides, by hand, with
//! frames of the same sizes and the same checks, on the same file system. One connection after the other: find the
//! server, connect, handshake, one echo, goodbye.
//!
//! A system call belongs here if hobnob would break a promise without it. README.md has the list.

use crate::core::*;
use crate::sys::*;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

// ---------------------------------------------------------------- timing

/// One system call of a connection, or two that belong together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    /// Median, in nanoseconds.
    pub ns: u64,
    /// In which part of the connections it happened.
    pub share: f64,
}

/// Times steps, if it is on. In the churn rows it is off.
#[derive(Default)]
pub struct Meter {
    on: bool,
    connections: u64,
    /// In the order in which they happen, also those that do not happen every time.
    steps: Vec<(&'static str, Vec<u64>)>,
    /// Where the next one is to be looked for first.
    next: usize,
}

impl Meter {
    fn on() -> Self {
        Meter { on: true, ..Self::default() }
    }

    #[inline]
    fn step<R>(&mut self, name: &'static str, call: impl FnOnce() -> Result<R>) -> Result<R> {
        if !self.on {
            return call().context(name);
        }
        let start = Instant::now();
        let result = call();
        let took = start.elapsed().as_nanos() as u64;
        let at = self.steps.iter().position(|(known, _)| *known == name);
        let at = at.unwrap_or_else(|| {
            self.steps.insert(self.next, (name, Vec::new()));
            self.next
        });
        self.steps[at].1.push(took);
        self.next = at + 1;
        result.context(name)
    }

    /// What was measured after the first tenth of the connections, which warms up.
    fn summary(&self) -> Vec<Step> {
        let median = |times: &[u64]| {
            let mut v = times[times.len() / 10..].to_vec();
            v.sort_unstable();
            v[v.len() / 2]
        };
        self.steps
            .iter()
            .map(|(name, times)| Step {
                name: (*name).into(),
                ns: median(times),
                share: times.len() as f64 / self.connections as f64,
            })
            .collect()
    }
}

// ---------------------------------------------------------------- frames

const DATA: u8 = 1;
const GOODBYE: u8 = 2;
const HELLO: u8 = 7;
const VERDICT: u8 = 8;
const READY: u8 = 9;
const HEADER: usize = 8;
/// Magic, version, scheme, limit, schema: what both first words begin with.
const TERMS: usize = 29;
const NONCE: usize = 16;

type Nonce = [u8; NONCE];

fn frame(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut out = (body.len() as u32).to_le_bytes().to_vec();
    out.extend([kind, 0, 0, 0]);
    out.extend(body);
    out
}

fn terms() -> [u8; TERMS] {
    let mut terms = [0; TERMS];
    terms[..6].copy_from_slice(b"hobnob");
    terms[6] = 1;
    terms[8..12].copy_from_slice(b"unix");
    terms[16..20].copy_from_slice(&(16u32 << 20).to_le_bytes());
    terms
}

/// The body of a whole frame of this kind.
fn body(bytes: &[u8], kind: u8) -> Result<&[u8]> {
    ensure!(bytes.len() >= HEADER && bytes[4] == kind, "expected a frame of kind {kind}");
    let length = u32::from_le_bytes(bytes[..4].try_into()?) as usize;
    ensure!(bytes.len() == HEADER + length, "a frame in pieces: {} of {length} bytes", bytes.len());
    Ok(&bytes[HEADER..])
}

fn has_terms(body: &[u8]) -> Result<&[u8]> {
    ensure!(body.len() > TERMS && body[..TERMS] == terms(), "other terms");
    Ok(&body[TERMS..])
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let n = ck(unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), N, 0) }, "getrandom")?;
    ensure!(n == N, "short getrandom");
    Ok(bytes)
}

// ---------------------------------------------------------------- files

const DIRECTORY: i32 = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;

fn c(name: &str) -> CString {
    CString::new(name).expect("names have no NUL")
}

fn stat_of(fd: RawFd, name: &CStr, flags: i32) -> Result<libc::stat> {
    let mut st: libc::stat = unsafe { std::mem::zeroed() };
    ck(unsafe { libc::fstatat(fd, name.as_ptr(), &mut st, flags) } as isize, "fstatat")?;
    Ok(st)
}

fn stat_fd(fd: RawFd) -> Result<libc::stat> {
    stat_of(fd, c"", libc::AT_EMPTY_PATH)
}

/// Of our own uid, and nobody else can write to it.
fn trusted(fd: RawFd, uid: u32) -> Result<()> {
    let st = stat_fd(fd)?;
    ensure!(st.st_uid == uid && st.st_mode & 0o022 == 0, "a directory not to be believed");
    Ok(())
}

fn unlink_at(dir: RawFd, name: &CStr) -> Result<()> {
    ck(unsafe { libc::unlinkat(dir, name.as_ptr(), 0) } as isize, "unlinkat")?;
    Ok(())
}

fn through(dir: &OwnedFd, name: &str) -> PathBuf {
    format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()).into()
}

fn read(fd: RawFd, buf: &mut [u8]) -> Result<usize> {
    ck(unsafe { libc::read(fd, buf.as_mut_ptr().cast(), buf.len()) }, "read")
}

fn write(fd: RawFd, bytes: &[u8]) -> Result<()> {
    let n = ck(unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) }, "write")?;
    ensure!(n == bytes.len(), "short write");
    Ok(())
}

/// A header and a message in one gathered write. SIGPIPE is ignored in these processes.
fn write_data(fd: RawFd, m: &[u8]) -> Result<()> {
    let header = frame(DATA, &[]);
    let mut header: [u8; HEADER] = header[..].try_into()?;
    header[..4].copy_from_slice(&(m.len() as u32).to_le_bytes());
    let iov = [
        libc::iovec { iov_base: header.as_ptr() as *mut _, iov_len: HEADER },
        libc::iovec { iov_base: m.as_ptr() as *mut _, iov_len: m.len() },
    ];
    let n = ck(unsafe { libc::writev(fd, iov.as_ptr(), 2) }, "writev")?;
    ensure!(n == HEADER + m.len(), "short write");
    Ok(())
}

fn poll_in(fds: &[(RawFd, i16)]) -> Result<()> {
    let mut fds: Vec<_> = fds.iter().map(|&(fd, events)| libc::pollfd { fd, events, revents: 0 }).collect();
    let n = ck(unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as u64, 5000) } as isize, "poll")?;
    ensure!(n > 0, "nothing came in 5 s");
    Ok(())
}

// ---------------------------------------------------------------- both roads

#[derive(Clone, Copy, PartialEq)]
enum Road {
    Unix,
    Fifo,
}

pub struct Steps {
    name: &'static str,
    note: &'static str,
    road: Road,
}

pub static UNIX: Steps = Steps {
    name: "raw-unix-steps",
    note: "the steps of a hobnob connection over unix, by hand",
    road: Road::Unix,
};
pub static FIFO: Steps = Steps {
    name: "raw-fifo-steps",
    note: "the steps of a hobnob connection over fifo, by hand",
    road: Road::Fifo,
};

/// What a client knows before it begins.
struct Client {
    directory: CString,
    uid: u32,
    pid: u32,
    buf: [u8; 1024],
}

impl Client {
    fn new(a: &Args) -> Result<Self> {
        Ok(Client {
            directory: CString::new(a.path("steps").as_os_str().as_bytes())?,
            uid: unsafe { libc::geteuid() },
            pid: std::process::id(),
            buf: [0; 1024],
        })
    }

    /// The server's folder, with its record read.
    fn find(&mut self, t: &mut Meter) -> Result<OwnedFd> {
        let here = libc::AT_FDCWD;
        let directory = self.directory.clone();
        let dir = t.step("openat the directory of names", || open_at(here, &directory, DIRECTORY))?;
        let folder =
            t.step("openat the server's folder", || open_at(dir.as_raw_fd(), c"peers", DIRECTORY))?;
        t.step("fstat the directory: whose?", || trusted(dir.as_raw_fd(), self.uid))?;
        t.step("fstat the folder: whose?", || trusted(folder.as_raw_fd(), self.uid))?;
        let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOFOLLOW;
        let record = t.step("openat the record", || open_at(folder.as_raw_fd(), c"record", flags))?;
        let n = t.step("read the record", || read(record.as_raw_fd(), &mut self.buf))?;
        ensure!(self.buf[..n].starts_with(b"hobnob=1\ntransport="), "no record");
        t.step("close the record", || close(record))?;
        t.step("close the directory", || close(dir))?;
        Ok(folder)
    }

    fn greeted(&self, n: usize, nonce: &Nonce) -> Result<Vec<u8>> {
        let rest = has_terms(body(&self.buf[..n], VERDICT)?)?;
        ensure!(rest[0] == 0 && rest[1..=NONCE] == *nonce, "no welcome");
        Ok(frame(READY, &[&rest[1 + NONCE..]]))
    }

    fn echoed(&self, n: usize, m: &[u8]) -> Result<()> {
        ensure!(body(&self.buf[..n], DATA)? == m, "wrong echo");
        Ok(())
    }

    fn unix(&mut self, t: &mut Meter, m: &[u8]) -> Result<()> {
        let folder = self.find(t)?;
        let s = t.step("socket", || unix_socket(libc::SOCK_STREAM | libc::SOCK_NONBLOCK))?;
        let fd = s.as_raw_fd();
        let clients = t.step("openat clients/", || open_at(folder.as_raw_fd(), c"clients", DIRECTORY))?;
        // The name's random part and the nonce of the hello.
        let random: [u8; 2 * NONCE] = t.step("getrandom", random)?;
        let (id, nonce) = random.split_at(NONCE);
        let nonce: Nonce = nonce.try_into()?;
        let name = format!("{}-{:032x}", self.pid, u128::from_be_bytes(id.try_into()?));
        t.step("bind the client file", || unix_bind_on(&s, &through(&clients, &name)))?;
        let c_name = c(&name);
        t.step("fchmodat the client file", || {
            ck(unsafe { libc::fchmodat(clients.as_raw_fd(), c_name.as_ptr(), 0o700, 0) } as isize, "fchmodat")
        })?;
        t.step("connect", || unix_connect_on(&s, &through(&folder, "sock")))?;
        t.step("ioctl: blocking from here on", || blocking_by_ioctl(fd))?;
        t.step("SO_PEERCRED: who serves?", || {
            ensure!(peer_cred(fd)?.uid == self.uid, "a stranger's server");
            Ok(())
        })?;
        t.step("send the hello", || send(fd, &frame(HELLO, &[&terms(), &nonce])))?;
        t.step("poll for the verdict (waits)", || poll_in(&[(fd, libc::POLLIN)]))?;
        let n = t.step("recv the verdict", || recv(fd, &mut self.buf))?;
        let ready = self.greeted(n, &nonce)?;
        t.step("send the ready", || send(fd, &ready))?;
        t.step("close the folder", || close(folder))?;
        t.step("close clients/", || close(clients))?;
        t.step("send 64 B", || write_data(fd, m))?;
        let n = t.step("recv 64 B (waits)", || recv(fd, &mut self.buf))?;
        self.echoed(n, m)?;
        t.step("send the goodbye", || send(fd, &frame(GOODBYE, &[])))?;
        t.step("close the socket", || close(s))
    }

    fn fifo(&mut self, t: &mut Meter, m: &[u8]) -> Result<()> {
        let folder = self.find(t)?;
        let nonblocking = libc::O_NONBLOCK | libc::O_NOFOLLOW;
        let flags = libc::O_WRONLY | nonblocking;
        let rendezvous = t.step("openat the rendezvous", || open_at(folder.as_raw_fd(), c"fifo", flags))?;
        t.step("fstat the rendezvous: whose?", || {
            let st = stat_fd(rendezvous.as_raw_fd())?;
            ensure!(st.st_mode & libc::S_IFMT == libc::S_IFIFO && st.st_uid == self.uid, "no FIFO of ours");
            Ok(())
        })?;
        let clients = t.step("openat clients/", || open_at(folder.as_raw_fd(), c"clients", DIRECTORY))?;
        let dir = clients.as_raw_fd();
        let random: [u8; 2 * NONCE] = t.step("getrandom", random)?;
        let (id, nonce) = random.split_at(NONCE);
        let nonce: Nonce = nonce.try_into()?;
        let stem = format!("{}-{:032x}", self.pid, u128::from_be_bytes(id.try_into()?));
        let (c2s, s2c) = (c(&format!("{stem}.c2s")), c(&format!("{stem}.s2c")));
        t.step("mkfifoat, client to server", || make_fifo_at(dir, &c2s))?;
        t.step("mkfifoat, server to client", || make_fifo_at(dir, &s2c))?;
        let r = t.step("openat the end to read", || open_at(dir, &s2c, libc::O_RDONLY | nonblocking))?;
        let own =
            t.step("openat a reader of our own", || open_at(dir, &c2s, libc::O_RDONLY | nonblocking))?;
        let w = t.step("openat the end to write", || open_at(dir, &c2s, libc::O_WRONLY | nonblocking))?;
        let (rfd, wfd) = (r.as_raw_fd(), w.as_raw_fd());
        let mut knock = [0; 64];
        knock[..8].copy_from_slice(b"hobnobF1");
        knock[8..12].copy_from_slice(&self.pid.to_le_bytes());
        knock[12..44].copy_from_slice(&random);
        t.step("write the knock", || write(rendezvous.as_raw_fd(), &knock))?;
        t.step("write the hello", || write(wfd, &frame(HELLO, &[&terms(), &nonce])))?;
        t.step("poll for the verdict (waits)", || {
            poll_in(&[(rendezvous.as_raw_fd(), 0), (rfd, libc::POLLIN)])
        })?;
        let n = t.step("read the verdict", || read(rfd, &mut self.buf))?;
        let ready = self.greeted(n, &nonce)?;
        t.step("write the ready", || write(wfd, &ready))?;
        t.step("close the rendezvous", || close(rendezvous))?;
        t.step("close the folder", || close(folder))?;
        t.step("close our own reader", || close(own))?;
        t.step("close clients/", || close(clients))?;
        t.step("write 64 B", || write_data(wfd, m))?;
        t.step("poll for 64 B (waits)", || poll_in(&[(rfd, libc::POLLIN)]))?;
        let n = t.step("read 64 B", || read(rfd, &mut self.buf))?;
        self.echoed(n, m)?;
        t.step("write the goodbye", || write(wfd, &frame(GOODBYE, &[])))?;
        t.step("close the end to write", || close(w))?;
        t.step("close the end to read", || close(r))
    }
}

/// A server, and what it holds for as long as it lives.
struct Server {
    _folder: OwnedFd,
    clients: OwnedFd,
    listener: OwnedFd,
    _writer: Option<OwnedFd>,
    epoll: Epoll,
    uid: u32,
    buf: [u8; 1024],
}

const LISTENER: u64 = 0;
const HALF_OPEN: u64 = 1;

impl Server {
    fn new(a: &Args, road: Road) -> Result<Self> {
        let folder_path = a.path("steps/peers");
        let clients_path = folder_path.join("clients");
        for path in [a.path("steps"), folder_path.clone(), clients_path.clone()] {
            std::fs::create_dir(&path)?;
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        }
        let at = |path: &Path| open(path, DIRECTORY);
        let (folder, clients) = (at(&folder_path)?, at(&clients_path)?);
        let (listener, writer) = match road {
            Road::Unix => {
                let s = unix_listen(libc::SOCK_STREAM | libc::SOCK_NONBLOCK, &through(&folder, "sock"))?;
                (s, None)
            }
            Road::Fifo => {
                let path = folder_path.join("fifo");
                mkfifo(&path)?;
                let reader = open(&path, libc::O_RDONLY | libc::O_NONBLOCK)?;
                (reader, Some(open(&path, libc::O_WRONLY | libc::O_NONBLOCK)?))
            }
        };
        let name = if road == Road::Unix { "unix" } else { "fifo" };
        let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let uid = unsafe { libc::geteuid() };
        let record =
            format!("hobnob=1\ntransport={name}\npid={}\nuid={uid}\nsince={since}\n", std::process::id());
        std::fs::write(folder_path.join("record"), record)?;
        let epoll = Epoll::new()?;
        epoll.add(listener.as_raw_fd(), LISTENER, libc::EPOLLIN)?;
        Ok(Server { _folder: folder, clients, listener, _writer: writer, epoll, uid, buf: [0; 1024] })
    }

    /// Waits until this one has something to say.
    fn wait(&self, token: u64) -> Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        loop {
            if self.epoll.wait(&mut events)?.iter().any(|event| event.u64 == token) {
                return Ok(());
            }
        }
    }

    fn verdict(&self, n: usize, nonce: &Nonce) -> Result<Vec<u8>> {
        let theirs = has_terms(body(&self.buf[..n], HELLO)?)?;
        ensure!(theirs.len() == NONCE, "no hello");
        Ok(frame(VERDICT, &[&terms(), &[0], theirs, nonce]))
    }

    /// The first word of a client, which mostly is there by now.
    fn first(
        &mut self,
        t: &mut Meter,
        fd: RawFd,
        get: fn(RawFd, &mut [u8]) -> Result<usize>,
    ) -> Result<usize> {
        let mut missing = false;
        let n = t.step("recv the hello", || match get(fd, &mut self.buf) {
            Err(_) if errno() == libc::EAGAIN => {
                missing = true;
                Ok(0)
            }
            got => got,
        })?;
        if !missing {
            return Ok(n);
        }
        t.step("the hello was not there: epoll add, wait, del, recv", || {
            self.epoll.add(fd, HALF_OPEN, libc::EPOLLIN)?;
            self.wait(HALF_OPEN)?;
            self.epoll.del(fd)?;
            get(fd, &mut self.buf)
        })
    }

    /// From the hello to the ready. Gives how much of what comes after it was read along, at the buffer's start.
    fn handshake(
        &mut self,
        t: &mut Meter,
        (r, w): (RawFd, RawFd),
        get: fn(RawFd, &mut [u8]) -> Result<usize>,
        put: fn(RawFd, &[u8]) -> Result<()>,
    ) -> Result<usize> {
        let n = self.first(t, r, get)?;
        let nonce: Nonce = t.step("getrandom", random)?;
        let verdict = self.verdict(n, &nonce)?;
        t.step("send the verdict", || put(w, &verdict))?;
        t.step("epoll_ctl add", || self.epoll.add(r, HALF_OPEN, libc::EPOLLIN))?;
        t.step("epoll_wait for the ready (waits)", || self.wait(HALF_OPEN))?;
        t.step("epoll_ctl del", || self.epoll.del(r))?;
        let n = t.step("recv the ready", || get(r, &mut self.buf))?;
        let end = n.min(HEADER + NONCE);
        ensure!(body(&self.buf[..end], READY)? == nonce, "another nonce");
        self.buf.copy_within(end..n, 0);
        Ok(n - end)
    }

    fn unix(&mut self, t: &mut Meter) -> Result<()> {
        t.step("epoll_wait for a client (waits)", || self.wait(LISTENER))?;
        let (s, from) = t.step("accept4", || accept_from(&self.listener))?;
        let fd = s.as_raw_fd();
        let cred = t.step("SO_PEERCRED: who knocks?", || peer_cred(fd))?;
        ensure!(cred.uid == self.uid, "a stranger");
        let name = from.rsplit('/').next().unwrap_or_default();
        let pid = name.split_once('-').and_then(|(pid, _)| pid.parse::<i32>().ok());
        ensure!(pid == Some(cred.pid), "another process's file: {from}");
        let (dir, name) = (self.clients.as_raw_fd(), c(name));
        t.step("fstatat the client file", || {
            let st = stat_of(dir, &name, libc::AT_SYMLINK_NOFOLLOW)?;
            let age = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() as i64 - st.st_mtime;
            let right = st.st_mode == libc::S_IFSOCK | 0o700 && st.st_nlink == 1 && st.st_uid == cred.uid;
            ensure!(right && (-2..=10).contains(&age), "not a client's file");
            Ok(())
        })?;
        t.step("unlinkat the client file", || unlink_at(dir, &name))?;
        let mut n = self.handshake(t, (fd, fd), recv_now, send)?;
        if n == 0 {
            n = t.step("recv 64 B (waits)", || recv(fd, &mut self.buf))?;
        }
        let m = body(&self.buf[..n], DATA)?.to_vec();
        t.step("send 64 B", || write_data(fd, &m))?;
        let n = t.step("recv the goodbye (waits)", || recv(fd, &mut self.buf))?;
        body(&self.buf[..n], GOODBYE)?;
        // Nobody may be there any more to hear it.
        t.step("send the goodbye", || Ok(send(fd, &frame(GOODBYE, &[])).is_ok()))?;
        t.step("close the socket", || close(s))
    }

    fn fifo(&mut self, t: &mut Meter) -> Result<()> {
        t.step("epoll_wait for a client (waits)", || self.wait(LISTENER))?;
        let mut knock = [0; 64];
        let n = t.step("read the knock", || read(self.listener.as_raw_fd(), &mut knock))?;
        ensure!(n == knock.len() && knock.starts_with(b"hobnobF1"), "no knock");
        let pid = u32::from_le_bytes(knock[8..12].try_into()?);
        let stem = format!("{pid}-{:032x}", u128::from_be_bytes(knock[12..28].try_into()?));
        let (c2s, s2c) = (c(&format!("{stem}.c2s")), c(&format!("{stem}.s2c")));
        let dir = self.clients.as_raw_fd();
        let pin = libc::O_PATH | libc::O_NOFOLLOW;
        let first = t.step("openat O_PATH, client to server", || open_at(dir, &c2s, pin))?;
        let second = t.step("openat O_PATH, server to client", || open_at(dir, &s2c, pin))?;
        t.step("fstat both: private FIFOs?", || {
            for fd in [&first, &second] {
                let st = stat_fd(fd.as_raw_fd())?;
                let kind = st.st_mode & libc::S_IFMT == libc::S_IFIFO;
                ensure!(kind && st.st_nlink == 1 && st.st_mode & 0o006 == 0, "no private FIFO");
            }
            Ok(())
        })?;
        let reopen = |fd: &OwnedFd, access: i32| {
            open(Path::new(&format!("/proc/self/fd/{}", fd.as_raw_fd())), access | libc::O_NONBLOCK)
        };
        let r = t.step("open the end to read", || reopen(&first, libc::O_RDONLY))?;
        let w = t.step("open the end to write", || reopen(&second, libc::O_WRONLY))?;
        t.step("unlinkat, client to server", || unlink_at(dir, &c2s))?;
        t.step("unlinkat, server to client", || unlink_at(dir, &s2c))?;
        t.step("fstat both: no other name?", || {
            for fd in [&first, &second] {
                ensure!(stat_fd(fd.as_raw_fd())?.st_nlink == 0, "a FIFO with another name");
            }
            Ok(())
        })?;
        t.step("close both O_PATH", || close(first).and_then(|()| close(second)))?;
        let (rfd, wfd) = (r.as_raw_fd(), w.as_raw_fd());
        let mut n = self.handshake(t, (rfd, wfd), read, write)?;
        if n == 0 {
            t.step("poll for 64 B (waits)", || poll_in(&[(rfd, libc::POLLIN)]))?;
            n = t.step("read 64 B", || read(rfd, &mut self.buf))?;
        }
        let m = body(&self.buf[..n], DATA)?.to_vec();
        t.step("write 64 B", || write_data(wfd, &m))?;
        t.step("poll for the goodbye (waits)", || poll_in(&[(rfd, libc::POLLIN)]))?;
        let n = t.step("read the goodbye", || read(rfd, &mut self.buf))?;
        body(&self.buf[..n], GOODBYE)?;
        t.step("write the goodbye", || Ok(write(wfd, &frame(GOODBYE, &[])).is_ok()))?;
        t.step("close the end to write", || close(w))?;
        t.step("close the end to read", || close(r))
    }
}

// ---------------------------------------------------------------- sockets

fn send(fd: RawFd, bytes: &[u8]) -> Result<()> {
    let n = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
    ensure!(ck(n, "send")? == bytes.len(), "short send");
    Ok(())
}

fn recv(fd: RawFd, buf: &mut [u8]) -> Result<usize> {
    let n = ck(unsafe { libc::recv(fd, buf.as_mut_ptr().cast(), buf.len(), 0) }, "recv")?;
    ensure!(n > 0, "closed");
    Ok(n)
}

/// Without waiting, though the socket blocks.
fn recv_now(fd: RawFd, buf: &mut [u8]) -> Result<usize> {
    ck(unsafe { libc::recv(fd, buf.as_mut_ptr().cast(), buf.len(), libc::MSG_DONTWAIT) }, "recv")
}

// ---------------------------------------------------------------- the rows, and the same with a clock

impl Steps {
    fn connect(&self, client: &mut Client, t: &mut Meter, m: &[u8]) -> Result<()> {
        (t.connections, t.next) = (t.connections + 1, 0);
        match self.road {
            Road::Unix => client.unix(t, m),
            Road::Fifo => client.fifo(t, m),
        }
    }

    fn accept(&self, server: &mut Server, t: &mut Meter) -> Result<()> {
        (t.connections, t.next) = (t.connections + 1, 0);
        match self.road {
            Road::Unix => server.unix(t),
            Road::Fifo => server.fifo(t),
        }
    }

    /// The server of `peers steps`: so many connections, then what each step of them took.
    pub fn timed_server(&self, a: &Args) -> Result<Vec<Step>> {
        let mut server = Server::new(a, self.road)?;
        a.ready();
        let mut t = Meter::on();
        for _ in 0..a.conns {
            self.accept(&mut server, &mut t)?;
        }
        Ok(t.summary())
    }

    /// And its client.
    pub fn timed_client(&self, a: &Args) -> Result<Vec<Step>> {
        let (mut client, mut t, mut m) = (Client::new(a)?, Meter::on(), message(64));
        for seq in 0..a.conns {
            stamp(&mut m, seq as u64, false);
            self.connect(&mut client, &mut t, &m)?;
        }
        Ok(t.summary())
    }
}

impl Peer for Steps {
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
        w == Workload::Churn
    }
    fn serve(&self, a: &Args) -> Result<()> {
        let mut server = Server::new(a, self.road)?;
        a.ready();
        let mut t = Meter::default();
        loop {
            self.accept(&mut server, &mut t)?;
        }
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        let (mut client, mut t) = (Client::new(a)?, Meter::default());
        drive_churn(a, |m, _| self.connect(&mut client, &mut t, m))
    }
}
