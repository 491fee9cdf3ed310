//! The receiving half: whole messages in order, then the goodbye; or the truth about what happened instead.

use std::{
    io::{self, IoSliceMut},
    ops::Range,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use crate::{
    Deadline, Error, ErrorKind, Got, Interests, IpcReceiver, Result, Rx, Sender, StopHandle, Traffic,
    Transport, Wait, WaitStrategy,
    connection::Shared,
    drive::{Operation, Try, Waiting, drive, settle},
    frame::{Decoder, Frame, FrameKind},
    hello,
};

/// The receiving half of a connection.
#[derive(Debug)]
pub struct Receiver<T: Transport> {
    rx: T::Rx,
    decoder: Decoder,
    stage: Stage,
    deadline: Deadline,
    traffic: Traffic,
    pub(crate) waiting: Waiting,
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// The peer said goodbye: everything came.
    Over,
    Broken(ErrorKind),
}

impl<T: Transport> Receiver<T> {
    pub(crate) fn greeting(rx: T::Rx, shared: Arc<Shared>, waiting: Waiting) -> Self {
        let (decoder, deadline) = (Decoder::new(hello::LARGEST), Deadline::Forever);
        Self { rx, decoder, stage: Stage::Open, deadline, traffic: Traffic::default(), waiting, shared }
    }

    /// The handshake is over: messages of up to `limit` bytes are received.
    pub(crate) fn open(&mut self, limit: u32) {
        self.decoder.set_limit(limit);
    }

    /// What has been received.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &crate::Peer {
        &self.shared.peer
    }

    pub(crate) fn add_interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.rx.interests(into);
    }

    pub(crate) fn arm(&mut self) -> io::Result<bool> {
        self.rx.arm()
    }

    /// The bytes of a frame just taken.
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.decoder.bytes(range)
    }

    /// The next frame, with at most one read.
    pub(crate) fn try_frame(&mut self, may_block: bool) -> Result<Try<Frame>> {
        if let Stage::Broken(kind) = &self.stage {
            return Err(kind.clone().into());
        }
        if let Some(frame) = self.buffered_frame()? {
            return Ok(Try::Done(frame));
        }
        let Self { rx, decoder, .. } = self;
        match settle(|| rx.try_recv(&mut [IoSliceMut::new(decoder.room())], may_block)) {
            Ok(Some(Got::Bytes(count))) => self.decoder.filled(count),
            Ok(None) => return Ok(Try::NotNow),
            Ok(Some(Got::End)) => return Err(self.ended()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(self.ended()),
            Err(error) => return Err(self.broke(error.into())),
        }
        Ok(self.buffered_frame()?.map_or(Try::Again, Try::Done))
    }

    fn buffered_frame(&mut self) -> Result<Option<Frame>> {
        self.decoder.next_frame().map_err(|what| self.broke(ErrorKind::Protocol { what }.into()))
    }

    /// The next message, or `None` for the goodbye.
    pub(crate) fn try_message(&mut self, may_block: bool) -> Result<Try<Option<Range<usize>>>> {
        if self.stage == Stage::Over {
            return Ok(Try::Done(None));
        }
        match self.try_frame(may_block)? {
            Try::Done(Frame { kind: FrameKind::Data, range }) => {
                self.traffic.count(range.len());
                Ok(Try::Done(Some(range)))
            }
            Try::Done(Frame { kind: FrameKind::Goodbye, .. }) => {
                self.stage = Stage::Over;
                Ok(Try::Done(None))
            }
            Try::Done(_) => {
                Err(self.broke(ErrorKind::Protocol { what: "a frame that has no business here" }.into()))
            }
            Try::Again => Ok(Try::Again),
            Try::NotNow => Ok(Try::NotNow),
        }
    }

    /// Receives, and meanwhile pushes the tail of `sender`, if it is given: two polite peers that both only
    /// receive would otherwise wait for each other's rest for ever.
    pub(crate) fn receive(
        &mut self,
        sender: Option<&mut Sender<T>>,
        deadline: Deadline,
    ) -> Result<Option<&[u8]>> {
        // A goodbye or an error is told even after a stop: it needs no wait.
        let waiting = self.waiting.clone();
        let found = drive(&mut Receive { receiver: self, sender }, deadline, &waiting);
        match found {
            Ok(range) => Ok(range.map(|range| self.decoder.bytes(range))),
            Err(error) => Err(error.about("recv_info", &self.shared.address)),
        }
    }

    fn ended(&mut self) -> Error {
        let kind = if self.decoder.has_buffered() { ErrorKind::Truncated } else { ErrorKind::PeerGone };
        self.broke(kind.into())
    }

    fn broke(&mut self, error: Error) -> Error {
        log::debug!("{}: {error}", self.shared.address);
        self.stage = Stage::Broken(error.kind().clone());
        error
    }
}

impl<T: Transport> IpcReceiver for Receiver<T> {
    fn recv_borrowed_by(&mut self, deadline: Deadline) -> Result<Option<&[u8]>> {
        self.receive(None, deadline)
    }

    fn has_buffered(&self) -> bool {
        self.decoder.has_buffered()
    }

    fn recv_deadline(&self) -> Deadline {
        self.deadline
    }

    fn set_recv_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    fn set_recv_wait(&mut self, strategy: WaitStrategy) {
        self.waiting.strategy = strategy;
    }

    fn stop_receiving_with(&mut self, handle: &StopHandle) {
        self.waiting.stop = Some(handle.clone());
    }
}

impl<T: Transport> AsFd for Receiver<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.rx.as_fd()
    }
}

impl<T: Transport> Drop for Receiver<T> {
    fn drop(&mut self) {
        // In a forked child the connection is still the parent's.
        if self.shared.made_by == std::process::id() {
            self.rx.finish();
        }
    }
}

struct Receive<'a, T: Transport> {
    receiver: &'a mut Receiver<T>,
    sender: Option<&'a mut Sender<T>>,
}

impl<T: Transport> Receive<'_, T> {
    fn tail(&self) -> Option<&Sender<T>> {
        self.sender.as_deref().filter(|sender| sender.has_tail())
    }
}

impl<T: Transport> Operation for Receive<'_, T> {
    type Output = Option<Range<usize>>;

    fn attempt(&mut self, may_block: bool) -> Result<Try<Self::Output>> {
        let tail_left = match &mut self.sender {
            // A broken sender tells so at the next send; what the peer sent can still be received.
            Some(sender) if sender.has_tail() => !sender.push_tail(false).unwrap_or(true),
            _ => false,
        };
        self.receiver.try_message(may_block && !tail_left)
    }

    fn arm(&mut self) -> io::Result<bool> {
        let receiver = self.receiver.arm()?;
        match &mut self.sender {
            Some(sender) if sender.has_tail() => Ok(sender.arm()? && receiver),
            _ => Ok(receiver),
        }
    }

    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.receiver.add_interests(into);
        if let Some(sender) = self.tail() {
            sender.add_interests(into);
        }
    }
}
