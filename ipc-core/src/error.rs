//! One error for every word on every transport: what went wrong, what was being done, to which address.

use std::{convert::Infallible, fmt, io, path::PathBuf, sync::Arc, time::SystemTime};

use crate::stats::Refusal;

/// The result of every fallible call in hobnob.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. Tell cases apart with [`Error::kind`]; the text is for people.
#[derive(Debug)]
pub struct Error {
    what: What,
    doing: Option<&'static str>,
    address: Option<Arc<str>>,
}

/// Small, since every result of the message path has room for one; and "not now" allocates nothing.
#[derive(Debug)]
enum What {
    Plain(&'static ErrorKind),
    Detailed(Box<(ErrorKind, Option<io::Error>)>),
}

/// The cases a caller can tell apart. They mean the same on every transport.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A live server holds the name.
    #[error("the name {name} is in use{}", by(.holder.as_ref()))]
    NameInUse {
        /// The name asked for.
        name: String,
        /// Who holds it, where that could be found out.
        holder: Option<Holder>,
    },
    /// The address is not one: the text says what was wrong and what was expected.
    #[error("bad address: {why}")]
    BadAddress {
        /// What was wrong, and what was expected.
        why: String,
    },
    /// These options do not go together, or not with this transport: the text says what was wrong and what was
    /// expected.
    #[error("bad options: {why}")]
    BadOptions {
        /// What was wrong, and what was expected.
        why: String,
    },
    /// The descriptor that was given is another one than was expected.
    #[error("bad descriptor: it is {found}; expected {expected}")]
    BadDescriptor {
        /// What it is.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A directory or file is not safe to use: the text says what was found and what was expected.
    #[error("denied: {why}")]
    Denied {
        /// What was found, and what was expected.
        why: String,
    },
    /// The file system is full (ENOSPC, EDQUOT). Nothing half-made was left.
    #[error("no space left on the file system")]
    NoSpace,
    /// No descriptor is left (EMFILE, ENFILE).
    #[error("too many open files")]
    TooManyOpen,
    /// Nobody serves this name.
    #[error("no such server; searched {}", list(.searched))]
    NoSuchServer {
        /// The places looked at, in order.
        searched: Vec<PathBuf>,
    },
    /// The server answered no.
    #[error("refused by the server: {reason}")]
    Refused {
        /// Why.
        reason: Refusal,
    },
    /// The server speaks over another transport.
    #[error("wrong transport: the server speaks {server}, the client {client}")]
    WrongTransport {
        /// The server's transport.
        server: String,
        /// What the client could have spoken.
        client: String,
    },
    /// The two sides speak different versions of hobnob's protocol.
    #[error("wrong protocol version: the server speaks {server}, the client {client}")]
    WrongVersion {
        /// The server's version.
        server: u16,
        /// The client's version.
        client: u16,
    },
    /// Both sides declared a schema fingerprint and they differ.
    #[error("schema mismatch: the server has {server:#018x}, the client {client:#018x}")]
    SchemaMismatch {
        /// The server's fingerprint.
        server: u64,
        /// The client's fingerprint.
        client: u64,
    },
    /// The client waited so long in the backlog that its client file was no longer fresh, twice.
    #[error("the client file was no longer fresh when the server looked at it")]
    StaleClientFile,
    /// The server runs under a uid this client does not trust.
    #[error("the server runs as uid {uid}, which is neither ours, root's nor trusted by option")]
    ServerUntrusted {
        /// The server's uid.
        uid: u32,
    },
    /// The server has as many clients as it admits.
    #[error("the server has as many clients as it admits")]
    Busy,
    /// The deadline passed. Nothing was lost; for a send, not one byte was taken.
    #[error("timed out")]
    TimedOut,
    /// It cannot be done without waiting. Nothing was lost; for a send, not one byte was taken.
    #[error("would block")]
    WouldBlock,
    /// The message is larger than the receiver admits. Not one byte left.
    #[error("message of {size} bytes is over the receiver's limit of {limit}")]
    TooLarge {
        /// The message's size in bytes.
        size: u64,
        /// The largest admitted, in bytes.
        limit: u64,
    },
    /// An empty message on a [raw](crate::Wire::Raw) wire, where nobody could receive it. Nothing left.
    #[error("an empty message cannot be sent as raw bytes; expected at least one byte")]
    EmptyMessage,
    /// The message contains the byte that ends messages on this [wire](crate::Wire::Delimited). Not one byte left.
    #[error("the message has the delimiter {delimiter:#04x} at byte {at}; expected none inside of a message")]
    DelimiterInside {
        /// The byte that ends messages.
        delimiter: u8,
        /// Where in the message it is first, from 0 on.
        at: u64,
    },
    /// The message has another size than those on this [wire](crate::Wire::Fixed). Not one byte left.
    #[error("message of {size} bytes on a wire where each has {expected}")]
    WrongSize {
        /// The message's size in bytes.
        size: u64,
        /// The size of every message, in bytes.
        expected: u32,
    },
    /// The other side is gone: a receive found the end without a goodbye, or a send found nobody to receive.
    #[error("the peer is gone")]
    PeerGone,
    /// The other side died inside a message. The part that came is not delivered.
    #[error("the peer died inside a message")]
    Truncated,
    /// The other side has stopped in the middle of a message, or takes no more, for longer than the option
    /// `stalled_after` allows; the connection is of no further use.
    #[error("the peer has stopped in the middle of it")]
    Stalled,
    /// The other side broke the protocol; the connection is of no further use.
    #[error("protocol violation: {what}")]
    Protocol {
        /// What it did.
        what: &'static str,
    },
    /// Accepted messages are still in this process: the kernel took no more before the deadline. Or, over TCP, they are
    /// in this kernel and not yet in the peer's, and would be lost if the connection were closed now.
    #[error("{messages} accepted message(s) not yet taken by the kernel")]
    Undelivered {
        /// How many. What is in this kernel counts as one.
        messages: u64,
    },
    /// A [`StopHandle`](crate::StopHandle) ended the wait.
    #[error("stopped")]
    Stopped,
    /// This side has already said goodbye, or the server was destroyed.
    #[error("already closed on this side")]
    Closed,
    /// The operating system said no for a reason with no case of its own: see the source.
    #[error("the operating system refused")]
    Os,
}

/// Who holds a name, as far as its record says. For people: a pid may have been reused since.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The server's process.
    pub pid: u32,
    /// The uid it runs as.
    pub uid: u32,
    /// When it took the name.
    pub since: SystemTime,
    /// The transport it serves on.
    pub transport: String,
}

