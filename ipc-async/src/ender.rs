//! What ends the waits of a connection that is served, when its server drains.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    task::Context,
};

use atomic_waker::AtomicWaker;
use ipc_core::{ErrorKind, Result};

/// Shared by a connection, or its two halves, and whoever serves it.
#[derive(Debug, Default)]
pub(crate) struct Ender {
    level: AtomicU8,
    /// The task of each half.
    tasks: [AtomicWaker; 2],
}

/// Whose task waits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Half {
    Receiving,
    Sending,
}

const DRAINING: u8 = 1;
const STOPPED: u8 = 2;

impl Ender {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Ends waits; what can be done without one still succeeds.
    pub(crate) fn drain(&self) {
        self.raise(DRAINING);
    }

    /// Ends every call.
    pub(crate) fn stop(&self) {
        self.raise(STOPPED);
    }

    fn raise(&self, level: u8) {
        self.level.fetch_max(level, SeqCst);
        self.tasks.iter().for_each(AtomicWaker::wake);
    }

    /// Whether a call may begin.
    #[inline]
    pub(crate) fn ends_calls(&self) -> Result<()> {
        if self.level.load(SeqCst) == STOPPED { Err(ErrorKind::Stopped.into()) } else { Ok(()) }
    }

    /// Whether a task may wait; it is woken when it may not any more.
    pub(crate) fn poll_waits(&self, cx: &Context<'_>, half: Half) -> Result<()> {
        self.tasks[half as usize].register(cx.waker());
        if self.level.load(SeqCst) == 0 { Ok(()) } else { Err(ErrorKind::Stopped.into()) }
    }
}
