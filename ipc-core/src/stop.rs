//! Ending a wait from outside: from another thread, or from a signal handler.

use std::{
    io::{self, PipeReader, PipeWriter, Write},
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
};

use nix::sys::signal::{SigSet, Signal};

use crate::{ErrorKind, Result};

/// Ends every wait of the servers and connections it was given to. Clones are the same handle.
///
/// After [`stop`](Self::stop), calls that may wait return [`ErrorKind::Stopped`]; the `try_` words and
/// `disconnect_from` still work, so that what is there can be taken and a goodbye said. A handle belongs to the
/// process that made it: pulled in a forked child, it ends the child's calls and leaves the parent alone.
///
/// A server or connection with a handle pays for it: it waits with poll(2) beside its reads, three system
/// calls instead of one when it has to sleep.
#[derive(Clone, Debug)]
pub struct StopHandle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    level: AtomicU8,
    made_by: u32,
    wake: PipeReader,
    ring: PipeWriter,
}

const RUNNING: u8 = 0;
const DRAINING: u8 = 1;
const STOPPED: u8 = 2;

impl StopHandle {
    /// A new handle. It has two descriptors, however many waits it ends.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new() -> Result<Self> {
        let (wake, ring) = io::pipe()?;
        Ok(Self(Arc::new(Inner { level: AtomicU8::new(RUNNING), made_by: std::process::id(), wake, ring })))
    }

    /// A handle that SIGINT and SIGTERM pull: both are blocked in the calling thread and taken by a thread of
    /// their own with sigwait(3), so no handler runs. Call it in `main` before any other thread is started:
    /// threads inherit the mask, and a thread that does not block the signals would die of them.
    ///
    /// # Errors
    /// No descriptor or thread is left.
    pub fn on_interrupt() -> Result<Self> {
        let handle = Self::new()?;
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGTERM);
        signals.thread_block()?;
        let pulled = handle.clone();
        std::thread::Builder::new().name("hobnob-signals".into()).spawn(move || {
            if let Ok(signal) = signals.wait() {
                log::info!("{signal}: stopping");
                pulled.stop();
            }
        })?;
        Ok(handle)
    }

    /// Ends every wait, now and from now on. Safe to call from a signal handler: an atomic swap and write(2).
    pub fn stop(&self) {
        self.raise(STOPPED);
    }

    /// Whether [`stop`](Self::stop) was called.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.level() == STOPPED
    }

    /// Ends waits only: what can be done without one still succeeds.
    pub(crate) fn drain(&self) {
        self.raise(DRAINING);
    }

    pub(crate) fn ends_calls(&self) -> Result<()> {
        if self.level() == STOPPED { Err(ErrorKind::Stopped.into()) } else { Ok(()) }
    }

    pub(crate) fn ends_waits(&self) -> Result<()> {
        if self.level() == RUNNING { Ok(()) } else { Err(ErrorKind::Stopped.into()) }
    }

    fn level(&self) -> u8 {
        self.0.level.load(SeqCst)
    }

    /// The byte stays in the pipe for ever, so the descriptor is readable for every wait to come.
    fn raise(&self, level: u8) {
        // A forked child shares the pipe but not the level.
        if self.0.level.fetch_max(level, SeqCst) == RUNNING && self.0.made_by == std::process::id() {
            // The pipe is empty and its reader is ours: this cannot fail and does not block.
            let _ = (&self.0.ring).write(&[1]);
        }
    }
}

/// Readable once stopped; for event loops of your own.
impl AsFd for StopHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.wake.as_fd()
    }
}
