//! The receiving half without its waits: what has come, and whether more has.

use std::{
    io::{self, IoSliceMut},
    os::fd::AsFd,
    sync::Arc,
    time::Instant,
};

use crate::{
    Error, ErrorKind, Got, Interests, Result, Rx, Traffic, Transport, Wait, Wire,
    connection::Shared,
    drive::{Operation, Try, settle},
    frame::{Decoder, Frame, FrameKind},
    hello,
    outlet::Outlet,
};

#[derive(Debug)]
pub(crate) struct Intake<T: Transport> {
    pub(crate) rx: T::Rx,
    pub(crate) decoder: Decoder,
    stage: Stage,
    pub(crate) traffic: Traffic,
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// The peer said goodbye: everything came.
    Over,
    Broken(ErrorKind),
}

impl<T: Transport> Intake<T> {
    pub(crate) fn new(rx: T::Rx, shared: Arc<Shared>, wire: Wire) -> Self {
        let decoder = Decoder::lent_by(shared.pool.clone(), wire, hello::LARGEST);
        Self { rx, decoder, stage: Stage::Open, traffic: Traffic::default(), shared }
    }

    /// The next frame, with at most one read.
    pub(crate) fn try_frame(&mut self, may_block: bool) -> Result<Try<Frame>> {
        self.check_open()?;
        if let Some(frame) = self.next_frame()? {
            return Ok(Try::Done(frame));
        }
        if !self.read(may_block)? {
            return Ok(Try::NotNow);
        }
        Ok(self.next_frame()?.map_or(Try::Again, Try::Done))
    }

    #[inline]
    fn check_open(&self) -> Result<()> {
        match &self.stage {
            Stage::Open | Stage::Over => Ok(()),
            Stage::Broken(kind) => Err(kind.clone().into()),
        }
    }

    /// The next frame, if all of it has come.
    #[inline]
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        match self.decoder.next_native() {
            Ok(frame) => Ok(frame),
            Err(what) => Err(self.violated(what)),
        }
    }

    /// Reads once. False: nothing is there now.
    #[inline]
    fn read(&mut self, may_block: bool) -> Result<bool> {
        let Self { rx, decoder, .. } = self;
        let mut rooms = decoder.rooms();
        match settle(|| rx.try_recv(rooms.slices(), may_block)) {
            Ok(Some(Got::Bytes(count))) => {
                self.decoder.filled(count);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Ok(Some(Got::End)) => self.came_to_the_end(),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(self.ended()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(self.strange(&error)),
            Err(error) => Err(self.broke(error.into())),
        }
    }

    /// Reads once and throws it away. False: nothing more will come.
    #[cold]
    fn discard(&mut self, may_block: bool) -> Result<Option<bool>> {
        let mut room = [0; DISCARDED];
        match settle(|| self.rx.try_recv(&mut [IoSliceMut::new(&mut room)], may_block)) {
            Ok(got) => Ok(got.map(|got| got != Got::End)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Some(false)),
            Err(error) => Err(self.broke(error.into())),
        }
    }

    /// The peer sends no more. Who knows no goodbye has no other way to say so.
    #[cold]
    fn came_to_the_end(&mut self) -> Result<bool> {
        if self.decoder.wire().is_foreign() && !self.decoder.has_buffered() {
            self.stage = Stage::Over;
            return Ok(true);
        }
        Err(self.ended())
    }

    /// Whether there is nothing to hand out before something is read.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        !self.has_buffered() && self.stage == Stage::Open
    }

    /// Whether something has come that was not handed out yet.
    #[inline]
    pub(crate) fn has_buffered(&self) -> bool {
        self.decoder.has_buffered() || self.rx.holds_more()
    }

    /// Whether a try is in vain before a descriptor tells of more.
    #[inline]
    pub(crate) fn is_drained(&self) -> bool {
        T::Rx::SHORT_IS_ALL && self.is_quiet() && self.decoder.has_room_left()
    }

    /// What has come already: a message, or `Some(None)` for the goodbye.
    #[inline]
    pub(crate) fn next_message(&mut self) -> Result<Option<Option<Frame>>> {
        if self.stage != Stage::Open {
            return self.check_open().map(|()| Some(None));
        }
        if self.decoder.wire().is_foreign() {
            return self.next_foreign();
        }
        match self.next_frame()? {
            Some(frame) => self.message(frame).map(Some),
            None => Ok(None),
        }
    }

    /// On a foreign wire everything is a message. Apart, so that it costs the native one no more than a look.
    #[inline(never)]
    fn next_foreign(&mut self) -> Result<Option<Option<Frame>>> {
        match self.decoder.next_foreign() {
            Ok(Some(frame)) => self.message(frame).map(Some),
            Ok(None) => Ok(None),
            Err(what) => Err(self.violated(what)),
        }
    }

    /// The message in a frame, or `None` for the goodbye.
    #[inline]
    fn message(&mut self, frame: Frame) -> Result<Option<Frame>> {
        match frame.kind {
            FrameKind::Data => {
                self.traffic.count(frame.len());
                Ok(Some(frame))
            }
            FrameKind::Goodbye => {
                self.stage = Stage::Over;
                Ok(None)
            }
            _ => Err(self.violated("a frame that has no business here")),
        }
    }

    pub(crate) fn arm(&mut self) -> io::Result<bool> {
        self.decoder.rest();
        self.rx.arm()
    }

    #[cold]
    fn ended(&mut self) -> Error {
        let kind = if self.decoder.has_buffered() { ErrorKind::Truncated } else { ErrorKind::PeerGone };
        self.broke(kind.into())
    }

    #[cold]
    fn violated(&mut self, what: &'static str) -> Error {
        self.broke(ErrorKind::Protocol { what }.into())
    }

    /// What came is nothing that a peer over this transport sends.
    #[cold]
    fn strange(&mut self, found: &io::Error) -> Error {
        log::debug!("{}: {found}", self.shared.address);
        self.violated("the transport has found what no peer sends")
    }

    #[cold]
    fn broke(&mut self, error: Error) -> Error {
        log::debug!("{}: {error}", self.shared.address);
        self.stage = Stage::Broken(error.kind().clone());
        error
    }
}

