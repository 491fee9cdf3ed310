//! A connection as a stream of bytes, for protocols that know nothing of messages.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use ipc_core::{Deadline, ErrorKind, IpcConnection};

use crate::{
    Connection, Runtime,
    ops::{Out, Recv},
    waiter::Ends,
};

/// Bytes there and back: each write is a message or several, and reads take no notice of where one ends. The peer's
/// goodbye is the end of file; a peer that dies without one is `BrokenPipe`, or `UnexpectedEof` inside a message.
///
/// It implements tokio's `AsyncRead` and `AsyncWrite` on tokio, and those of `futures-io` on smol. What a write has
/// taken may wait here for room: flush, as with a buffered writer.
#[derive(Debug)]
pub struct ByteStream<R: Runtime, C> {
    connection: Connection<R, C>,
    came: Vec<u8>,
    /// How much of it was read.
    read: usize,
    is_over: bool,
}

/// The most that becomes one message.
const PIECE: usize = 64 * 1024;

impl<R: Runtime, C: IpcConnection> ByteStream<R, C> {
    /// Looks at this connection as bytes; the other side must, too.
    #[must_use]
    pub fn new(connection: Connection<R, C>) -> Self {
        Self { connection, came: Vec::new(), read: 0, is_over: false }
    }

    /// The connection, to ask who the peer is.
    #[must_use]
    pub fn get_ref(&self) -> &Connection<R, C> {
        &self.connection
    }

    /// What can be read, at least a byte; empty at the end.
    pub(crate) fn poll_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        while self.read == self.came.len() && !self.is_over {
            self.read = 0;
            let received = self.connection.poll_op(cx, Recv(&mut self.came), &mut forever());
            if received.is_pending() {
                self.came.clear();
            }
            self.is_over = !ready!(received)?;
        }
        Poll::Ready(Ok(&self.came[self.read..]))
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.read += count;
    }

    pub(crate) fn poll_some_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut piece = bytes.len().min(PIECE);
        loop {
            if piece == 0 {
                return Poll::Ready(Ok(0));
            }
            match ready!(self.connection.poll_op(cx, Out::Accept(&bytes[..piece]), &mut forever())) {
                Ok(()) => return Poll::Ready(Ok(piece)),
                Err(error) => match *error.kind() {
                    // The peer takes smaller messages only.
                    ErrorKind::TooLarge { limit: limit @ 1.., .. } if limit < piece as u64 => {
                        piece = limit as usize
                    }
                    _ => return Poll::Ready(Err(error.into())),
                },
            }
        }
    }

    pub(crate) fn poll_all_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_op(cx, Out::Flush, &mut forever()).map_err(io::Error::from)
    }

    pub(crate) fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_op(cx, Out::Leave, &mut forever()).map_err(io::Error::from)
    }
}

fn forever() -> Ends {
    Ends::by(Deadline::Forever)
}

#[cfg(feature = "tokio")]
impl<C: IpcConnection> tokio::io::AsyncRead for ByteStream<crate::Tokio, C> {
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

#[cfg(feature = "tokio")]
impl<C: IpcConnection> tokio::io::AsyncWrite for ByteStream<crate::Tokio, C> {
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

#[cfg(feature = "smol")]
impl<C: IpcConnection> futures_io::AsyncRead for ByteStream<crate::Smol, C> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let some = ready!(this.poll_some(cx))?;
        let count = some.len().min(into.len());
        into[..count].copy_from_slice(&some[..count]);
        this.consume(count);
        Poll::Ready(Ok(count))
    }
}

#[cfg(feature = "smol")]
impl<C: IpcConnection> futures_io::AsyncWrite for ByteStream<crate::Smol, C> {
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
