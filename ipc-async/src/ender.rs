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

/// What ends a call, besides its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Heeds {
    /// The drain, if it has to wait.
    Drain,
    /// The end of the drain: what was accepted may leave until then.
    Stop,
    /// A goodbye is said even then.
    Nothing,
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
    pub(crate) fn ends_calls(&self, heeds: Heeds) -> Result<()> {
        let ends = self.level.load(SeqCst) == STOPPED && heeds != Heeds::Nothing;
        if ends { Err(ErrorKind::Stopped.into()) } else { Ok(()) }
    }

    /// Whether a task may wait; it is woken when it may not any more.
    pub(crate) fn poll_waits(&self, cx: &Context<'_>, half: Half, heeds: Heeds) -> Result<()> {
        self.tasks[half as usize].register(cx.waker());
        let most = heeds as u8;
        if self.level.load(SeqCst) <= most { Ok(()) } else { Err(ErrorKind::Stopped.into()) }
    }
}
