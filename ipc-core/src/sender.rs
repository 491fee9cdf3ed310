//! The sending half: a message is accepted whole or not at all, and leaves in order.

use std::{
    io::IoSlice,
    mem,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::Duration,
};

use crate::{
    Deadline, Error, ErrorKind, Interests, IpcSender, Result, StopHandle, Traffic, Transport, Tx, Wait,
    WaitStrategy,
    connection::Shared,
    drive::{Operation, Try, Waiting, drive, settle},
    frame::{FrameKind, HEADER, header},
};

/// The sending half of a connection. Dropping it says goodbye without waiting.
#[derive(Debug)]
pub struct Sender<T: Transport> {
    tx: T::Tx,
    stage: Stage,
    tail: Tail,
    /// The largest message the other side receives.
    limit: u32,
    deadline: Deadline,
    traffic: Traffic,
    pub(crate) waiting: Waiting,
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// The handshake is not over: no goodbye is due.
    Greeting,
    Open,
    /// The goodbye is accepted, and perhaps still in the tail.
    Leaving,
    Ended,
    /// A send failed for good.
    Broken(ErrorKind),
}

/// What was accepted and has not left yet: the end of at most one frame.
#[derive(Debug, Default)]
struct Tail {
    bytes: Vec<u8>,
    sent: usize,
    is_message: bool,
}

/// A tail's memory is kept for the next one up to this size.
const KEPT_TAIL: usize = 64 * 1024;

const DISCONNECT: Duration = Duration::from_secs(5);

impl<T: Transport> Sender<T> {
    pub(crate) fn greeting(tx: T::Tx, shared: Arc<Shared>, waiting: Waiting) -> Self {
        let (stage, tail, traffic) = (Stage::Greeting, Tail::default(), Traffic::default());
        Self { tx, stage, tail, limit: 0, deadline: Deadline::Forever, traffic, waiting, shared }
    }

    /// The handshake is over: the other side receives up to `limit` bytes.
    pub(crate) fn open(&mut self, limit: u32) {
        (self.stage, self.limit) = (Stage::Open, limit);
    }

    /// What has been sent.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &crate::Peer {
        &self.shared.peer
    }

    /// Sends a whole frame as far as it goes without waiting; the rest stays in the tail.
    pub(crate) fn post(&mut self, kind: FrameKind, body: &[u8]) -> Result<()> {
        self.push(kind, body, Deadline::Now)
    }

    /// Whether there is a tail that can still leave.
    pub(crate) fn has_tail(&self) -> bool {
        !self.tail.is_empty() && !matches!(self.stage, Stage::Broken(_))
    }

    pub(crate) fn add_interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.tx.interests(into);
    }

    /// Goes on with the tail. True: nothing is left of it.
    pub(crate) fn push_tail(&mut self, may_block: bool) -> Result<bool> {
        while !self.tail.is_empty() {
            let Self { tx, tail, .. } = self;
            match settle(|| tx.try_send(&[IoSlice::new(tail.rest())], may_block)) {
                Ok(Some(sent)) => self.tail.went(sent),
                Ok(None) => return Ok(false),
                Err(error) => return Err(self.broke(error)),
            }
        }
        Ok(true)
    }

    pub(crate) fn arm(&mut self) -> std::io::Result<bool> {
        self.tx.arm()
    }

    /// Goes silent at once, as if the process had died.
    pub(crate) fn abandon(&mut self) {
        self.stage = Stage::Ended;
    }

    fn check_open(&self) -> Result<()> {
        match &self.stage {
            Stage::Greeting | Stage::Open => Ok(()),
            Stage::Leaving | Stage::Ended => Err(ErrorKind::Closed.into()),
            Stage::Broken(kind) => Err(kind.clone().into()),
        }
    }

    /// Sends a frame. If the deadline passes after part of it left, the rest is copied and the frame accepted.
    fn push(&mut self, kind: FrameKind, body: &[u8], deadline: Deadline) -> Result<()> {
        self.check_open()?;
        // `send_info` has checked the size against a limit that is a u32; handshake bodies are small.
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        // A goodbye is said after a stop, too.
        let waiting = if kind == FrameKind::Data { self.waiting.clone() } else { self.waiting.unstoppable() };
        let mut op = Push { sender: self, header: header(kind, length), body, sent: 0 };
        match drive(&mut op, deadline, &waiting) {
            Err(error) if gave_up(&error) && op.sent > 0 => {
                let (head, sent) = (op.header, op.sent);
                self.tail.keep(&head, body, sent, kind == FrameKind::Data);
                Ok(())
            }
            // Part of a frame has left and the rest never will: nothing can follow it.
            Err(error) if op.sent > 0 => {
                self.stage = Stage::Broken(error.kind().clone());
                Err(error)
            }
            result => result,
        }
    }

    fn flush(&mut self, deadline: Deadline, waiting: &Waiting) -> Result<()> {
        drive(&mut Flush { sender: self }, deadline, waiting)
    }

    fn broke(&mut self, error: std::io::Error) -> Error {
        let error = Error::from(error);
        self.stage = Stage::Broken(error.kind().clone());
        error
    }

    fn disconnect(&mut self, deadline: Deadline) -> Result<()> {
        let deadline = deadline.started(self.waiting.seams.now());
        if matches!(self.stage, Stage::Greeting | Stage::Open) {
            match self.push(FrameKind::Goodbye, &[], deadline) {
                Ok(()) => self.stage = Stage::Leaving,
                Err(error) if gave_up(&error) => return Err(self.undelivered()),
                Err(_) => {}
            }
        }
        if self.stage == Stage::Leaving {
            let waiting = self.waiting.unstoppable();
            match self.flush(deadline, &waiting) {
                Ok(()) => self.end(),
                Err(error) if gave_up(&error) => return Err(self.undelivered()),
                Err(_) => {}
            }
        }
        // A peer that is gone needs no goodbye; but what it did not take must be told.
        if matches!(self.stage, Stage::Broken(_)) && self.tail.is_message {
            return Err(self.undelivered());
        }
        Ok(())
    }

    fn undelivered(&self) -> Error {
        ErrorKind::Undelivered { messages: u64::from(self.tail.is_message) }.into()
    }

    fn end(&mut self) {
        self.tx.finish();
        self.stage = Stage::Ended;
    }
}

