//! The ways in and out: they say "not now" although they could go on, and a signal interrupts the listener.

use std::{io, time::Instant};

use ipc_core::{Arrival, Faults, Handshake, Interests, Link, Part, Peer, Result, Side, Transport, Wait};

use crate::{
    Faulty,
    road::wrap,
    script::{Origin, Script},
};

/// Takes clients in.
#[derive(Debug)]
pub struct Listener<L> {
    inner: L,
    faults: Option<Faults>,
    meeting: Meeting,
}

/// A connection being made, on either side.
#[derive(Debug)]
pub struct Making<H> {
    inner: H,
    origin: Option<Origin>,
    meeting: Meeting,
}

/// What the calls meet that move no bytes.
#[derive(Debug)]
struct Meeting {
    script: Option<Script>,
    pretended: bool,
}

impl<L> Listener<L> {
    pub(crate) fn new(inner: L, faults: Option<&Faults>) -> Self {
        let script = faults.map(|faults| Origin::listener(faults).script(Part::Listener));
        Self { inner, faults: faults.cloned(), meeting: Meeting::new(script) }
    }
}

impl<H> Making<H> {
    pub(crate) fn new(inner: H, origin: Option<Origin>) -> Self {
        let script = origin.as_ref().map(|origin| origin.script(Part::Handshake));
        Self { inner, origin, meeting: Meeting::new(script) }
    }
}

impl Meeting {
    fn new(script: Option<Script>) -> Self {
        Self { script, pretended: false }
    }

    /// Whether this call goes on.
    ///
    /// # Errors
    /// A signal interrupted it.
    fn goes_on(&mut self) -> io::Result<bool> {
        self.pretended = false;
        match self.script.as_mut().map_or(Ok(0), |script| script.meet(0)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.pretended = true;
                Ok(false)
            }
            met => met.map(|_| true),
        }
    }

    /// Whether the last call said "not now" without having asked: then nobody may sleep.
    fn take_pretence(&mut self) -> bool {
        std::mem::take(&mut self.pretended)
    }
}

impl<T: Transport, L: ipc_core::Listener<T>> ipc_core::Listener<Faulty<T>> for Listener<L> {
    const DESCRIPTORS: usize = L::DESCRIPTORS;

    fn try_accept(&mut self) -> io::Result<Option<Arrival<Faulty<T>>>> {
        if !self.meeting.goes_on()? {
            return Ok(None);
        }
        let Some(arrival) = self.inner.try_accept()? else { return Ok(None) };
        let origin = self.faults.as_ref().map(|faults| Origin::next(faults, Side::Server));
        Ok(Some(match arrival {
            Arrival::Incoming(incoming) => Arrival::Incoming(Making::new(incoming, origin)),
            Arrival::Rejected(reason, link) => {
                // Without a descriptor for the bell it misses the reason, that is all.
                Arrival::Rejected(reason, link.and_then(|link| wrap(link, origin.as_ref()).ok()))
            }
        }))
    }

    fn may_have_more(&self) -> bool {
        self.inner.may_have_more()
    }

    fn address(&self) -> Option<String> {
        self.inner.address()
    }

    fn retire(&mut self) {
        self.inner.retire();
    }
}

impl<T: Transport, H: Handshake<T>> Handshake<Faulty<T>> for Making<H> {
    fn step(&mut self, now: Instant) -> Result<Option<Link<Faulty<T>>>> {
        // A step that is interrupted is one to repeat, and has no error of its own.
        if !self.meeting.goes_on().unwrap_or(false) {
            self.meeting.pretended = true;
            return Ok(None);
        }
        let link = self.inner.step(now)?;
        Ok(link.map(|link| wrap(link, self.origin.as_ref())).transpose()?)
    }

    fn peer(&self) -> Option<&Peer> {
        self.inner.peer()
    }

    fn give_up(self) -> Option<Link<Faulty<T>>> {
        self.inner.give_up().and_then(|link| wrap(link, self.origin.as_ref()).ok())
    }

    fn welcome(&mut self) {
        self.inner.welcome();
    }
}

impl<L: Wait> Wait for Listener<L> {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.inner.interests(into);
    }

    fn arm(&mut self) -> io::Result<bool> {
        if self.meeting.take_pretence() { Ok(false) } else { self.inner.arm() }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.inner.wake_at()
    }
}

impl<H: Wait> Wait for Making<H> {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.inner.interests(into);
    }

    fn arm(&mut self) -> io::Result<bool> {
        if self.meeting.take_pretence() { Ok(false) } else { self.inner.arm() }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.inner.wake_at()
    }
}
