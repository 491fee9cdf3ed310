//! tokio: readiness is remembered until a try clears it.

use std::{
    io,
    os::fd::BorrowedFd,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use ipc_core::{Interest, IpcConnection};
use tokio::{
    io::unix::{AsyncFd, AsyncFdReadyGuard},
    runtime::{Handle, Id},
};

use crate::{
    ByteStream, Ready, Runtime, Source,
    sys::{self, Watched},
};

/// The tokio runtime that is current where a call is made.
#[derive(Debug)]
pub enum Tokio {}

impl Runtime for Tokio {
    type Source = AsyncFd<Watched>;
    type Sleep = tokio::time::Sleep;
    type Id = Id;

    fn here() -> Option<Id> {
        Handle::try_current().ok().map(|runtime| runtime.id())
    }

    fn watch(fd: BorrowedFd<'_>) -> io::Result<Self::Source> {
        within("no I/O driver: expected enable_io()", || sys::tokio(fd))?
    }

    fn sleep_until(at: Instant) -> io::Result<Self::Sleep> {
        within("no timer: expected enable_time()", || tokio::time::sleep_until(at.into()))
    }

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }
}

/// Asks the runtime for something. One that was built without it panics, and cannot be asked before.
fn within<T>(lacks: &str, ask: impl FnOnce() -> T) -> io::Result<T> {
    if Tokio::here().is_none() {
        return Err(io::Error::other("no tokio runtime is running here: expected to be polled in one"));
    }
    catch_unwind(AssertUnwindSafe(ask))
        .map_err(|_| io::Error::other(format!("this tokio runtime has {lacks}")))
}

impl Source for AsyncFd<Watched> {
    type Ready<'a> = AsyncFdReadyGuard<'a, Watched>;

    fn poll_ready(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<io::Result<Self::Ready<'_>>> {
        match interest {
            Interest::Readable => self.poll_read_ready(cx),
            Interest::Writable => self.poll_write_ready(cx),
            // Room is no news, but that nobody reads any more is told with it.
            Interest::Hangup => loop {
                let mut guard = ready!(self.poll_write_ready(cx))?;
                if guard.ready().is_write_closed() || guard.ready().is_read_closed() {
                    return Poll::Ready(Ok(guard));
                }
                guard.clear_ready();
            },
        }
    }
}

impl Ready for AsyncFdReadyGuard<'_, Watched> {
    fn clear(mut self) {
        self.clear_ready();
    }
}

impl<C: IpcConnection> tokio::io::AsyncRead for ByteStream<Tokio, C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let some = ready!(this.poll_some(cx))?;
        let count = some.len().min(into.remaining());
        into.put_slice(&some[..count]);
        this.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl<C: IpcConnection> tokio::io::AsyncWrite for ByteStream<Tokio, C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_some_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_all_out(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_goodbye(cx)
    }
}
