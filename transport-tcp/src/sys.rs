//! The system call that has no safe wrapper.

#[cfg(all(target_os = "linux", not(hobnob_portable)))]
use std::os::fd::AsRawFd;
use std::{io, os::fd::BorrowedFd};

/// How many bytes have been sent over this socket that the peer's kernel has not acknowledged (SIOCOUTQ, tcp(7)).
#[cfg(all(target_os = "linux", not(hobnob_portable)))]
pub(crate) fn unacknowledged(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ, which has the number of TIOCOUTQ, writes one int to where the third argument points: to
    // `bytes`, which outlives the call. The descriptor is borrowed, so it is open.
    let asked = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if asked < 0 { Err(io::Error::last_os_error()) } else { Ok(usize::try_from(bytes).unwrap_or(0)) }
}

/// Not known: nobody is kept waiting for it.
#[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
pub(crate) fn unacknowledged(_: BorrowedFd<'_>) -> io::Result<usize> {
    Ok(0)
}
