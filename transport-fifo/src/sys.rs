//! The system calls that have no safe wrapper.

#[cfg(all(target_os = "linux", not(hobnob_portable)))]
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::{
    io::{self, IoSlice},
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

/// Writes to a pipe without ever raising SIGPIPE: RWF_NOSIGNAL where the kernel knows it (Linux 6.18), else with
/// SIGPIPE held back in this thread for the length of the call.
pub(crate) fn write_vectored(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    #[cfg(all(target_os = "linux", not(hobnob_portable)))]
    if !NO_FLAG.load(Relaxed) {
        match pwritev2(fd, bufs) {
            Err(error) if is_unknown(&error) => NO_FLAG.store(true, Relaxed),
            written => return written,
        }
    }
    with_sigpipe_held(|| writev(fd, bufs))
}

/// The kernel does not know the flag.
#[cfg(all(target_os = "linux", not(hobnob_portable)))]
static NO_FLAG: AtomicBool = AtomicBool::new(false);

#[cfg(all(target_os = "linux", not(hobnob_portable)))]
const RWF_NOSIGNAL: libc::c_int = 0x100;

#[cfg(all(target_os = "linux", not(hobnob_portable)))]
fn is_unknown(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSYS))
}

#[cfg(all(target_os = "linux", not(hobnob_portable)))]
fn pwritev2(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    // SAFETY: `IoSlice` is guaranteed to have the layout of `iovec` on Unix, `bufs` outlives the call, and the
    // kernel only reads through it. The descriptor is borrowed, so it is open. Offset -1 is the current position.
    let written =
        unsafe { libc::pwritev2(fd.as_raw_fd(), bufs.as_ptr().cast(), count(bufs), -1, RWF_NOSIGNAL) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

/// A descriptor of a process, readable once that is gone.
#[cfg(all(target_os = "linux", not(hobnob_portable)))]
pub(crate) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: pidfd_open(2) takes two numbers and touches no memory of ours.
    let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let opened = i32::try_from(opened).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel has just made this descriptor (close-on-exec) for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(opened) })
}

#[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
pub(crate) fn pidfd_open(_: u32) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

fn writev(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    // SAFETY: as for pwritev2 above.
    let written = unsafe { libc::writev(fd.as_raw_fd(), bufs.as_ptr().cast(), count(bufs)) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

fn count(bufs: &[IoSlice<'_>]) -> libc::c_int {
    // Two in practice; POSIX allows sixteen at least.
    bufs.len().min(16) as libc::c_int
}

/// A SIGPIPE that `call` raises is sent to this thread; it is taken before the old mask returns. One that was
/// pending before is left for whoever waits for it.
fn with_sigpipe_held(call: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
    // SAFETY: all-zero bytes are a valid `sigset_t`, and each set is initialised by the calls below before it is
    // used for anything else. Every pointer is to a live local.
    unsafe {
        let mut sigpipe: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        let mut pending: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut sigpipe);
        libc::sigaddset(&raw mut sigpipe, libc::SIGPIPE);
        libc::sigpending(&raw mut pending);
        let was_pending = libc::sigismember(&raw const pending, libc::SIGPIPE) == 1;
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const sigpipe, &raw mut before);
        let result = call();
        let broken = matches!(&result, Err(error) if error.raw_os_error() == Some(libc::EPIPE));
        if broken && !was_pending {
            take_pending(&sigpipe);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        result
    }
}

#[cfg(not(any(target_vendor = "apple", target_os = "openbsd", hobnob_portable)))]
fn take_pending(sigpipe: &libc::sigset_t) {
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both pointers are to live values, and a null siginfo is allowed.
    unsafe { libc::sigtimedwait(sigpipe, std::ptr::null_mut(), &raw const at_once) };
}

/// No sigtimedwait there, and sigwait would wait for ever where SIGPIPE is ignored, as it is in most Rust programs:
/// the BSDs and macOS forget an ignored signal though it is blocked. So it is only taken if it is pending.
#[cfg(any(target_vendor = "apple", target_os = "openbsd", hobnob_portable))]
fn take_pending(sigpipe: &libc::sigset_t) {
    let mut taken = 0;
    // SAFETY: all-zero bytes are a valid `sigset_t`, and sigpending fills it; every pointer is to a live value.
    unsafe {
        let mut pending: libc::sigset_t = std::mem::zeroed();
        libc::sigpending(&raw mut pending);
        if libc::sigismember(&raw const pending, libc::SIGPIPE) == 1 {
            libc::sigwait(sigpipe, &raw mut taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    /// Rust ignores SIGPIPE at start-up, which would hide a signal; here it is given back its deadly default in
    /// a child, which must live on through both ways of writing.
    #[test]
    fn a_write_to_nobody_is_an_error_and_not_a_signal() {
        if std::env::var_os("HOBNOB_SIGPIPE_CHILD").is_none() {
            let exe = std::env::current_exe().unwrap();
            let name = "sys::tests::a_write_to_nobody_is_an_error_and_not_a_signal";
            let child = std::process::Command::new(exe)
                .args([name, "--exact"])
                .env("HOBNOB_SIGPIPE_CHILD", "1")
                .status();
            assert!(child.unwrap().success());
            return;
        }
        // SAFETY: the default action is not a function of ours.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let bufs = [IoSlice::new(b"x")];
        let held = with_sigpipe_held(|| writev(writer.as_fd(), &bufs));
        assert_eq!(held.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(write_vectored(writer.as_fd(), &bufs).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