impl Holder {
    /// The holder with these particulars.
    #[must_use]
    pub fn new(pid: u32, uid: u32, since: SystemTime, transport: String) -> Self {
        Self { pid, uid, since, transport }
    }
}

impl Error {
    /// An error of this kind, with nothing else known.
    #[must_use]
    pub fn new(kind: ErrorKind) -> Self {
        let what = match kind {
            ErrorKind::WouldBlock => What::Plain(&ErrorKind::WouldBlock),
            ErrorKind::TimedOut => What::Plain(&ErrorKind::TimedOut),
            ErrorKind::Stopped => What::Plain(&ErrorKind::Stopped),
            ErrorKind::PeerGone => What::Plain(&ErrorKind::PeerGone),
            kind => What::Detailed(Box::new((kind, None))),
        };
        Self { what, doing: None, address: None }
    }

    /// An error of this kind that the operating system caused.
    #[must_use]
    pub fn caused(kind: ErrorKind, source: io::Error) -> Self {
        Self { what: What::Detailed(Box::new((kind, Some(source)))), doing: None, address: None }
    }

    /// An address that is not one.
    #[must_use]
    pub fn bad_address(why: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadAddress { why: why.into() })
    }

    /// Options that do not go together.
    #[must_use]
    pub fn bad_options(why: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadOptions { why: why.into() })
    }

    /// Something that is not safe to use.
    #[must_use]
    pub fn denied(why: impl Into<String>) -> Self {
        Self::new(ErrorKind::Denied { why: why.into() })
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        match &self.what {
            What::Plain(kind) => kind,
            What::Detailed(detail) => &detail.0,
        }
    }

    /// The word that failed, such as `send_info`.
    #[must_use]
    pub fn doing(&self) -> Option<&'static str> {
        self.doing
    }

    /// The address it was about.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// The operating system's own word, where it had one.
    #[must_use]
    pub fn os(&self) -> Option<&io::Error> {
        match &self.what {
            What::Plain(_) => None,
            What::Detailed(detail) => detail.1.as_ref(),
        }
    }

    /// Adds what was being done and to which address, unless an inner call has said so already.
    #[must_use]
    #[cold]
    pub fn about(mut self, doing: &'static str, address: &Arc<str>) -> Self {
        self.doing.get_or_insert(doing);
        self.address.get_or_insert_with(|| address.clone());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(doing) = self.doing {
            write!(f, "{doing} ")?;
        }
        if let Some(address) = &self.address {
            write!(f, "{address}: ")?;
        }
        write!(f, "{}", self.kind())?;
        self.os().map_or(Ok(()), |source| write!(f, " ({source})"))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.os().map(|source| source as _)
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind)
    }
}