/// Receives a message, or `None` for the goodbye, when none has come already. What the other half has accepted leaves before anything is
/// waited for: two polite peers that both only receive would otherwise wait for each other's rest for ever.
pub(crate) struct Receive<'a, T: Transport> {
    pub(crate) intake: &'a mut Intake<T>,
    pub(crate) outlet: Option<&'a mut Outlet<T>>,
}

impl<T: Transport> Receive<'_, T> {
    fn unsent(&mut self) -> Option<&mut Outlet<T>> {
        self.outlet.as_deref_mut().filter(|outlet| outlet.has_unsent())
    }
}

impl<T: Transport> Operation for Receive<'_, T> {
    type Output = Option<Frame>;

    #[inline]
    fn attempt(&mut self, may_block: bool) -> Result<Try<Self::Output>> {
        // A broken sender tells so at the next send; what the peer sent can still be received.
        let unsent = self.unsent().is_some_and(|outlet| !outlet.push(false).unwrap_or(true));
        if !self.intake.read(may_block && !unsent)? {
            return Ok(Try::NotNow);
        }
        Ok(self.intake.next_message()?.map_or(Try::Again, Try::Done))
    }

    fn arm(&mut self) -> io::Result<bool> {
        let armed = self.intake.arm()?;
        Ok(self.unsent().map_or(Ok(true), |outlet| outlet.tx.arm())? && armed)
    }

    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.intake.rx.interests(into);
        if let Some(outlet) = self.outlet.as_deref().filter(|outlet| outlet.has_unsent()) {
            outlet.tx.interests(into);
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        let outlet = self.outlet.as_deref().filter(|outlet| outlet.has_unsent());
        self.intake.rx.wake_at().into_iter().chain(outlet.and_then(|outlet| outlet.tx.wake_at())).min()
    }

    fn is_under_way(&self) -> bool {
        self.intake.decoder.has_buffered()
    }

    fn fail(&mut self, why: ErrorKind) -> Error {
        if why == ErrorKind::PeerGone { self.intake.ended() } else { self.intake.broke(why.into()) }
    }
}

/// Throws away what comes: once, so that one who always has more keeps nobody.
pub(crate) struct Discard<'a, T: Transport>(pub(crate) &'a mut Intake<T>);

/// How much of it at once, in bytes.
const DISCARDED: usize = 16 * 1024;

impl<T: Transport> Operation for Discard<'_, T> {
    type Output = bool;

    fn attempt(&mut self, may_block: bool) -> Result<Try<bool>> {
        Ok(self.0.discard(may_block)?.map_or(Try::NotNow, Try::Done))
    }

    fn arm(&mut self) -> io::Result<bool> {
        self.0.rx.arm()
    }

    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.0.rx.interests(into);
    }

    fn wake_at(&self) -> Option<Instant> {
        self.0.rx.wake_at()
    }
}

impl<T: Transport> Drop for Intake<T> {
    fn drop(&mut self) {
        // In a forked child the connection is still the parent's. A peer that said goodbye sends no more.
        if self.stage != Stage::Over && self.shared.made_by == std::process::id() {
            self.rx.finish();
        }
    }
}

impl<T: Transport> AsFd for Intake<T> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.rx.as_fd()
    }
}
