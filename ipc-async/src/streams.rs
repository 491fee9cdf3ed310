//! Messages as a stream, and a sink for them.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use futures_sink::Sink;
use ipc_core::{Deadline, Error, IpcConnection, Result};

use crate::{
    Connection, Receiver, Runtime, Sender,
    ender::Half,
    ops::{Out, Recv},
    waiter::Ends,
};

/// Each message; the stream is over after the peer's goodbye. One task may poll it as a stream while another polls it as
/// a sink, as after `StreamExt::split`.
impl<R: Runtime, C: IpcConnection> Stream for Connection<R, C> {
    type Item = Result<Vec<u8>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut info = Vec::new();
        let received = ready!(self.poll_op(Half::Receiving, cx, Recv(&mut info)));
        Poll::Ready(item(received, info))
    }
}

/// As [`Connection`]'s.
impl<R: Runtime> Stream for Receiver<R> {
    type Item = Result<Vec<u8>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut info = Vec::new();
        let received = ready!(self.poll_recv(cx, &mut info));
        Poll::Ready(item(received, info))
    }
}

fn item(received: Result<bool>, info: Vec<u8>) -> Option<Result<Vec<u8>>> {
    received.map(|came| came.then_some(info)).transpose()
}

/// From so many bytes on that wait to leave, no more are taken.
const FULL: usize = 64 * 1024;

/// Messages that gather and leave together, at the latest when the sink is flushed. Closing it says goodbye.
impl<R: Runtime, C: IpcConnection, I: AsRef<[u8]>> Sink<I> for Connection<R, C> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.connection.queued() < FULL {
            Poll::Ready(Ok(()))
        } else {
            self.poll_op(Half::Sending, cx, Out::Flush)
        }
    }

    fn start_send(mut self: Pin<&mut Self>, item: I) -> Result<()> {
        self.connection.queue_info(item.as_ref())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_op(Half::Sending, cx, Out::Flush)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_op(Half::Sending, cx, Out::Leave)
    }
}

/// As [`Connection`]'s.
impl<R: Runtime, I: AsRef<[u8]>> Sink<I> for Sender<R> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.sender.queued() < FULL {
            Poll::Ready(Ok(()))
        } else {
            self.poll_op(cx, Out::Flush, &mut forever())
        }
    }

    fn start_send(mut self: Pin<&mut Self>, item: I) -> Result<()> {
        self.sender.queue_info(item.as_ref())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_op(cx, Out::Flush, &mut forever())
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_op(cx, Out::Leave, &mut forever())
    }
}

fn forever() -> Ends {
    Ends::by(Deadline::Forever)
}
