//! Who sent a datagram, and where an answer goes.

use std::{fmt, path::Path};

use ipc_core::Peer;
use nix::sys::socket::{SockaddrLike, UnixAddr};

/// Who sent a datagram, by the kernel's word, and where an answer goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    pub(crate) peer: Peer,
    pub(crate) reply_to: ReplyTo,
}

/// What the sender's socket is bound to. Cloning it allocates nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct ReplyTo(Bound);

#[derive(Clone, PartialEq, Eq)]
enum Bound {
    /// To nothing: it cannot be answered.
    Not,
    /// To a path that fills the whole of a socket address, which cannot be given back to the kernel.
    TooLong,
    To(UnixAddr),
}

impl Sender {
    /// The sending process: the uid and gid that it really has (its real ones, unless it chose to show its effective or
    /// saved ones), and its pid. The kernel checks all three when a datagram is sent (SCM_CREDENTIALS, unix(7)); only
    /// root can claim others, of which the process must exist.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Where an answer goes.
    #[must_use]
    pub fn reply_to(&self) -> &ReplyTo {
        &self.reply_to
    }
}

impl ReplyTo {
    /// From what the kernel wrote. For a socket without a name it writes nothing, and nix's own accessors panic then.
    pub(crate) fn from_kernel(address: Option<UnixAddr>) -> Self {
        let Some(address) = address else { return Self(Bound::Not) };
        let length = address.len();
        if length <= FAMILY {
            Self(Bound::Not)
        } else if length > UnixAddr::size() {
            Self(Bound::TooLong)
        } else {
            Self(Bound::To(address))
        }
    }

    /// Whether the sender has bound its socket to nothing. It cannot be answered.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0 == Bound::Not
    }

    /// The path of its socket, as the sender wrote it: it may be gone by now, or lead elsewhere.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.address()?.path()
    }

    /// The name of its socket, if that is not in the file system (abstract sockets, Linux, unix(7)).
    #[must_use]
    pub fn abstract_name(&self) -> Option<&[u8]> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return self.address()?.as_abstract();
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        None
    }

    pub(crate) fn is_too_long(&self) -> bool {
        self.0 == Bound::TooLong
    }

    pub(crate) fn address(&self) -> Option<&UnixAddr> {
        match &self.0 {
            Bound::To(address) => Some(address),
            Bound::Not | Bound::TooLong => None,
        }
    }
}

/// An address of this length says only that it is one.
const FAMILY: nix::libc::socklen_t = std::mem::offset_of!(nix::libc::sockaddr_un, sun_path) as _;

impl fmt::Display for ReplyTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = self.path() {
            write!(f, "{}", path.display())
        } else if let Some(name) = self.abstract_name() {
            write!(f, "@{}", name.escape_ascii())
        } else if self.is_none() {
            f.write_str("no address")
        } else {
            f.write_str("an address that is too long")
        }
    }
}

impl fmt::Debug for ReplyTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyTo({self})")
    }
}