/// The one place where errno becomes a kind.
impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        use io::ErrorKind as Io;
        let kind = match source.kind() {
            Io::BrokenPipe | Io::ConnectionReset | Io::NotConnected => ErrorKind::PeerGone,
            Io::StorageFull | Io::QuotaExceeded => ErrorKind::NoSpace,
            Io::WouldBlock => ErrorKind::WouldBlock,
            Io::TimedOut => ErrorKind::TimedOut,
            Io::PermissionDenied => ErrorKind::Denied { why: "the operating system forbids it".into() },
            _ if is_out_of_descriptors(&source) => ErrorKind::TooManyOpen,
            _ => ErrorKind::Os,
        };
        Self::caused(kind, source)
    }
}

impl From<nix::errno::Errno> for Error {
    fn from(errno: nix::errno::Errno) -> Self {
        io::Error::from(errno).into()
    }
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// So that hobnob's errors travel through code that speaks [`io::Error`].
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::NameInUse { .. } => io::ErrorKind::AddrInUse,
            ErrorKind::BadAddress { .. }
            | ErrorKind::BadOptions { .. }
            | ErrorKind::BadDescriptor { .. }
            | ErrorKind::TooLarge { .. }
            | ErrorKind::EmptyMessage
            | ErrorKind::DelimiterInside { .. }
            | ErrorKind::WrongSize { .. } => io::ErrorKind::InvalidInput,
            ErrorKind::Denied { .. } | ErrorKind::ServerUntrusted { .. } => io::ErrorKind::PermissionDenied,
            ErrorKind::NoSpace => io::ErrorKind::StorageFull,
            ErrorKind::NoSuchServer { .. } => io::ErrorKind::NotFound,
            ErrorKind::Refused { .. } | ErrorKind::Busy => io::ErrorKind::ConnectionRefused,
            ErrorKind::TimedOut => io::ErrorKind::TimedOut,
            ErrorKind::WouldBlock => io::ErrorKind::WouldBlock,
            ErrorKind::PeerGone => io::ErrorKind::BrokenPipe,
            ErrorKind::Truncated => io::ErrorKind::UnexpectedEof,
            ErrorKind::Protocol { .. } => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    use nix::errno::Errno;
    error.raw_os_error().is_some_and(|code| matches!(Errno::from_raw(code), Errno::EMFILE | Errno::ENFILE))
}

fn by(holder: Option<&Holder>) -> String {
    holder.map_or_else(String::new, |h| {
        let age = h.since.elapsed().unwrap_or_default().as_secs();
        format!(" by pid {} of uid {} on {}, since {age} s", h.pid, h.uid, h.transport)
    })
}

fn list(searched: &[PathBuf]) -> String {
    let shown: Vec<_> = searched.iter().map(|place| place.display().to_string()).collect();
    if shown.is_empty() { "nowhere".into() } else { shown.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_the_word_the_address_the_case_and_the_cause() {
        let broken = io::Error::from(io::ErrorKind::BrokenPipe);
        let error = Error::from(broken).about("send_info", &"unix:echo".into());
        assert_eq!(error.to_string(), "send_info unix:echo: the peer is gone (broken pipe)");
    }

    #[test]
    fn the_inner_word_wins() {
        let error = Error::new(ErrorKind::TimedOut).about("inner", &"a".into()).about("outer", &"b".into());
        assert_eq!((error.doing(), error.address()), (Some("inner"), Some("a")));
    }
}
