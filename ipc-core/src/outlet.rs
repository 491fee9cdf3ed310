//! The sending half without its waits: what has been accepted, how far it has left, and whether more can.

use std::{
    io::{self, IoSlice},
    sync::Arc,
    time::Instant,
};

use crate::{
    Error, ErrorKind, Interests, Result, Transport, Tx, Wait, Wire,
    drive::{Operation, Try, settle},
    frame::{FrameKind, HEADER},
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

    /// How many messages of a goodbye that has left are on the way nobody can tell: they count as one.
    pub(crate) fn undelivered(&self) -> Error {
        let on_the_way = u64::from(self.stage == Stage::Leaving && self.outbox.is_empty());
        ErrorKind::Undelivered { messages: self.outbox.messages() as u64 + on_the_way }.into()
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

/// Sends what is in the outbox, and sees to it that all that was sent arrives.
pub(crate) struct Arrive<'a, T: Transport>(pub(crate) &'a mut Outlet<T>);

impl<T: Transport> Operation for Arrive<'_, T> {
    type Output = ();

    fn attempt(&mut self, may_block: bool) -> Result<Try<()>> {
        match Flush(self.0).attempt(may_block)? {
            // A peer that is gone takes nothing more.
            Try::Done(()) if !self.0.tx.has_arrived().unwrap_or(true) => Ok(Try::NotNow),
            tried => Ok(tried),
        }
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
        !self.0.outbox.is_empty()
    }

    fn fail(&mut self, why: ErrorKind) -> Error {
        self.0.broke(why)
    }
}

/// Sends what is in the outbox and then a frame from where it is, without copying it.
pub(crate) struct Push<'a, T: Transport, P> {
    outlet: &'a mut Outlet<T>,
    kind: FrameKind,
    frame: P,
    sent: usize,
}

/// A frame as it is sent, in two parts, of which the second is not empty.
pub(crate) trait Parts {
    fn parts(&self) -> [&[u8]; 2];
}

/// On the native wire. The size of a header is known when this is compiled.
pub(crate) struct Framed<'a> {
    pub(crate) header: [u8; HEADER],
    pub(crate) body: &'a [u8],
}

impl Parts for Framed<'_> {
    #[inline]
    fn parts(&self) -> [&[u8]; 2] {
        [&self.header, self.body]
    }
}

/// On a foreign wire.
impl Parts for [&[u8]; 2] {
    #[inline]
    fn parts(&self) -> [&[u8]; 2] {
        *self
    }
}

impl<'a, T: Transport, P: Parts> Push<'a, T, P> {
    pub(crate) fn new(outlet: &'a mut Outlet<T>, kind: FrameKind, frame: P) -> Self {
        Self { outlet, kind, frame, sent: 0 }
    }

    /// Gives up: if a part of the frame has left, keeps the rest, so that it is accepted, and says so.
    pub(crate) fn give_up(self) -> bool {
        if self.sent > 0 {
            self.outlet.outbox.keep(self.kind, unsent(self.frame.parts(), self.sent));
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

/// What is left of a frame of which `sent` bytes have gone.
#[inline]
fn unsent([first, second]: [&[u8]; 2], sent: usize) -> [&[u8]; 2] {
    let second = second.get(sent.saturating_sub(first.len())..).unwrap_or_default();
    [first.get(sent..).unwrap_or_default(), second]
}

impl<T: Transport, P: Parts> Operation for Push<'_, T, P> {
    type Output = ();

    #[inline]
    fn attempt(&mut self, may_block: bool) -> Result<Try<()>> {
        let Outlet { tx, outbox, .. } = &mut *self.outlet;
        let [first, second] = unsent(self.frame.parts(), self.sent);
        let bufs = [outbox.rest(), first, second].map(IoSlice::new);
        // Whatever is not empty is at the end: the outbox leaves before the frame, and its first part before the second.
        let empty = bufs.iter().take_while(|buf| buf.is_empty()).count();
        match settle(|| tx.try_send(&bufs[empty..], may_block)) {
            Ok(Some(sent)) => self.went(sent),
            Ok(None) => return Ok(Try::NotNow),
            Err(error) => return Err(self.outlet.broke(error)),
        }
        let [first, second] = self.frame.parts();
        Ok(if self.sent < first.len() + second.len() { Try::Again } else { Try::Done(()) })
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
