//! The sending half without its waits: what has been accepted, how far it has left, and whether more can.

use std::{
    io::{self, IoSlice},
    sync::Arc,
    time::Instant,
};

use crate::{
    Error, ErrorKind, Interests, Result, Transport, Tx, Wait, Wire,
    drive::{Operation, Try, settle},
    frame::{FrameKind, HEADER, header},
    outbox::Outbox,
    pool::Pool,
};

#[derive(Debug)]
pub(crate) struct Outlet<T: Transport> {
    pub(crate) tx: T::Tx,
    pub(crate) stage: Stage,
    pub(crate) outbox: Outbox,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The handshake is not over: no goodbye is due.
    Greeting,
    Open,
    /// The goodbye is accepted, and perhaps still in the outbox.
    Leaving,
    /// The goodbye has left. It is the peer's word for the end: nothing else ends the direction, but on a foreign wire.
    Ended,
    /// A send failed for good.
    Broken(ErrorKind),
}

impl<T: Transport> Outlet<T> {
    pub(crate) fn new(tx: T::Tx, pool: Arc<Pool>, wire: Wire) -> Self {
        Self { tx, stage: Stage::Greeting, outbox: Outbox::new(pool, wire) }
    }

    #[inline]
    pub(crate) fn check_open(&self) -> Result<()> {
        match &self.stage {
            Stage::Greeting | Stage::Open => Ok(()),
            Stage::Leaving | Stage::Ended => Err(ErrorKind::Closed.into()),
            Stage::Broken(kind) => Err(kind.clone().into()),
        }
    }

    /// Whether there is something in the outbox that can still leave.
    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        !self.outbox.is_empty() && !matches!(self.stage, Stage::Broken(_))
    }

    /// Goes on with the outbox. True: nothing is left in it.
    #[inline]
    pub(crate) fn push(&mut self, may_block: bool) -> Result<bool> {
        while !self.outbox.is_empty() {
            let Self { tx, outbox, .. } = self;
            match settle(|| tx.try_send(&[IoSlice::new(outbox.rest())], may_block)) {
                Ok(Some(sent)) => self.outbox.went(sent),
                Ok(None) => return Ok(false),
                Err(error) => return Err(self.broke(error)),
            }
        }
        Ok(true)
    }

    /// The goodbye has left; where there is none, the end is the peer's word for it.
    pub(crate) fn end(&mut self) {
        if self.outbox.wire().is_foreign() {
            self.tx.finish();
        }
        self.stage = Stage::Ended;
    }

    pub(crate) fn undelivered(&self) -> Error {
        ErrorKind::Undelivered { messages: self.outbox.messages() as u64 }.into()
    }

    #[cold]
    fn broke(&mut self, error: impl Into<Error>) -> Error {
        let error = error.into();
        self.stage = Stage::Broken(error.kind().clone());
        error
    }
}

/// Sends what is in the outbox.
pub(crate) struct Flush<'a, T: Transport>(pub(crate) &'a mut Outlet<T>);

impl<T: Transport> Operation for Flush<'_, T> {
    type Output = ();

    #[inline]
    fn attempt(&mut self, may_block: bool) -> Result<Try<()>> {
        if let Stage::Broken(kind) = &self.0.stage {
            return Err(kind.clone().into());
        }
        Ok(if self.0.push(may_block)? { Try::Done(()) } else { Try::NotNow })
    }

    fn arm(&mut self) -> io::Result<bool> {
        self.0.tx.arm()
    }

    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.0.tx.interests(into);
    }

    fn wake_at(&self) -> Option<Instant> {
        self.0.tx.wake_at()
    }

    fn is_under_way(&self) -> bool {
        true
    }

    fn fail(&mut self, why: ErrorKind) -> Error {
        self.0.broke(why)
    }
}

/// Sends what is in the outbox and then a frame from where it is, without copying it.
pub(crate) struct Push<'a, T: Transport> {
    outlet: &'a mut Outlet<T>,
    parts: Parts<'a>,
    sent: usize,
}

/// What a frame is made of: a header on the native wire, a delimiter behind it on one that has that.
#[derive(Clone, Copy)]
struct Parts<'a> {
    kind: FrameKind,
    wire: Wire,
    header: [u8; HEADER],
    body: &'a [u8],
}

impl Parts<'_> {
    #[inline]
    fn head(&self) -> &[u8] {
        if self.wire.is_foreign() { &[] } else { &self.header }
    }

    #[inline]
    fn len(&self) -> usize {
        self.head().len() + self.body.len() + self.wire.tail().len()
    }

    /// What is left once `sent` bytes have gone.
    #[inline]
    fn unsent(&self, sent: usize) -> [&[u8]; 3] {
        let body = sent.saturating_sub(self.head().len());
        let tail = body.saturating_sub(self.body.len());
        let left = [self.head().get(sent..), self.body.get(body..), self.wire.tail().get(tail..)];
        left.map(Option::unwrap_or_default)
    }
}

impl<'a, T: Transport> Push<'a, T> {
    pub(crate) fn new(outlet: &'a mut Outlet<T>, kind: FrameKind, length: u32, body: &'a [u8]) -> Self {
        let parts = Parts { kind, wire: outlet.outbox.wire(), header: header(kind, length), body };
        Self { outlet, parts, sent: 0 }
    }

    /// Gives up: if a part of the frame has left, keeps the rest, so that it is accepted, and says so.
    pub(crate) fn give_up(self) -> bool {
        if self.sent > 0 {
            self.outlet.outbox.keep(self.parts.kind, self.parts.unsent(self.sent));
        }
        self.sent > 0
    }

    fn went(&mut self, sent: usize) {
        let before = sent.min(self.outlet.outbox.rest().len());
        if before > 0 {
            self.outlet.outbox.went(before);
        }
        self.sent += sent - before;
    }
}

impl<T: Transport> Operation for Push<'_, T> {
    type Output = ();

    #[inline]
    fn attempt(&mut self, may_block: bool) -> Result<Try<()>> {
        let Outlet { tx, outbox, .. } = &mut *self.outlet;
        let [head, body, tail] = self.parts.unsent(self.sent);
        let bufs = [outbox.rest(), head, body, tail].map(IoSlice::new);
        // What leaves first is empty first: the outbox before the header, the header before the body.
        let empty = bufs.iter().take_while(|buf| buf.is_empty()).count();
        let end = if tail.is_empty() { bufs.len() - 1 } else { bufs.len() };
        match settle(|| tx.try_send(&bufs[empty..end], may_block)) {
            Ok(Some(sent)) => self.went(sent),
            Ok(None) => return Ok(Try::NotNow),
            Err(error) => return Err(self.outlet.broke(error)),
        }
        Ok(if self.sent < self.parts.len() { Try::Again } else { Try::Done(()) })
    }

    fn arm(&mut self) -> io::Result<bool> {
        self.outlet.tx.arm()
    }

    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.outlet.tx.interests(into);
    }

    fn wake_at(&self) -> Option<Instant> {
        self.outlet.tx.wake_at()
    }

    fn is_under_way(&self) -> bool {
        true
    }

    fn fail(&mut self, why: ErrorKind) -> Error {
        self.outlet.broke(why)
    }
}
