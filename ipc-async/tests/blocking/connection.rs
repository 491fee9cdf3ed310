use std::{
    fmt,
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    time::Instant,
};

use futures_util::Sink;
use ipc_core::{
    Address, Connection, Deadline, Interests, IpcConnection, IpcReceiver, IpcSender, Peer, Result,
    StopHandle, Transport, WaitStrategy, Wire,
};

use super::{Adapted, Blocking, BlockingConnection};

impl<R: Blocking, T: Transport> IpcSender for BlockingConnection<R, T> {
    fn send_info_by(&mut self, info: &[u8], deadline: Deadline) -> Result<()> {
        R::block_on(self.inner.send_info_by(info, deadline))
    }

    fn send_info(&mut self, info: &[u8]) -> Result<()> {
        R::block_on(self.inner.send_info(info))
    }

    fn feed_info_by(&mut self, info: &[u8], deadline: Deadline) -> Result<()> {
        R::block_on(self.inner.feed_info_by(info, deadline))
    }

    fn feed_info(&mut self, info: &[u8]) -> Result<()> {
        R::block_on(self.inner.feed_info(info))
    }

    fn queue_info(&mut self, info: &[u8]) -> Result<()> {
        Pin::new(&mut self.inner).start_send(info)
    }

    fn queued(&self) -> usize {
        self.inner.get_ref().queued()
    }

    fn largest(&self) -> u32 {
        self.inner.get_ref().largest()
    }

    fn wire(&self) -> Wire {
        self.inner.get_ref().wire()
    }

    /// There is no such future: each is fed, and then all are flushed.
    fn send_many_by(&mut self, infos: &[&[u8]], deadline: Deadline) -> Result<usize> {
        for (done, info) in infos.iter().enumerate() {
            match self.feed_info_by(info, deadline) {
                Err(error) if done == 0 => return Err(error),
                Err(_) => {
                    let _ = self.flush_info_by(Deadline::Now);
                    return Ok(done);
                }
                Ok(()) => {}
            }
        }
        let _ = self.flush_info_by(deadline);
        Ok(infos.len())
    }

    fn flush_info_by(&mut self, deadline: Deadline) -> Result<()> {
        R::block_on(self.inner.flush_info_by(deadline))
    }

    fn flush_info(&mut self) -> Result<()> {
        R::block_on(self.inner.flush_info())
    }

    fn disconnect_from_by(&mut self, deadline: Deadline) -> Result<()> {
        R::block_on(self.inner.disconnect_from_by(deadline))
    }

    fn disconnect_from(&mut self) -> Result<()> {
        R::block_on(self.inner.disconnect_from())
    }

    fn try_disconnect_from(&mut self) -> Result<()> {
        self.disconnect_from_by(Deadline::Now)
    }

    fn send_interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.inner.get_ref().send_interests(into);
    }

    fn send_wake_at(&self) -> Option<Instant> {
        self.inner.get_ref().send_wake_at()
    }

    fn send_deadline(&self) -> Deadline {
        self.inner.get_ref().send_deadline()
    }

    fn set_send_deadline(&mut self, deadline: Deadline) {
        self.inner.set_send_deadline(deadline);
    }

    /// A runtime has its own way.
    fn set_send_wait(&mut self, _: WaitStrategy) {}

    fn stop_sending_with(&mut self, handle: &StopHandle) {
        self.inner.stop_with(handle);
    }
}

impl<R: Blocking, T: Transport> IpcReceiver for BlockingConnection<R, T> {
    fn recv_borrowed_by(&mut self, deadline: Deadline) -> Result<Option<&[u8]>> {
        let came = R::block_on(self.inner.recv_info_by(&mut self.info, deadline))?;
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
        self.inner.get_ref().has_buffered()
    }

    fn is_drained(&self) -> bool {
        self.inner.get_ref().is_drained()
    }

    /// A future gives it back when it waits.
    fn rest(&mut self) {}

    fn recv_interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.inner.get_ref().recv_interests(into);
    }

    fn recv_wake_at(&self) -> Option<Instant> {
        self.inner.get_ref().recv_wake_at()
    }

    fn recv_deadline(&self) -> Deadline {
        self.inner.get_ref().recv_deadline()
    }

    fn set_recv_deadline(&mut self, deadline: Deadline) {
        self.inner.set_recv_deadline(deadline);
    }

    fn set_recv_wait(&mut self, _: WaitStrategy) {}

    fn stop_receiving_with(&mut self, handle: &StopHandle) {
        self.inner.stop_with(handle);
    }
}

impl<R: Blocking, T: Transport> IpcConnection for BlockingConnection<R, T> {
    fn connect_to(at: &Address) -> Result<Self> {
        R::block_on(ipc_async::Connection::<R, Connection<T>>::connect_to(at)).map(Self::new)
    }

    fn peer(&self) -> &Peer {
        self.inner.peer()
    }

    fn stop_with(&mut self, handle: &StopHandle) {
        self.inner.stop_with(handle);
    }

    fn split(self: Box<Self>) -> (Box<dyn IpcSender>, Box<dyn IpcReceiver>) {
        let (sender, receiver) = <Adapted<R, T> as conformance::Subject>::split(*self);
        (Box::new(sender), Box::new(receiver))
    }
}

impl<R: Blocking, T: Transport> AsFd for BlockingConnection<R, T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.get_ref().as_fd()
    }
}

impl<R: Blocking, T: Transport> fmt::Debug for BlockingConnection<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
