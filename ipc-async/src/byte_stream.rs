//! A connection as a stream of bytes, for protocols that know nothing of messages.

use std::{
    io,
    task::{Context, Poll, ready},
};

use ipc_core::{ErrorKind, IpcConnection};

use crate::{
    Connection, Runtime,
    ender::Half,
    ops::{Out, Recv},
};

/// Bytes there and back: each write is a message or several, and reads take no notice of where one ends. The peer's
/// goodbye is the end of file; a peer that dies without one is `BrokenPipe`, or `UnexpectedEof` inside a message.
///
/// It implements tokio's `AsyncRead` and `AsyncWrite` on tokio, and those of `futures-io` on smol. What a write has
/// taken may wait here for room: flush, as with a buffered writer. One task may read while another writes.
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

    /// For a runtime's own traits: what can be read, at least a byte; empty at the end.
    ///
    /// # Errors
    /// The peer is gone.
    pub fn poll_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        while self.read == self.came.len() && !self.is_over {
            self.read = 0;
            let received = self.connection.poll_op(Half::Receiving, cx, Recv(&mut self.came));
            if !matches!(received, Poll::Ready(Ok(_))) {
                // It is as it was, and read already.
                self.came.clear();
            }
            self.is_over = !ready!(received)?;
        }
        Poll::Ready(Ok(&self.came[self.read..]))
    }

    /// So much of it was read.
    pub fn consume(&mut self, count: usize) {
        self.read += count;
    }

    /// Takes some of these bytes, and says how many.
    ///
    /// # Errors
    /// The peer is gone.
    pub fn poll_some_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut piece = bytes.len().min(PIECE);
        loop {
            if piece == 0 {
                return Poll::Ready(Ok(0));
            }
            match ready!(self.connection.poll_op(Half::Sending, cx, Out::Accept(&bytes[..piece]))) {
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

    /// Hands what was taken to the kernel.
    ///
    /// # Errors
    /// The peer is gone.
    pub fn poll_all_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_op(Half::Sending, cx, Out::Flush).map_err(io::Error::from)
    }

    /// The same, and a goodbye after it.
    ///
    /// # Errors
    /// The peer is gone.
    pub fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_op(Half::Sending, cx, Out::Leave).map_err(io::Error::from)
    }
}
