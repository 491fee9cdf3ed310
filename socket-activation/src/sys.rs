//! Where a number becomes a descriptor that we own.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// The first that is passed (SD_LISTEN_FDS_START).
const FIRST: RawFd = 3;

/// Fails unless so many descriptors are open and were so before this program began. What has come through execve(2) is not
/// close-on-exec; everything that std, nix's wrappers or this project opens is.
pub(crate) fn must_come_from_outside(count: u32) -> io::Result<()> {
    let count = RawFd::try_from(count).unwrap_or(RawFd::MAX);
    for number in FIRST..FIRST.saturating_add(count) {
        // SAFETY: the number is only asked about, within this call; if it is not open, the answer is EBADF.
        let asked = unsafe { BorrowedFd::borrow_raw(number) };
        let flags = FdFlag::from_bits_truncate(fcntl(asked, FcntlArg::F_GETFD)?);
        if flags.contains(FdFlag::FD_CLOEXEC) {
            return Err(io::Error::other(format!("this process has opened descriptor {number} itself")));
        }
    }
    Ok(())
}

/// Takes a descriptor that was passed to this process.
pub(crate) fn own(number: RawFd) -> OwnedFd {
    // SAFETY: the number is one of those that `must_come_from_outside` has found open, and to have come through execve(2):
    // so nothing in this program has opened it, and nothing else owns it, for LISTEN_PID says that it is meant for this
    // process to take. `listeners` takes it once.
    unsafe { OwnedFd::from_raw_fd(number) }
}