/// The wait ended, not the connection.
fn gave_up(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Stopped)
}

impl<T: Transport> IpcSender for Sender<T> {
    fn send_info_by(&mut self, info: &[u8], deadline: Deadline) -> Result<()> {
        let (size, limit) = (info.len() as u64, u64::from(self.limit));
        let sent = match self.check_open() {
            Ok(()) if size > limit => Err(ErrorKind::TooLarge { size, limit }.into()),
            Ok(()) => self.push(FrameKind::Data, info, deadline),
            closed => closed,
        };
        if sent.is_ok() {
            self.traffic.count(info.len());
        }
        sent.map_err(|error| error.about("send_info", &self.shared.address))
    }

    fn feed_info_by(&mut self, info: &[u8], deadline: Deadline) -> Result<()> {
        self.send_info_by(info, deadline)
    }

    fn send_many_by(&mut self, infos: &[&[u8]], deadline: Deadline) -> Result<usize> {
        for info in infos {
            self.feed_info_by(info, deadline)?;
        }
        Ok(infos.len())
    }

    fn flush_info_by(&mut self, deadline: Deadline) -> Result<()> {
        let waiting = self.waiting.clone();
        self.flush(deadline, &waiting).map_err(|error| error.about("flush_info", &self.shared.address))
    }

    fn disconnect_from_by(&mut self, deadline: Deadline) -> Result<()> {
        self.disconnect(deadline).map_err(|error| error.about("disconnect_from", &self.shared.address))
    }

    fn disconnect_from(&mut self) -> Result<()> {
        self.disconnect_from_by(Deadline::Within(DISCONNECT))
    }

    fn send_deadline(&self) -> Deadline {
        self.deadline
    }

    fn set_send_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    fn set_send_wait(&mut self, strategy: WaitStrategy) {
        self.waiting.strategy = strategy;
    }

    fn stop_sending_with(&mut self, handle: &StopHandle) {
        self.waiting.stop = Some(handle.clone());
    }
}

impl<T: Transport> AsFd for Sender<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tx.as_fd()
    }
}

impl<T: Transport> Drop for Sender<T> {
    fn drop(&mut self) {
        // In a forked child the connection is still the parent's.
        if self.shared.made_by != std::process::id() {
            return;
        }
        if matches!(self.stage, Stage::Open | Stage::Leaving) && !std::thread::panicking() {
            let _ = self.disconnect(Deadline::Now);
        }
        if self.stage != Stage::Ended {
            self.tx.finish();
        }
    }
}

struct Push<'a, T: Transport> {
    sender: &'a mut Sender<T>,
    header: [u8; HEADER],
    body: &'a [u8],
    sent: usize,
}

impl<T: Transport> Operation for Push<'_, T> {
    type Output = ();

    fn attempt(&mut self, may_block: bool) -> Result<Try<()>> {
        if !self.sender.push_tail(may_block)? {
            return Ok(Try::NotNow);
        }
        let head = IoSlice::new(self.header.get(self.sent..).unwrap_or_default());
        let body = IoSlice::new(self.body.get(self.sent.saturating_sub(HEADER)..).unwrap_or_default());
        let bufs = [head, body];
        let rest: &[IoSlice<'_>] = match (head.is_empty(), body.is_empty()) {
            (true, _) => &bufs[1..],
            (false, true) => &bufs[..1],
            (false, false) => &bufs,
        };
        let tx = &mut self.sender.tx;
        match settle(|| tx.try_send(rest, may_block)) {
            Ok(Some(sent)) => self.sent += sent,
            Ok(None) => return Ok(Try::NotNow),
            Err(error) => return Err(self.sender.broke(error)),
        }
        Ok(if self.sent < HEADER + self.body.len() { Try::Again } else { Try::Done(()) })
    }

    fn arm(&mut self) -> std::io::Result<bool> {
        self.sender.tx.arm()
    }

    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.sender.tx.interests(into);
    }
}

struct Flush<'a, T: Transport> {
    sender: &'a mut Sender<T>,
}

impl<T: Transport> Operation for Flush<'_, T> {
    type Output = ();

    fn attempt(&mut self, may_block: bool) -> Result<Try<()>> {
        Ok(if self.sender.push_tail(may_block)? { Try::Done(()) } else { Try::NotNow })
    }

    fn arm(&mut self) -> std::io::Result<bool> {
        self.sender.tx.arm()
    }

    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.sender.tx.interests(into);
    }
}

impl Tail {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    fn went(&mut self, sent: usize) {
        self.sent += sent;
        if self.sent >= self.bytes.len() {
            let kept = mem::take(&mut self.bytes);
            *self = Self::default();
            if kept.capacity() <= KEPT_TAIL {
                self.bytes = kept;
                self.bytes.clear();
            }
        }
    }

    /// Copies what is left of a frame of which `sent` bytes have gone.
    fn keep(&mut self, header: &[u8], body: &[u8], sent: usize, is_message: bool) {
        self.bytes.extend_from_slice(header.get(sent..).unwrap_or_default());
        self.bytes.extend_from_slice(body.get(sent.saturating_sub(HEADER)..).unwrap_or_default());
        self.is_message = is_message;
    }
}
