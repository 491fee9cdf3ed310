use std::{
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    time::Instant,
};

use futures_util::Sink;
use ipc_core::{Deadline, Interests, IpcReceiver, IpcSender, Result, StopHandle, WaitStrategy, Wire};

use super::{Blocking, BlockingReceiver, BlockingSender};

/// What the words need of an implementation that others wait for; nobody waits for these halves.
const NOT_ASKED: &str = "no promise asks this of a half";

impl<R: Blocking> IpcSender for BlockingSender<R> {
    fn send_info_by(&mut self, info: &[u8], deadline: Deadline) -> Result<()> {
        R::block_on(self.0.send_info_by(info, deadline))
    }

    fn send_info(&mut self, info: &[u8]) -> Result<()> {
        R::block_on(self.0.send_info(info))
    }

    fn feed_info_by(&mut self, info: &[u8], deadline: Deadline) -> Result<()> {
        R::block_on(self.0.feed_info_by(info, deadline))
    }

    fn queue_info(&mut self, info: &[u8]) -> Result<()> {
        Pin::new(&mut self.0).start_send(info)
    }

    fn queued(&self) -> usize {
        unreachable!("{NOT_ASKED}")
    }

    fn largest(&self) -> u32 {
        unreachable!("{NOT_ASKED}")
    }

    fn wire(&self) -> Wire {
        unreachable!("{NOT_ASKED}")
    }

    fn send_many_by(&mut self, _: &[&[u8]], _: Deadline) -> Result<usize> {
        unreachable!("{NOT_ASKED}")
    }

    fn flush_info_by(&mut self, deadline: Deadline) -> Result<()> {
        R::block_on(self.0.flush_info_by(deadline))
    }

    fn disconnect_from_by(&mut self, deadline: Deadline) -> Result<()> {
        R::block_on(self.0.disconnect_from_by(deadline))
    }

    fn disconnect_from(&mut self) -> Result<()> {
        R::block_on(self.0.disconnect_from())
    }

    fn try_disconnect_from(&mut self) -> Result<()> {
        self.disconnect_from_by(Deadline::Now)
    }

    fn send_interests<'a>(&'a self, _: &mut Interests<'a>) {
        unreachable!("{NOT_ASKED}")
    }

    fn send_wake_at(&self) -> Option<Instant> {
        unreachable!("{NOT_ASKED}")
    }

    fn send_deadline(&self) -> Deadline {
        unreachable!("{NOT_ASKED}")
    }

    fn set_send_deadline(&mut self, deadline: Deadline) {
        self.0.set_send_deadline(deadline);
    }

    fn set_send_wait(&mut self, _: WaitStrategy) {}

    fn stop_sending_with(&mut self, handle: &StopHandle) {
        self.0.stop_with(handle);
    }
}

impl<R: Blocking> AsFd for BlockingSender<R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        unreachable!("{NOT_ASKED}")
    }
}

impl<R: Blocking> IpcReceiver for BlockingReceiver<R> {
    fn recv_borrowed_by(&mut self, deadline: Deadline) -> Result<Option<&[u8]>> {
        let came = R::block_on(self.inner.recv_info_by(&mut self.info, deadline))?;
        Ok(came.then_some(self.info.as_slice()))
    }

    fn recv_borrowed(&mut self) -> Result<Option<&[u8]>> {
        let came = R::block_on(self.inner.recv_info(&mut self.info))?;
        Ok(came.then_some(self.info.as_slice()))
    }

    fn recv_info_by(&mut self, into: &mut Vec<u8>, deadline: Deadline) -> Result<bool> {
        R::block_on(self.inner.recv_info_by(into, deadline))
    }

    fn recv_info(&mut self, into: &mut Vec<u8>) -> Result<bool> {
        R::block_on(self.inner.recv_info(into))
    }

    fn discard_info_by(&mut self, deadline: Deadline) -> Result<bool> {
        R::block_on(self.inner.discard_info_by(deadline))
    }

    fn has_buffered(&self) -> bool {
        unreachable!("{NOT_ASKED}")
    }

    fn is_drained(&self) -> bool {
        unreachable!("{NOT_ASKED}")
    }

    fn rest(&mut self) {
        unreachable!("{NOT_ASKED}")
    }

    fn recv_interests<'a>(&'a self, _: &mut Interests<'a>) {
        unreachable!("{NOT_ASKED}")
    }

    fn recv_wake_at(&self) -> Option<Instant> {
        unreachable!("{NOT_ASKED}")
    }

    fn recv_deadline(&self) -> Deadline {
        unreachable!("{NOT_ASKED}")
    }

    fn set_recv_deadline(&mut self, deadline: Deadline) {
        self.inner.set_recv_deadline(deadline);
    }

    fn set_recv_wait(&mut self, _: WaitStrategy) {}

    fn stop_receiving_with(&mut self, handle: &StopHandle) {
        self.inner.stop_with(handle);
    }
}

impl<R: Blocking> AsFd for BlockingReceiver<R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        unreachable!("{NOT_ASKED}")
    }
}
