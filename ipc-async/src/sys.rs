//! Where descriptors are handed to a runtime, which watches them without owning them.
//!
//! The promise behind both calls is [`Runtime::watch`](crate::Runtime::watch)'s: the descriptor is open until what is
//! returned has been dropped. `Waiter`, which keeps the sources, is always dropped before the connection, half or
//! server whose descriptors they are: it is declared before it in each struct. What may be closed earlier is named as
//! such (`Interests::add_passing`) and not watched during a try; a handle that is replaced is forgotten before.
#![allow(unsafe_code)]

#[cfg(feature = "smol")]
use std::os::fd::AsFd;
use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, RawFd},
};

/// A descriptor that something else owns.
#[derive(Debug)]
pub struct Watched(RawFd);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

#[cfg(feature = "smol")]
impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: it is open for as long as `self` lives, by the promise above.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

#[cfg(feature = "tokio")]
pub(crate) fn tokio(fd: BorrowedFd<'_>) -> io::Result<tokio::io::unix::AsyncFd<Watched>> {
    // SAFETY: the descriptor is open until the `AsyncFd` is dropped, by the promise above, and `Watched` always
    // gives the same one.
    unsafe { tokio::io::unix::AsyncFd::register(Watched(fd.as_raw_fd())) }.map_err(io::Error::from)
}

#[cfg(feature = "smol")]
pub(crate) fn smol(fd: BorrowedFd<'_>) -> io::Result<smol::Async<Watched>> {
    smol::Async::new_nonblocking(Watched(fd.as_raw_fd()))
}
