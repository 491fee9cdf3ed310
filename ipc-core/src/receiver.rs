//! The receiving half: whole messages in order, then the goodbye; or the truth about what happened instead.

use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::Instant,
};

use crate::{
    Deadline, Interests, IpcReceiver, Result, StopHandle, Traffic, Transport, Wait, WaitStrategy, Wire,
    connection::Shared,
    drive::{Waiting, drive},
    frame::Frame,
    intake::{Discard, Intake, Receive},
    outlet::Outlet,
    strategy::Spinner,
};

/// The receiving half of a connection.
#[derive(Debug)]
pub struct Receiver<T: Transport> {
    pub(crate) intake: Intake<T>,
    deadline: Deadline,
    pub(crate) waiting: Waiting,
}

impl<T: Transport> Receiver<T> {
    pub(crate) fn greeting(rx: T::Rx, shared: Arc<Shared>, waiting: Waiting, wire: Wire) -> Self {
        Self { intake: Intake::new(rx, shared, wire), deadline: Deadline::Forever, waiting }
    }

    /// The handshake is over: messages of up to `limit` bytes are received.
    pub(crate) fn open(&mut self, limit: u32) {
        self.intake.decoder.set_limit(limit);
    }

    /// What has been received.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.intake.traffic
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &crate::Peer {
        &self.intake.shared.peer
    }

    pub(crate) fn add_interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.intake.rx.interests(into);
    }

    /// The bytes of a frame just taken.
    pub(crate) fn bytes(&self, frame: &Frame) -> &[u8] {
        self.intake.decoder.bytes(frame)
    }

    /// Receives, and meanwhile sends what `outlet`, the other half's, still has.
    #[inline]
    pub(crate) fn receive(
        &mut self,
        outlet: Option<&mut Outlet<T>>,
        deadline: Deadline,
    ) -> Result<Option<Frame>> {
        let Self { intake, waiting, .. } = self;
        let found = if intake.is_quiet() {
            drive(&mut Receive { intake, outlet }, deadline, waiting)
        } else {
            // The rest of a burst is here already.
            match waiting.begin(deadline).and_then(|()| intake.next_message()) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => drive(&mut Receive { intake, outlet }, deadline, waiting),
                Err(error) => Err(error),
            }
        };
        found.map_err(|error| error.about("recv_info", &self.intake.shared.address))
    }

    /// Puts what was received into `into`.
    #[inline]
    pub(crate) fn deliver(&mut self, frame: Option<Frame>, into: &mut Vec<u8>) -> bool {
        match &frame {
            Some(frame) => self.intake.decoder.deliver(frame, into),
            None => into.clear(),
        }
        frame.is_some()
    }
}

impl<T: Transport> IpcReceiver for Receiver<T> {
    fn recv_borrowed_by(&mut self, deadline: Deadline) -> Result<Option<&[u8]>> {
        let frame = self.receive(None, deadline)?;
        Ok(frame.map(|frame| self.bytes(&frame)))
    }

    fn recv_info_by(&mut self, into: &mut Vec<u8>, deadline: Deadline) -> Result<bool> {
        let frame = self.receive(None, deadline)?;
        Ok(self.deliver(frame, into))
    }

    fn discard_info_by(&mut self, deadline: Deadline) -> Result<bool> {
        drive(&mut Discard(&mut self.intake), deadline, &mut self.waiting)
            .map_err(|error| error.about("discard_info", &self.intake.shared.address))
    }

    fn has_buffered(&self) -> bool {
        self.intake.has_buffered()
    }

    fn is_drained(&self) -> bool {
        self.intake.is_drained()
    }

    fn rest(&mut self) {
        self.intake.decoder.rest();
    }

    fn recv_interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.intake.rx.interests(into);
        self.waiting.interests(into);
    }

    fn recv_wake_at(&self) -> Option<Instant> {
        self.intake.rx.wake_at().into_iter().chain(self.waiting.watch.stalls_next()).min()
    }

    fn recv_deadline(&self) -> Deadline {
        self.deadline
    }

    fn set_recv_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    fn set_recv_wait(&mut self, strategy: WaitStrategy) {
        self.waiting.spinner = Spinner::new(strategy);
    }

    fn stop_receiving_with(&mut self, handle: &StopHandle) {
        self.waiting.stop = Some(handle.clone());
    }
}

impl<T: Transport> AsFd for Receiver<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.intake.as_fd()
    }
}
