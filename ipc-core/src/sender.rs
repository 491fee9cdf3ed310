//! The sending half: a message is accepted whole or not at all, and leaves in order.

use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    Deadline, Error, ErrorKind, Interests, IpcSender, Result, StopHandle, Traffic, Transport, Tx, Wait,
    WaitStrategy, Wire,
    connection::Shared,
    drive::{Waiting, drive},
    frame::{FrameKind, HEADER, header},
    outbox::FULL,
    outlet::{Arrive, Flush, Framed, Outlet, Parts, Push, Stage},
    strategy::Spinner,
};

/// The sending half of a connection. Dropping it says goodbye without waiting.
#[derive(Debug)]
pub struct Sender<T: Transport> {
    pub(crate) outlet: Outlet<T>,
    /// The largest message the other side receives.
    limit: u32,
    /// Below this size a message will do without a look at it.
    surely: u64,
    deadline: Deadline,
    traffic: Traffic,
    pub(crate) waiting: Waiting,
    pub(crate) shared: Arc<Shared>,
}

/// Up to this size, copying a message behind its header costs less than a second buffer in the system call.
const COPIED: usize = 1024 - HEADER;

const DISCONNECT: Duration = Duration::from_secs(5);

impl<T: Transport> Sender<T> {
    pub(crate) fn greeting(tx: T::Tx, shared: Arc<Shared>, waiting: Waiting, wire: Wire) -> Self {
        let (outlet, traffic) = (Outlet::new(tx, shared.pool.clone(), wire), Traffic::default());
        Self { outlet, limit: 0, surely: 0, deadline: Deadline::Forever, traffic, waiting, shared }
    }

