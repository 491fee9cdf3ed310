//! Answering: one sendto(2) that never waits, to nobody but the one who asked.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    path::Path,
};

use ipc_core::{Error, ErrorKind, Kind, Result};
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, UnixAddr, getsockopt, sendto, sockopt::SndBuf},
};

use crate::sender::Sender;

/// Sends without waiting, and without SIGPIPE.
pub(crate) const AT_ONCE: MsgFlags = MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);

/// Where a server's answers may go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// The uid that the server was made under.
    pub(crate) own: u32,
    /// Also to other users' names outside the file system.
    pub(crate) abstract_names: bool,
}

pub(crate) fn answer(socket: BorrowedFd<'_>, reach: Reach, to: &Sender, info: &[u8]) -> Result<()> {
    let address = address_of(to)?;
    let sent = match address.path() {
        _ if speaks_for(to, reach.own) => send_to(socket, address, info),
        None if reach.abstract_names => send_to(socket, address, info),
        Some(path) => send_to_owner(socket, path, to.peer.uid, info)?,
        // Free for anybody by now, perhaps; and the sender may have it in a network namespace where it is not what it is
        // here (network_namespaces(7)), so that our answer went to whoever has it here.
        None => {
            return Err(Error::denied(format!(
                "{}: nothing tells whose socket has another user's name; expected a socket at a path, or the \
                 option answer_abstract_names",
                to.reply_to
            )));
        }
    };
    sent.map_err(|errno| failure(socket, to, info, errno))
}

/// Where the answer goes, if there is such a place.
fn address_of(to: &Sender) -> Result<&UnixAddr> {
    let address = to.reply_to.address().ok_or_else(|| {
        Error::bad_address(if to.reply_to.is_too_long() {
            "the sender's path fills the whole socket address; expected at most 107 bytes"
        } else {
            "the sender has no address to answer to; expected one that has bound its socket"
        })
    })?;
    match address.path() {
        Some(path) if !path.is_absolute() => Err(Error::bad_address(format!(
            "the sender's address {} is relative to a directory that is not ours; expected an absolute path",
            path.display()
        ))),
        _ => Ok(address),
    }
}

/// Whether the sender could do all that we can: then it gains nothing by leading our answer elsewhere.
fn speaks_for(to: &Sender, own: u32) -> bool {
    to.peer.uid.is_some_and(|uid| uid == 0 || uid == own)
}

fn send_to(socket: BorrowedFd<'_>, address: &UnixAddr, info: &[u8]) -> nix::Result<()> {
    loop {
        match sendto(socket.as_raw_fd(), info, address, AT_ONCE) {
            Err(Errno::EINTR) => {}
            sent => return sent.map(drop),
        }
    }
}

/// The sender of another user may have put a link in its socket's place since, to have us speak to somebody else in our
/// own name. So what is there is held, and must be a socket of that user's.
#[cfg(all(target_os = "linux", not(hobnob_portable)))]
fn send_to_owner(
    socket: BorrowedFd<'_>,
    path: &Path,
    uid: Option<u32>,
    info: &[u8],
) -> Result<nix::Result<()>> {
    use nix::{fcntl::OFlag, sys::stat::Mode};
    use std::os::fd::AsFd;

    let held =
        match nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty()) {
            Err(errno) => return Ok(Err(errno)),
            Ok(held) => held,
        };
    must_be_of(uid, path, &ipc_core::look_at(held.as_fd())?)?;
    let through = UnixAddr::new(Path::new(&format!("/proc/self/fd/{}", held.as_raw_fd())))?;
    Ok(send_to(socket, &through, info))
}

/// What cannot be held is looked at just before.
#[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
fn send_to_owner(
    socket: BorrowedFd<'_>,
    path: &Path,
    uid: Option<u32>,
    info: &[u8],
) -> Result<nix::Result<()>> {
    let there = path.parent().zip(ipc_core::base_name(path)).ok_or(Errno::ENOENT)?;
    let folder = ipc_core::Folder::open(&there.0.canonicalize()?)?;
    must_be_of(uid, path, &folder.look(there.1)?)?;
    Ok(send_to(socket, &UnixAddr::new(path)?, info))
}

fn must_be_of(uid: Option<u32>, path: &Path, found: &ipc_core::Entry) -> Result<()> {
    if found.kind == Kind::Socket && uid.is_none_or(|uid| uid == found.uid) {
        return Ok(());
    }
    Err(Error::denied(format!(
        "{} is {} of uid {}; expected a socket of the sender's, uid {}",
        path.display(),
        if found.kind == Kind::Socket { "a socket" } else { "a link or no socket, and" },
        found.uid,
        uid.map_or_else(|| "unknown".to_owned(), |uid| uid.to_string())
    )))
}

/// What the kernel's word means for an answer.
fn failure(socket: BorrowedFd<'_>, to: &Sender, info: &[u8], errno: Errno) -> Error {
    let denied = |why: &str| ErrorKind::Denied { why: format!("{}: {why}", to.reply_to) };
    let kind = match errno {
        Errno::ECONNREFUSED | Errno::ENOENT | Errno::ENOTDIR => ErrorKind::PeerGone,
        Errno::EACCES => denied("we may not write to the sender's socket"),
        Errno::EPERM => denied("the sender's socket takes datagrams of somebody else only"),
        Errno::ELOOP => denied("the sender's address is a link"),
        Errno::EPROTOTYPE => ErrorKind::BadAddress {
            why: format!("{} is no datagram socket; expected the sender's", to.reply_to),
        },
        Errno::EMSGSIZE => too_large(socket, info),
        errno => return errno.into(),
    };
    Error::caused(kind, io::Error::from(errno))
}

/// The kernel takes in one piece what fits into the send buffer, less what it needs itself (unix(7)).
pub(crate) fn too_large(socket: BorrowedFd<'_>, info: &[u8]) -> ErrorKind {
    let buffer = getsockopt(&socket, SndBuf).unwrap_or_default();
    ErrorKind::TooLarge { size: info.len() as u64, limit: buffer.saturating_sub(KERNELS_OWN) as u64 }
}

/// In bytes; Linux.
const KERNELS_OWN: usize = 32;
