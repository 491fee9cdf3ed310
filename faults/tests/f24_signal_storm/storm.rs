//! A storm of signals: every thread of this process is interrupted a thousand times a second, whatever it is doing.
//! setitimer(2) would not do: its SIGALRM goes to one thread, mostly the same one, and mostly not the one that waits.

use std::{
    os::raw::c_int,
    sync::{
        Once,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use nix::{
    dir::Dir,
    fcntl::OFlag,
    libc,
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    sys::stat::Mode,
};

const EVERY: Duration = Duration::from_millis(1);

/// How often a thread was interrupted.
static HITS: AtomicU64 = AtomicU64::new(0);
/// How many tests have passed in the storm.
static PASSED: AtomicUsize = AtomicUsize::new(0);
/// The most threads that were there at once.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Runs a test in the storm, which begins with the first one and lasts to the end of the process.
pub fn in_the_storm(test: impl FnOnce()) {
    static BEGIN: Once = Once::new();
    BEGIN.call_once(begin);
    test();
    PASSED.fetch_add(1, Relaxed);
}

pub fn hits() -> u64 {
    HITS.load(Relaxed)
}

fn begin() {
    // Without SA_RESTART: the calls that the kernel would go on with give EINTR too.
    let action = SigAction::new(SigHandler::Handler(count), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only adds to an atomic, which is allowed at any moment; nobody else here uses SIGALRM.
    // `tell` is a function for as long as the process lives, and takes and returns nothing.
    unsafe {
        sigaction(Signal::SIGALRM, &action).unwrap();
        assert_eq!(libc::atexit(tell), 0);
    }
    // Opened once: tests count descriptors.
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut tasks = Dir::open("/proc/self/task", flags, Mode::empty()).unwrap();
    thread::spawn(move || {
        loop {
            blow(&mut tasks);
            thread::park_timeout(EVERY);
        }
    });
}

extern "C" fn count(_: c_int) {
    HITS.fetch_add(1, Relaxed);
}

/// At the end of the process. The actors of a test, which are this program too, keep quiet.
extern "C" fn tell() {
    if std::env::var_os("HOBNOB_TEST_ROLE").is_none() {
        let seen = format!("{} interruptions, up to {} threads", hits(), THREADS.load(Relaxed));
        faults::saw("F24", "unix, fifo, inproc", format!("{} tests", PASSED.load(Relaxed)), seen);
    }
}

/// One signal to each thread but this one.
fn blow(tasks: &mut Dir) {
    let threads = tasks.iter();
    let threads =
        threads.filter_map(|entry| entry.ok()?.file_name().to_str().ok()?.parse::<libc::pid_t>().ok());
    let this = nix::unistd::gettid().as_raw();
    let mut found = 0;
    for thread in threads.filter(|thread| *thread != this) {
        found += 1;
        // To a thread of this very process, so that no child that has yet to exec is hit. One that is gone is an error
        // that does not matter.
        // SAFETY: tgkill takes three numbers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGALRM) };
    }
    THREADS.fetch_max(found, Relaxed);
}
