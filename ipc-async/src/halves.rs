//! The halves of a connection, for two tasks.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use ipc_core::{Deadline, IpcReceiver, IpcSender, Result, StopHandle};

use crate::{
    Runtime,
    ops::{Discard, Op, Out, Recv, Send},
    waiter::{Call, Ends, Waiter, is_late},
};

/// The half that sends. Dropping it says goodbye without waiting.
pub struct Sender<R: Runtime> {
    pub(crate) waiter: Waiter<R>,
    pub(crate) sender: Box<dyn IpcSender>,
}

/// The half that receives.
pub struct Receiver<R: Runtime> {
    pub(crate) waiter: Waiter<R>,
    pub(crate) receiver: Box<dyn IpcReceiver>,
}

impl<R: Runtime> Sender<R> {
    /// As [`Connection::send_info`](crate::Connection::send_info).
    ///
    /// # Errors
    /// As there.
    pub fn send_info(&mut self, info: &[u8]) -> impl Future<Output = Result<()>> {
        self.send_info_by(info, self.sender.send_deadline())
    }

    /// As [`Connection::send_info_by`](crate::Connection::send_info_by).
    ///
    /// # Errors
    /// As there.
    pub fn send_info_by(&mut self, info: &[u8], deadline: Deadline) -> impl Future<Output = Result<()>> {
        self.call(Send::new(info), deadline)
    }

    /// As [`Connection::feed_info`](crate::Connection::feed_info).
    ///
    /// # Errors
    /// As there.
    pub fn feed_info(&mut self, info: &[u8]) -> impl Future<Output = Result<()>> {
        self.call(Out::Feed(info), self.sender.send_deadline())
    }

    /// As [`Connection::feed_info_by`](crate::Connection::feed_info_by).
    ///
    /// # Errors
    /// As there.
    pub fn feed_info_by(&mut self, info: &[u8], deadline: Deadline) -> impl Future<Output = Result<()>> {
        self.call(Out::Feed(info), deadline)
    }

    /// As [`Connection::flush_info`](crate::Connection::flush_info).
    ///
    /// # Errors
    /// As there.
    pub fn flush_info(&mut self) -> impl Future<Output = Result<()>> {
        self.call(Out::Flush, self.sender.send_deadline())
    }

    /// As [`Connection::flush_info_by`](crate::Connection::flush_info_by).
    ///
    /// # Errors
    /// As there.
    pub fn flush_info_by(&mut self, deadline: Deadline) -> impl Future<Output = Result<()>> {
        self.call(Out::Flush, deadline)
    }

    /// As [`Connection::disconnect_from`](crate::Connection::disconnect_from).
    ///
    /// # Errors
    /// As there.
    pub async fn disconnect_from(&mut self) -> Result<()> {
        self.disconnect_from_by(Duration::from_secs(5).into()).await
    }

    /// As [`Connection::disconnect_from_by`](crate::Connection::disconnect_from_by).
    ///
    /// # Errors
    /// As there.
    pub async fn disconnect_from_by(&mut self, deadline: Deadline) -> Result<()> {
        match self.call(Out::Leave, deadline).await {
            Err(error) if is_late(&error) => self.sender.disconnect_from_by(Deadline::Now),
            left => left,
        }
    }

    /// Sets how long every later [`send_info`](Self::send_info) waits.
    pub fn set_send_deadline(&mut self, deadline: Deadline) {
        self.sender.set_send_deadline(deadline);
    }

    /// Lets this handle end waits for room.
    pub fn stop_with(&mut self, handle: &StopHandle) {
        self.waiter.forget();
        self.sender.stop_sending_with(handle);
    }

    pub(crate) fn poll_op<O: Op<dyn IpcSender>>(
        &mut self,
        cx: &mut Context<'_>,
        mut op: O,
        ends: &mut Ends,
    ) -> Poll<Result<O::Output>> {
        self.waiter.poll(cx, &mut *self.sender, &mut op, ends)
    }

    fn call<O: Op<dyn IpcSender>>(&mut self, op: O, deadline: Deadline) -> Call<'_, R, dyn IpcSender, O> {
        Call { waiter: &mut self.waiter, on: &mut *self.sender, op, ends: Ends::by(deadline) }
    }
}

impl<R: Runtime> Receiver<R> {
    /// As [`Connection::recv_info`](crate::Connection::recv_info).
    ///
    /// # Errors
    /// As there.
    pub fn recv_info(&mut self, into: &mut Vec<u8>) -> impl Future<Output = Result<bool>> {
        self.recv_info_by(into, self.receiver.recv_deadline())
    }

    /// As [`Connection::recv_info_by`](crate::Connection::recv_info_by).
    ///
    /// # Errors
    /// As there.
    pub fn recv_info_by(
        &mut self,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<bool>> {
        let Self { waiter, receiver } = self;
        Call { waiter, on: &mut **receiver, op: Recv(into), ends: Ends::by(deadline) }
    }

    /// As [`Connection::discard_info_by`](crate::Connection::discard_info_by).
    ///
    /// # Errors
    /// As there.
    pub fn discard_info_by(&mut self, deadline: Deadline) -> impl Future<Output = Result<bool>> {
        let Self { waiter, receiver } = self;
        Call { waiter, on: &mut **receiver, op: Discard, ends: Ends::by(deadline) }
    }

    /// Sets how long every later [`recv_info`](Self::recv_info) waits.
    pub fn set_recv_deadline(&mut self, deadline: Deadline) {
        self.receiver.set_recv_deadline(deadline);
    }

    /// Lets this handle end waits for messages.
    pub fn stop_with(&mut self, handle: &StopHandle) {
        self.waiter.forget();
        self.receiver.stop_receiving_with(handle);
    }

    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<Result<bool>> {
        let mut ends = Ends::by(Deadline::Forever);
        self.waiter.poll(cx, &mut *self.receiver, &mut Recv(into), &mut ends)
    }
}
