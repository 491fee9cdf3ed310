//! What an async runtime must do: tell of descriptors, tell of time, run tasks.

use std::{
    io,
    os::fd::BorrowedFd,
    task::{Context, Poll},
    time::Instant,
};

use ipc_core::Interest;

/// An async runtime. A value of it is never made.
pub trait Runtime: Send + Sync + Sized + Unpin + 'static {
    /// A descriptor that the runtime watches.
    type Source: Source;
    /// Over at an instant.
    type Sleep: Future<Output = ()> + Send + 'static;
    /// Tells one runtime of this kind from another.
    type Id: Clone + PartialEq + Send + Sync + Unpin;

    /// The runtime that runs here, if one does. What another has watched is watched anew here: that one may be over, or
    /// nobody may drive it just now.
    fn here() -> Option<Self::Id>;

    /// Watches a descriptor. It stays open until the source is dropped: whoever calls sees to that.
    ///
    /// # Errors
    /// No runtime is running here; or what the operating system says, `AlreadyExists` if it is watched already.
    fn watch(fd: BorrowedFd<'_>) -> io::Result<Self::Source>;

    /// A future that is over at `at`, and perhaps a little later.
    ///
    /// # Errors
    /// No runtime is running here, or it has no timer.
    fn sleep_until(at: Instant) -> io::Result<Self::Sleep>;

    /// Runs a task on its own.
    fn spawn(task: impl Future<Output = ()> + Send + 'static);
}

/// A descriptor that a runtime watches. One task at a time waits for each [`Interest`] in it.
pub trait Source: Send + Sync {
    /// Says that it may be ready.
    type Ready<'a>: Ready
    where
        Self: 'a;

    /// Whether it may be ready; if not, the task is woken when it may be. Both ends of its life count as ready.
    ///
    /// # Errors
    /// The runtime is shutting down.
    fn poll_ready(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<io::Result<Self::Ready<'_>>>;
}

/// What was said to be ready, until a try shows that it is not.
pub trait Ready {
    /// A try made since has found that it is not ready any more.
    fn clear(self);
}
