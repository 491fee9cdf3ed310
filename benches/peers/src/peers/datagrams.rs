//! Plain datagrams: a server that learns from the kernel who sent each one, and answers it where it came from. The floor
//! does just that and checks nothing.

use crate::core::*;
use crate::sys::*;
use anyhow::{Result, bail};
use hobnob::datagrams::{Client, ClientOptions, Sender, Server, ServerOptions};
use hobnob::{Address, Deadline};
use std::os::fd::{AsRawFd, OwnedFd};

/// What one datagram can be with the send buffer as it is.
const LARGEST: usize = 200_000;

fn is_supported(w: Workload, size: usize) -> bool {
    matches!(w, Workload::PingPong | Workload::Stream) && size <= LARGEST
}

// ---------------------------------------------------------------- the floor

pub struct Raw;

/// recvmsg with credentials; sendto where the last one came from, or send if it is connected.
struct RawConn {
    socket: OwnedFd,
    from: libc::sockaddr_un,
    /// 0: connected.
    from_len: libc::socklen_t,
    is_server: bool,
}

impl RawConn {
    fn new(socket: OwnedFd, is_server: bool) -> Result<Self> {
        let on = 1i32;
        let size = size_of::<i32>() as u32;
        let done = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PASSCRED,
                (&raw const on).cast(),
                size,
            )
        };
        ck(done as isize, "SO_PASSCRED")?;
        Ok(Self { socket, from: unsafe { std::mem::zeroed() }, from_len: 0, is_server })
    }
}

impl Conn for RawConn {
    #[inline]
    fn send(&mut self, m: &[u8]) -> Result<()> {
        let to = if self.is_server { (&raw const self.from).cast() } else { std::ptr::null() };
        let fd = self.socket.as_raw_fd();
        let n =
            unsafe { libc::sendto(fd, m.as_ptr().cast(), m.len(), libc::MSG_NOSIGNAL, to, self.from_len) };
        if ck(n, "sendto")? != m.len() {
            bail!("short send");
        }
        Ok(())
    }
    #[inline]
    fn recv(&mut self, buf: &mut Vec<u8>) -> Result<Head> {
        let cap = buf.capacity();
        set_len(buf, cap);
        let mut iov = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: cap };
        let mut control = [0u64; 4];
        let mut m: libc::msghdr = unsafe { std::mem::zeroed() };
        m.msg_iov = &raw mut iov;
        m.msg_iovlen = 1;
        m.msg_control = control.as_mut_ptr().cast();
        m.msg_controllen = size_of_val(&control);
        if self.is_server {
            m.msg_name = (&raw mut self.from).cast();
            m.msg_namelen = size_of::<libc::sockaddr_un>() as u32;
        }
        let n = ck(unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut m, 0) }, "recvmsg")?;
        let first = unsafe { libc::CMSG_FIRSTHDR(&raw const m) };
        if first.is_null() || unsafe { (*first).cmsg_type } != libc::SCM_CREDENTIALS {
            bail!("no credentials");
        }
        if self.is_server {
            self.from_len = m.msg_namelen;
        }
        set_len(buf, n);
        Head::of(buf)
    }
}

impl Peer for Raw {
    fn name(&self) -> &'static str {
        "raw-dgram-cred"
    }
    fn raw(&self) -> bool {
        true
    }
    fn note(&self) -> &'static str {
        "AF_UNIX datagram, recvmsg with SCM_CREDENTIALS, sendto the sender, blocking"
    }
    fn supports(&self, w: Workload, size: usize) -> bool {
        is_supported(w, size)
    }
    fn serve(&self, a: &Args) -> Result<()> {
        let mut c = RawConn::new(unix_bind(libc::SOCK_DGRAM, &a.path("s"))?, true)?;
        a.ready();
        drive_server(&mut c, a)
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        let fd = unix_socket(libc::SOCK_DGRAM)?;
        unix_connect_on(&fd, &a.path("s"))?;
        // The kernel chooses an address, as for hobnob's client.
        let family = libc::AF_UNIX as libc::sa_family_t;
        let bound =
            unsafe { libc::bind(fd.as_raw_fd(), (&raw const family).cast(), size_of_val(&family) as u32) };
        ck(bound as isize, "bind")?;
        drive_client(&mut RawConn::new(fd, false)?, a)
    }
}

// ---------------------------------------------------------------- hobnob

pub struct Hobnob;

fn address(a: &Args) -> Result<Address> {
    Ok(format!("dgram:{}", a.path_str("s")).parse()?)
}

struct Serves(Server, Option<Sender>);

impl Conn for Serves {
    #[inline]
    fn send(&mut self, m: &[u8]) -> Result<()> {
        let Some(sender) = &self.1 else { bail!("nobody to answer") };
        Ok(self.0.send_info(sender, m)?)
    }
    #[inline]
    fn recv(&mut self, buf: &mut Vec<u8>) -> Result<Head> {
        self.1 = Some(self.0.recv_info(buf)?);
        Head::of(buf)
    }
}

struct Asks(Client);

impl Conn for Asks {
    #[inline]
    fn send(&mut self, m: &[u8]) -> Result<()> {
        Ok(self.0.send_info(m)?)
    }
    #[inline]
    fn recv(&mut self, buf: &mut Vec<u8>) -> Result<Head> {
        self.0.recv_info(buf)?;
        Head::of(buf)
    }
}

impl Peer for Hobnob {
    fn name(&self) -> &'static str {
        "hobnob-datagrams"
    }
    fn note(&self) -> &'static str {
        "hobnob::datagrams, a policy asked and the sender handed out for each, no deadline"
    }
    fn supports(&self, w: Workload, size: usize) -> bool {
        is_supported(w, size)
    }
    fn serve(&self, a: &Args) -> Result<()> {
        let options = ServerOptions::new().directory(a.path("names"));
        let server = Server::new_server_with(&address(a)?, &options)?;
        a.ready();
        drive_server(&mut Serves(server, None), a)
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        let options = ClientOptions::new().deadline(Deadline::Forever);
        drive_client(&mut Asks(Client::connect_with(&address(a)?, &options)?), a)
    }
}
