//! Thin wrappers over libc: sockets, descriptor passing, futex, epoll.

use anyhow::{Context, Result, bail};
use std::ffi::{CStr, CString};
use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::AtomicU32;

pub fn ck(r: isize, what: &'static str) -> Result<usize> {
    if r < 0 { Err(Error::last_os_error()).context(what) } else { Ok(r as usize) }
}

pub fn errno() -> i32 {
    Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn addr(p: &Path) -> Result<(libc::sockaddr_un, libc::socklen_t)> {
    let mut a: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    a.sun_family = libc::AF_UNIX as u16;
    let b = p.as_os_str().as_bytes();
    if b.len() >= a.sun_path.len() {
        bail!("socket path too long");
    }
    for (d, s) in a.sun_path.iter_mut().zip(b) {
        *d = *s as libc::c_char;
    }
    Ok((a, (std::mem::offset_of!(libc::sockaddr_un, sun_path) + b.len() + 1) as u32))
}

pub fn unix_socket(kind: i32) -> Result<OwnedFd> {
    let fd = ck(unsafe { libc::socket(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0) } as isize, "socket")?;
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

pub fn unix_bind_on(s: &OwnedFd, p: &Path) -> Result<()> {
    let (a, l) = addr(p)?;
    ck(unsafe { libc::bind(s.as_raw_fd(), (&raw const a).cast(), l) } as isize, "bind")?;
    Ok(())
}

pub fn unix_bind(kind: i32, p: &Path) -> Result<OwnedFd> {
    let s = unix_socket(kind)?;
    unix_bind_on(&s, p)?;
    Ok(s)
}

pub fn unix_listen(kind: i32, p: &Path) -> Result<OwnedFd> {
    let s = unix_bind(kind, p)?;
    ck(unsafe { libc::listen(s.as_raw_fd(), 1024) } as isize, "listen")?;
    Ok(s)
}

pub fn unix_connect_on(s: &OwnedFd, p: &Path) -> Result<()> {
    let (a, l) = addr(p)?;
    ck(unsafe { libc::connect(s.as_raw_fd(), (&raw const a).cast(), l) } as isize, "connect")?;
    Ok(())
}

pub fn unix_connect(kind: i32, p: &Path) -> Result<OwnedFd> {
    let s = unix_socket(kind)?;
    unix_connect_on(&s, p)?;
    Ok(s)
}

pub fn accept(l: &OwnedFd, flags: i32) -> Result<OwnedFd> {
    let fd = ck(
        unsafe {
            libc::accept4(
                l.as_raw_fd(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                libc::SOCK_CLOEXEC | flags,
            )
        } as isize,
        "accept",
    )?;
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Also gives the path that the other side has bound, if it has.
pub fn accept_from(l: &OwnedFd) -> Result<(OwnedFd, String)> {
    let mut a: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    let mut n = std::mem::size_of_val(&a) as libc::socklen_t;
    let fd = ck(
        unsafe { libc::accept4(l.as_raw_fd(), (&raw mut a).cast(), &mut n, libc::SOCK_CLOEXEC) } as isize,
        "accept",
    )?;
    let path = a.sun_path.iter().take_while(|b| **b != 0).map(|b| *b as u8).collect();
    Ok((unsafe { OwnedFd::from_raw_fd(fd as RawFd) }, String::from_utf8(path)?))
}

pub fn peer_cred(s: RawFd) -> Result<libc::ucred> {
    let mut c = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut n = std::mem::size_of_val(&c) as libc::socklen_t;
    let r = unsafe { libc::getsockopt(s, libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut c).cast(), &mut n) };
    ck(r as isize, "SO_PEERCRED")?;
    Ok(c)
}

pub fn set_bufs(fd: &OwnedFd, n: i32) -> Result<()> {
    for o in [libc::SO_SNDBUF, libc::SO_RCVBUF] {
        ck(
            unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, o, (&raw const n).cast(), 4) }
                as isize,
            "setsockopt",
        )?;
    }
    Ok(())
}

pub fn nonblocking(fd: RawFd) -> Result<()> {
    unsafe {
        let f = libc::fcntl(fd, libc::F_GETFL);
        ck(libc::fcntl(fd, libc::F_SETFL, f | libc::O_NONBLOCK) as isize, "fcntl")?;
    }
    Ok(())
}

pub fn blocking(fd: RawFd) -> Result<()> {
    unsafe {
        let f = libc::fcntl(fd, libc::F_GETFL);
        ck(libc::fcntl(fd, libc::F_SETFL, f & !libc::O_NONBLOCK) as isize, "fcntl")?;
    }
    Ok(())
}

/// One system call, where fcntl takes two.
pub fn blocking_by_ioctl(fd: RawFd) -> Result<()> {
    let mut off: i32 = 0;
    ck(unsafe { libc::ioctl(fd, libc::FIONBIO, &mut off) } as isize, "ioctl")?;
    Ok(())
}

pub fn close(fd: OwnedFd) -> Result<()> {
    ck(unsafe { libc::close(fd.into_raw_fd()) } as isize, "close")?;
    Ok(())
}

pub fn open_at(dir: RawFd, name: &CStr, flags: i32) -> Result<OwnedFd> {
    let fd = ck(unsafe { libc::openat(dir, name.as_ptr(), flags | libc::O_CLOEXEC) } as isize, "openat")?;
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

pub fn make_fifo_at(dir: RawFd, name: &CStr) -> Result<()> {
    ck(unsafe { libc::mkfifoat(dir, name.as_ptr(), 0o600) } as isize, "mkfifoat")?;
    Ok(())
}

fn c_path(p: &Path) -> Result<CString> {
    Ok(CString::new(p.as_os_str().as_bytes())?)
}

pub fn open(p: &Path, flags: i32) -> Result<OwnedFd> {
    let p = c_path(p)?;
    let fd = ck(unsafe { libc::open(p.as_ptr(), flags | libc::O_CLOEXEC) } as isize, "open")?;
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

pub fn mkfifo(p: &Path) -> Result<()> {
    let p = c_path(p)?;
    ck(unsafe { libc::mkfifo(p.as_ptr(), 0o600) } as isize, "mkfifo")?;
    Ok(())
}

pub fn unlink(p: &Path) -> Result<()> {
    let p = c_path(p)?;
    ck(unsafe { libc::unlink(p.as_ptr()) } as isize, "unlink")?;
    Ok(())
}

pub fn send_fds(s: RawFd, fds: &[RawFd]) -> Result<()> {
    let mut b = [1u8];
    let mut iov = libc::iovec { iov_base: b.as_mut_ptr().cast(), iov_len: 1 };
    let mut cbuf = [0u64; 16];
    unsafe {
        let mut m: libc::msghdr = std::mem::zeroed();
        m.msg_iov = &mut iov;
        m.msg_iovlen = 1;
        m.msg_control = cbuf.as_mut_ptr().cast();
        m.msg_controllen = libc::CMSG_SPACE(std::mem::size_of_val(fds) as u32) as _;
        let c = libc::CMSG_FIRSTHDR(&m);
        (*c).cmsg_level = libc::SOL_SOCKET;
        (*c).cmsg_type = libc::SCM_RIGHTS;
        (*c).cmsg_len = libc::CMSG_LEN(std::mem::size_of_val(fds) as u32) as _;
        std::ptr::copy_nonoverlapping(fds.as_ptr(), libc::CMSG_DATA(c).cast(), fds.len());
        ck(libc::sendmsg(s, &m, libc::MSG_NOSIGNAL), "sendmsg")?;
    }
    Ok(())
}

pub fn recv_fds(s: RawFd, n: usize) -> Result<Vec<OwnedFd>> {
    let mut b = [0u8];
    let mut iov = libc::iovec { iov_base: b.as_mut_ptr().cast(), iov_len: 1 };
    let mut cbuf = [0u64; 16];
    unsafe {
        let mut m: libc::msghdr = std::mem::zeroed();
        m.msg_iov = &mut iov;
        m.msg_iovlen = 1;
        m.msg_control = cbuf.as_mut_ptr().cast();
        m.msg_controllen = std::mem::size_of_val(&cbuf) as _;
        if ck(libc::recvmsg(s, &mut m, libc::MSG_CMSG_CLOEXEC), "recvmsg")? == 0 {
            bail!("closed before descriptors came");
        }
        let c = libc::CMSG_FIRSTHDR(&m);
        if c.is_null() || (*c).cmsg_type != libc::SCM_RIGHTS {
            bail!("no descriptors");
        }
        let d = libc::CMSG_DATA(c).cast::<RawFd>();
        Ok((0..n).map(|i| OwnedFd::from_raw_fd(d.add(i).read_unaligned())).collect())
    }
}

/// A shared (not process-private) futex wait.
#[inline]
pub fn futex_wait(w: &AtomicU32, expect: u32) {
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            w.as_ptr(),
            libc::FUTEX_WAIT,
            expect,
            std::ptr::null::<libc::timespec>(),
            0,
            0,
        )
    };
}

#[inline]
pub fn futex_wake(w: &AtomicU32) {
    unsafe { libc::syscall(libc::SYS_futex, w.as_ptr(), libc::FUTEX_WAKE, 1, 0, 0, 0) };
}

pub fn eventfd() -> Result<OwnedFd> {
    let fd = ck(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) } as isize, "eventfd")?;
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

