//! smol: a descriptor is asked for anew each time; what was said is remembered here.

use std::{
    io,
    os::fd::BorrowedFd,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::Instant,
};

use ipc_core::{Interest, IpcConnection};

use crate::{
    ByteStream, Ready, Runtime, Source,
    sys::{self, Watched},
};

/// smol's reactor and its global executor, which need not be started.
#[derive(Debug)]
pub enum Smol {}

/// A descriptor in the reactor.
#[derive(Debug)]
pub struct Registered {
    io: smol::Async<Watched>,
    readable: AtomicBool,
    writable: AtomicBool,
}

impl Runtime for Smol {
    type Source = Registered;
    type Sleep = Sleep;
    type Id = ();

    /// It has one reactor, which runs as soon as it is needed.
    fn here() -> Option<()> {
        Some(())
    }

    fn watch(fd: BorrowedFd<'_>) -> io::Result<Registered> {
        Ok(Registered { io: sys::smol(fd)?, readable: false.into(), writable: false.into() })
    }

    fn sleep_until(at: Instant) -> io::Result<Sleep> {
        Ok(Sleep(smol::Timer::at(at)))
    }

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(task).detach();
    }
}

/// A timer that says nothing when it is over.
#[derive(Debug)]
pub struct Sleep(smol::Timer);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

impl Source for Registered {
    type Ready<'a> = &'a AtomicBool;

    fn poll_ready(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<io::Result<&AtomicBool>> {
        let is_read = interest != Interest::Writable;
        let known = if is_read { &self.readable } else { &self.writable };
        if !known.load(Relaxed) {
            ready!(if is_read { self.io.poll_readable(cx) } else { self.io.poll_writable(cx) })?;
            known.store(true, Relaxed);
        }
        Poll::Ready(Ok(known))
    }
}

impl Ready for &AtomicBool {
    fn clear(self) {
        self.store(false, Relaxed);
    }
}

impl<C: IpcConnection> futures_io::AsyncRead for ByteStream<Smol, C> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let some = ready!(this.poll_some(cx))?;
        let count = some.len().min(into.len());
        into[..count].copy_from_slice(&some[..count]);
        this.consume(count);
        Poll::Ready(Ok(count))
    }
}

impl<C: IpcConnection> futures_io::AsyncWrite for ByteStream<Smol, C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_some_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_all_out(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_goodbye(cx)
    }
}