    /// The handshake is over: the other side receives up to `limit` bytes.
    pub(crate) fn open(&mut self, limit: u32) {
        (self.outlet.stage, self.limit) = (Stage::Open, limit);
        self.surely = if self.wire().is_foreign() { 0 } else { u64::from(limit) + 1 };
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

    /// Sends a whole frame as far as it goes without waiting; the rest stays in the outbox.
    pub(crate) fn post(&mut self, kind: FrameKind, body: &[u8]) -> Result<()> {
        self.outlet.check_open()?;
        self.push(kind, body, Deadline::Now)
    }

    pub(crate) fn has_unsent(&self) -> bool {
        self.outlet.has_unsent()
    }

    /// Goes silent at once, as if the process had died.
    pub(crate) fn abandon(&mut self) {
        self.outlet.stage = Stage::Ended;
    }

    #[inline]
    fn check(&self, info: &[u8]) -> Result<()> {
        self.outlet.check_open()?;
        if (info.len() as u64) < self.surely { Ok(()) } else { self.check_further(info) }
    }

    #[inline(never)]
    fn check_further(&self, info: &[u8]) -> Result<()> {
        let (size, limit) = (info.len() as u64, u64::from(self.limit));
        self.outlet.outbox.wire().check(info)?;
        if size > limit { Err(ErrorKind::TooLarge { size, limit }.into()) } else { Ok(()) }
    }

    /// Sends a frame behind what was accepted before. If the wait ends when a part of it has left, it is accepted.
    fn push(&mut self, kind: FrameKind, body: &[u8], deadline: Deadline) -> Result<()> {
        if kind != FrameKind::Data {
            // A goodbye is said after a stop, too.
            let mut waiting = self.waiting.unstoppable();
            return push(&mut self.outlet, kind, body, deadline, &mut waiting);
        }
        push(&mut self.outlet, kind, body, deadline, &mut self.waiting)
    }

    /// On a foreign wire the end is one.
    fn say_goodbye(&mut self, deadline: Deadline) -> Result<()> {
        if self.outlet.outbox.wire().is_foreign() {
            return Ok(());
        }
        self.push(FrameKind::Goodbye, &[], deadline)
    }

    #[inline]
    fn feed(&mut self, info: &[u8], deadline: Deadline) -> Result<()> {
        self.check(info)?;
        if self.outlet.outbox.rest().len() + HEADER + info.len() > FULL {
            self.push(FrameKind::Data, info, deadline)?;
        } else {
            self.outlet.outbox.put(FrameKind::Data, length(info), info);
        }
        self.traffic.count(info.len());
        Ok(())
    }

    fn send_all(&mut self, infos: &[&[u8]], deadline: Deadline) -> Result<usize> {
        let deadline = deadline.started(self.waiting.seams.now());
        let Some((last, others)) = infos.split_last() else { return Ok(0) };
        for (accepted, info) in others.iter().enumerate() {
            if let Err(error) = self.feed(info, deadline) {
                return self.gave_up_after(accepted, error);
            }
        }
        match self.send_info_by(last, deadline) {
            Err(error) => self.gave_up_after(others.len(), error),
            Ok(()) => Ok(infos.len()),
        }
    }

    /// What was accepted before leaves as far as it can: nobody may come to send the next.
    #[cold]
    fn gave_up_after(&mut self, accepted: usize, error: Error) -> Result<usize> {
        if accepted == 0 {
            return Err(error);
        }
        // What stays here leaves with the next call, and what broke is told there.
        let _ = drive(&mut Flush(&mut self.outlet), Deadline::Now, &mut self.waiting);
        Ok(accepted)
    }

    fn disconnect(&mut self, deadline: Deadline) -> Result<()> {
        self.leave(deadline).map_err(|error| if gave_up(&error) { self.outlet.undelivered() } else { error })
    }

    /// The same; a wait that ended is told as that.
    fn leave(&mut self, deadline: Deadline) -> Result<()> {
        let deadline = deadline.started(self.waiting.seams.now());
        if matches!(self.outlet.stage, Stage::Greeting | Stage::Open) {
            match self.say_goodbye(deadline) {
                Ok(()) => self.outlet.stage = Stage::Leaving,
                Err(error) if gave_up(&error) => return Err(error),
                Err(_) => {}
            }
        }
        if self.outlet.stage == Stage::Leaving {
            match drive(&mut Arrive(&mut self.outlet), deadline, &mut self.waiting.unstoppable()) {
                Ok(()) => self.outlet.end(),
                Err(error) if gave_up(&error) => return Err(error),
                Err(_) => {}
            }
        }
        // A peer that is gone needs no goodbye; but what it did not take must be told, once.
        if matches!(self.outlet.stage, Stage::Broken(_)) && self.outlet.outbox.messages() > 0 {
            let undelivered = self.outlet.undelivered();
            self.outlet.outbox.clear();
            return Err(undelivered);
        }
        Ok(())
    }
}

fn push<T: Transport>(
    outlet: &mut Outlet<T>,
    kind: FrameKind,
    body: &[u8],
    deadline: Deadline,
    waiting: &mut Waiting,
) -> Result<()> {
    if body.len() <= COPIED {
        let begins = outlet.outbox.put(kind, length(body), body);
        return drive(&mut Flush(outlet), deadline, waiting).or_else(|error| {
            let nothing_left = outlet.outbox.take_back(begins);
            if !nothing_left && gave_up(&error) {
                return Ok(());
            }
            if !nothing_left {
                // It broke inside this frame: that was not accepted, and all before it has left.
                outlet.outbox.clear();
            }
            Err(error)
        });
    }
    let wire = outlet.outbox.wire();
    if wire.is_foreign() {
        return push_from_there(Push::new(outlet, kind, wire.parts(body)), deadline, waiting);
    }
    let framed = Framed { header: header(kind, length(body)), body };
    push_from_there(Push::new(outlet, kind, framed), deadline, waiting)
}

fn push_from_there<T: Transport, P: Parts>(
    mut push: Push<'_, T, P>,
    deadline: Deadline,
    waiting: &mut Waiting,
) -> Result<()> {
    drive(&mut push, deadline, waiting).or_else(|error| {
        let accepted = gave_up(&error) && push.give_up();
        if accepted { Ok(()) } else { Err(error) }
    })
}

/// Bodies are within a limit that is a u32; `check` has seen to it.
fn length(body: &[u8]) -> u32 {
    u32::try_from(body.len()).unwrap_or(u32::MAX)
}

/// The wait ended, not the connection.
fn gave_up(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Stopped)
}

