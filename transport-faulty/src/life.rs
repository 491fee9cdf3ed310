//! Whether the process that a connection stands for is still alive, and a bell that tells both halves when not.

use std::{
    io::{self, PipeReader, PipeWriter},
    os::fd::{AsFd, BorrowedFd},
    sync::{Mutex, PoisonError},
};

/// Shared by the halves of a connection that may die.
#[derive(Debug)]
pub(crate) struct Life {
    /// Its descriptor becomes ready, and stays so, when the writer is gone.
    bell: PipeReader,
    pulse: Mutex<Option<PipeWriter>>,
}

impl Life {
    pub(crate) fn new() -> io::Result<Self> {
        let (bell, pulse) = io::pipe()?;
        Ok(Self { bell, pulse: Mutex::new(Some(pulse)) })
    }

    pub(crate) fn end(&self) {
        *self.pulse.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn is_over(&self) -> bool {
        self.pulse.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

impl AsFd for Life {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