pub struct Epoll(OwnedFd);

impl Epoll {
    pub fn new() -> Result<Self> {
        let fd = ck(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) } as isize, "epoll_create1")?;
        Ok(Epoll(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))
    }
    pub fn add(&self, fd: RawFd, token: u64, events: i32) -> Result<()> {
        let mut e = libc::epoll_event { events: events as u32, u64: token };
        ck(
            unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut e) } as isize,
            "epoll_ctl",
        )?;
        Ok(())
    }
    pub fn del(&self, fd: RawFd) -> Result<()> {
        let none = std::ptr::null_mut();
        ck(
            unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, none) } as isize,
            "epoll_ctl",
        )?;
        Ok(())
    }
    #[inline]
    pub fn wait<'a>(&self, ev: &'a mut [libc::epoll_event]) -> Result<&'a [libc::epoll_event]> {
        let n = ck(
            unsafe { libc::epoll_wait(self.0.as_raw_fd(), ev.as_mut_ptr(), ev.len() as i32, -1) } as isize,
            "epoll_wait",
        )?;
        Ok(&ev[..n])
    }
}

/// How many descriptors a process may have open, if it raises its soft limit.
pub fn most_descriptors() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    limit.rlim_max
}

/// Pins the calling thread.
pub fn pin(cpu: usize) {
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, std::mem::size_of_val(&set), &set);
    }
}