impl<T: Transport> IpcSender for Sender<T> {
    fn send_info_by(&mut self, info: &[u8], deadline: Deadline) -> Result<()> {
        let sent = self.check(info).and_then(|()| self.push(FrameKind::Data, info, deadline));
        if sent.is_ok() {
            self.traffic.count(info.len());
        }
        sent.map_err(|error| error.about("send_info", &self.shared.address))
    }

    #[inline]
    fn feed_info_by(&mut self, info: &[u8], deadline: Deadline) -> Result<()> {
        self.feed(info, deadline).map_err(|error| error.about("feed_info", &self.shared.address))
    }

    fn queue_info(&mut self, info: &[u8]) -> Result<()> {
        self.check(info).map_err(|error| error.about("queue_info", &self.shared.address))?;
        self.outlet.outbox.put(FrameKind::Data, length(info), info);
        self.traffic.count(info.len());
        Ok(())
    }

    fn queued(&self) -> usize {
        self.outlet.outbox.rest().len()
    }

    fn largest(&self) -> u32 {
        self.limit
    }

    fn wire(&self) -> Wire {
        self.outlet.outbox.wire()
    }

    fn send_many_by(&mut self, infos: &[&[u8]], deadline: Deadline) -> Result<usize> {
        self.send_all(infos, deadline).map_err(|error| error.about("send_many", &self.shared.address))
    }

    fn flush_info_by(&mut self, deadline: Deadline) -> Result<()> {
        drive(&mut Flush(&mut self.outlet), deadline, &mut self.waiting)
            .map_err(|error| error.about("flush_info", &self.shared.address))
    }

    fn disconnect_from_by(&mut self, deadline: Deadline) -> Result<()> {
        self.disconnect(deadline).map_err(|error| error.about("disconnect_from", &self.shared.address))
    }

    fn disconnect_from(&mut self) -> Result<()> {
        self.disconnect_from_by(Deadline::Within(DISCONNECT))
    }

    fn try_disconnect_from(&mut self) -> Result<()> {
        self.leave(Deadline::Now).map_err(|error| error.about("disconnect_from", &self.shared.address))
    }

    fn send_interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.outlet.tx.interests(into);
        self.waiting.interests(into);
    }

    fn send_wake_at(&self) -> Option<Instant> {
        self.outlet.tx.wake_at().into_iter().chain(self.waiting.watch.stalls_next()).min()
    }

    fn send_deadline(&self) -> Deadline {
        self.deadline
    }

    fn set_send_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    fn set_send_wait(&mut self, strategy: WaitStrategy) {
        self.waiting.spinner = Spinner::new(strategy);
    }

    fn stop_sending_with(&mut self, handle: &StopHandle) {
        self.waiting.stop = Some(handle.clone());
    }
}

impl<T: Transport> AsFd for Sender<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.outlet.tx.as_fd()
    }
}

impl<T: Transport> Drop for Sender<T> {
    fn drop(&mut self) {
        // In a forked child the connection is still the parent's. (To ask who we are is a system call.)
        if self.outlet.stage == Stage::Ended || self.shared.made_by != std::process::id() {
            return;
        }
        if matches!(self.outlet.stage, Stage::Open | Stage::Leaving) && !std::thread::panicking() {
            let _ = self.disconnect(Deadline::Now);
        }
        if self.outlet.stage != Stage::Ended {
            self.outlet.tx.finish();
        }
    }
}
