//! The server: a lease, a listener, and the clients on their way in. Implemented once for every transport.

use std::{
    collections::VecDeque,
    io,
    os::fd::AsFd,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use nix::errno::Errno;

use crate::{
    Address, Arrival, Connection, Deadline, ErrorKind, Handshake, Interests, IpcServer, Link, Listener,
    Refusal, Result, ServerOptions, ServerStats, StopHandle, Transport, Wait,
    bucket::Bucket,
    complaints::Complaints,
    connecting::terms,
    door::Door,
    drive::{Operation, Try, Waiting, drive},
    half_open::{HalfOpen, Room},
    lease::Lease,
    place::take_place,
    readiness::{Readiness, Token},
    reserve::Reserve,
    shares::Shares,
    stats::Counters,
};

/// A server over the transport `T`. Dropping it is [`destroy_server`](IpcServer::destroy_server).
pub struct Server<T: Transport> {
    /// What is gone once the server is destroyed. Dropped before the lease: the name is freed last.
    listener: Option<T::Listener>,
    lease: Option<Lease>,
    half_open: HalfOpen<T>,
    ready: VecDeque<Box<Connection<T>>>,
    /// Came when there was no room among the half-open.
    outside: Option<T::Incoming>,
    readiness: Readiness,
    /// Not looking at the listener until then: no descriptor was left, or no room among the half-open.
    paused: Option<Instant>,
    /// More had come than was taken in at once; perhaps no descriptor says so any more.
    more: bool,
    /// Something was ready at the last look, and more may be. A loop that is told of edges only must not be sent away
    /// before a look has found nothing.
    look_again: bool,
    /// Pays for arrivals that cannot even be told no.
    failures: Bucket,
    reserve: Reserve,
    /// Since when there have been too few descriptors to take anybody in.
    scarce: Option<Instant>,
    door: Door,
    accept: Deadline,
    waiting: Waiting,
    made_by: u32,
}

const LISTENER: Token = 0;
/// How many arrivals are taken in before the clock is looked at again.
const BATCH: usize = 64;
/// How many waiting clients are told that the server is stopping; the rest see their connection end.
const BACKLOG: usize = 4096;
const PAUSE: Duration = Duration::from_millis(10);
/// How long clients are kept waiting for descriptors; then the reserve is used to tell them no.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often a client on its way in is looked at again when the server stops.
const MOST_STEPS: usize = 100;

impl<T: Transport> Server<T> {
    /// Takes the name with options.
    ///
    /// # Errors
    /// As [`IpcServer::new_server`].
    pub fn new_server_with(at: &Address, options: &ServerOptions) -> Result<Self> {
        let address: Arc<str> = at.over(T::SCHEME).to_string().into();
        Self::make(at, options, &address).map_err(|error| error.about("new_server", &address))
    }

    fn make(at: &Address, options: &ServerOptions, address: &Arc<str>) -> Result<Self> {
        at.must_allow(T::SCHEME)?;
        let (mut config, allow) = (options.config.clone(), options.policy()?);
        config.wire.settle::<T>(&mut config)?;
        let (lease, place) = take_place::<T>(at, &mut config)?;
        config.seams.reach("server.leased")?;
        let readiness = Readiness::new()?;
        let mut reserve = Reserve::new(<T::Listener as Listener<T>>::DESCRIPTORS);
        reserve.fill()?;
        let mut listener = T::listen(&place, &config)?;
        let address = &listener.address().map_or_else(|| address.clone(), Into::into);
        // The record comes last: who finds it finds everything else.
        Self::announce(&listener, lease.as_ref(), &readiness, &config).inspect_err(|_| listener.retire())?;
        log::debug!("{address}: listening");
        let waiting = Waiting::new(&config);
        let half_open = HalfOpen::new(&config);
        let clients = Shares::new(config.limits.clients, &config);
        let unread = Shares::new(config.limits.unread, &config);
        let failures = Bucket::new(config.seams.now());
        let door = Door {
            terms: terms::<T>(&config),
            config,
            allow,
            address: address.clone(),
            clients,
            unread,
            counters: Arc::new(Counters::default()),
            complaints: Complaints::default(),
            pool: Arc::default(),
        };
        Ok(Self {
            listener: Some(listener),
            lease,
            half_open,
            ready: VecDeque::new(),
            outside: None,
            readiness,
            paused: None,
            more: false,
            look_again: false,
            failures,
            reserve,
            scarce: None,
            door,
            accept: options.accept,
            waiting,
            made_by: std::process::id(),
        })
    }

    fn announce(
        listener: &T::Listener,
        lease: Option<&Lease>,
        readiness: &Readiness,
        config: &crate::Config,
    ) -> Result<()> {
        let mut interests = Interests::default();
        listener.interests(&mut interests);
        readiness.add(&interests, LISTENER)?;
        config.seams.reach("server.listening")?;
        if let Some(lease) = lease {
            lease.announce(T::SCHEME, config)?;
        }
        Ok(config.seams.reach("server.recorded")?)
    }

    /// [`accept_client_by`](IpcServer::accept_client_by), with the connection where it is.
    ///
    /// # Errors
    /// As there.
    pub fn accept_boxed(&mut self, deadline: Deadline) -> Result<Box<Connection<T>>> {
        let mut waiting = self.waiting.clone();
        let accepted = drive(&mut Accept { server: self }, deadline, &mut waiting);
        self.waiting.spinner = waiting.spinner;
        accepted.map_err(|error| error.about("accept_client", &self.door.address))
    }

    /// Takes in what has come, without waiting.
    fn advance(&mut self, may_sleep: bool) -> Result<()> {
        let ready = self.readiness.ready(self.patience(may_sleep))?;
        let now = self.door.config.seams.now();
        self.look_again = !may_sleep && ready.as_ref().is_some_and(|tokens| !tokens.is_empty());
        let knocked = ready.as_ref().is_none_or(|tokens| tokens.contains(&LISTENER));
        for token in ready.unwrap_or_else(|| self.half_open.tokens()) {
            let up = self.half_open.step(token, now, &self.door, &self.readiness);
            self.ready.extend(up);
        }
        self.half_open.expire(now, &self.door, &self.readiness);
        if self.pause_is_over(now) {
            self.watch_listener(true)?;
            (self.paused, self.more) = (None, true);
        }
        if (knocked || self.more) && self.paused.is_none() {
            self.more = true;
            self.more = self.admit(now, !may_sleep)?;
        }
        Ok(())
    }

    /// How long nothing has to be done unless something comes.
    fn patience(&self, may_sleep: bool) -> Deadline {
        match self.next_wake() {
            _ if !may_sleep || self.more || self.look_again => Deadline::Now,
            Some(at) => Deadline::Within(at.saturating_duration_since(self.door.config.seams.now())),
            None => Deadline::Forever,
        }
    }

    /// Its time has come; or what it waited for has: room for the client outside.
    fn pause_is_over(&self, now: Instant) -> bool {
        let has_room = || self.outside.is_some() && self.half_open.has_room(&self.door);
        self.paused.is_some_and(|until| until <= now || has_room())
    }

    /// True: there may be more. Who does not sleep in between takes `all` who wait, for a look at what is ready costs as
    /// much as a client.
    fn admit(&mut self, now: Instant, all: bool) -> Result<bool> {
        let mut ask = true;
        for _ in 0..BATCH {
            if let Some(incoming) = self.outside.take() {
                match self.half_open.make_room(incoming.peer(), now, &self.door, &self.readiness) {
                    Room::Taken(slot) => {
                        let up = self.half_open.admit(incoming, slot, now, &self.door, &self.readiness);
                        self.ready.extend(up);
                    }
                    Room::OverShare => {
                        self.door.turn_away(Refusal::Crowded, link_of::<T>(incoming, now));
                    }
                    Room::NotYet => {
                        self.outside = Some(incoming);
                        let until = self.half_open.next_silence(&self.door).unwrap_or(now);
                        return self.pause(until).map(|()| false);
                    }
                }
            }
            let Some(listener) = self.listener.as_mut().filter(|_| ask) else { return Ok(false) };
            match listener.try_accept() {
                Ok(Some(arrival)) => {
                    ask = all || listener.may_have_more();
                    self.scarce = None;
                    if let Some(until) = self.knock(arrival, now) {
                        return self.pause(until).map(|()| false);
                    }
                }
                Ok(None) if listener.arm()? => return Ok(false),
                Ok(None) => {}
                Err(error) => {
                    if !self.accept_failed(error, now)? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Gives the time until which nobody more is looked at, if there were too many who failed.
    fn knock(&mut self, arrival: Arrival<T>, now: Instant) -> Option<Instant> {
        self.door.counters.arrived.fetch_add(1, Relaxed);
        match arrival {
            Arrival::Incoming(incoming) => {
                self.outside = Some(incoming);
                None
            }
            Arrival::Rejected(reason, link) => {
                let failed = link.is_none();
                self.door.turn_away(reason, link);
                failed.then(|| self.failures.pay(now))?
            }
        }
    }

    /// Out of descriptors or memory is no end: the listener rests for a moment, for it would stay ready. After what
    /// passes it is to be asked again (true): perhaps no descriptor says so any more.
    fn accept_failed(&mut self, error: io::Error, now: Instant) -> Result<bool> {
        let scarce = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
        let passing = [Errno::ECONNABORTED, Errno::EPROTO];
        match error.raw_os_error().map(Errno::from_raw) {
            _ if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Some(errno) if scarce.contains(&errno) => {
                let since = *self.scarce.get_or_insert(now);
                if now.saturating_duration_since(since) >= PATIENCE && self.turn_one_away(now) {
                    return Ok(true);
                }
                if since == now {
                    log::warn!("{}: accepting pauses: {error}", self.door.address);
                }
                self.door.counters.pauses.fetch_add(1, Relaxed);
                self.pause(now + PAUSE).map(|()| false)
            }
            Some(errno) if passing.contains(&errno) => Ok(true),
            _ => Err(error.into()),
        }
    }

    /// Tells one of those who wait that there is no room, by means of the reserve.
    fn turn_one_away(&mut self, now: Instant) -> bool {
        let Some(listener) = self.listener.as_mut().filter(|_| self.reserve.spend()) else { return false };
        let arrival = listener.try_accept();
        let turned = match arrival {
            Ok(Some(arrival)) => {
                self.door.counters.arrived.fetch_add(1, Relaxed);
                match arrival {
                    Arrival::Incoming(incoming) => {
                        self.door.turn_away(Refusal::Busy, link_of::<T>(incoming, now));
                    }
                    Arrival::Rejected(reason, link) => self.door.turn_away(reason, link),
                }
                true
            }
            // Somebody else was faster with the descriptors, or nobody waits any more.
            _ => false,
        };
        // What cannot be had now is asked for again the next time.
        let _ = self.reserve.fill();
        turned
    }

    fn pause(&mut self, until: Instant) -> Result<()> {
        self.paused = Some(until);
        self.watch_listener(false)
    }

    fn watch_listener(&self, watch: bool) -> Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        let mut interests = Interests::default();
        listener.interests(&mut interests);
        self.readiness.remove(&interests);
        if watch {
            self.readiness.add(&interests, LISTENER)?;
        }
        Ok(())
    }

    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        match (self.readiness.descriptor(), &self.listener) {
            (Some(one), _) => into.add(one, crate::Interest::Readable),
            (None, Some(listener)) => {
                let mut now = Interests::default();
                if self.paused.is_none() {
                    listener.interests(&mut now);
                }
                self.half_open.add_interests(&mut now);
                // Clients come and go, and so may the listener.
                into.add_passing(&now);
            }
            (None, None) => {}
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.half_open.next_expiry().into_iter().chain(self.paused).min()
    }

    fn destroy(&mut self) {
        // In a forked child the name is still the parent's.
        if self.made_by != std::process::id() {
            return;
        }
        let Some(mut listener) = self.listener.take() else { return };
        listener.retire();
        let now = self.waiting.seams.now();
        let outside = self.outside.take().map(Arrival::Incoming);
        let mut waiting = outside.into_iter();
        for _ in 0..BACKLOG {
            match waiting.next().map_or_else(|| listener.try_accept(), |arrival| Ok(Some(arrival))) {
                Ok(Some(Arrival::Incoming(incoming))) => {
                    self.door.turn_away(Refusal::Stopping, link_of::<T>(incoming, now));
                }
                Ok(Some(Arrival::Rejected(_, link))) => self.door.turn_away(Refusal::Stopping, link),
                Ok(None) if listener.arm().unwrap_or(true) => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                Ok(None) | Err(_) => {}
            }
        }
        self.half_open.refuse_all(Refusal::Stopping, now, &self.door, &self.readiness);
        self.ready.clear();
        drop(listener);
        self.lease = None;
        log::debug!("{}: destroyed", self.door.address);
    }
}

/// The link of one that is on its way in, to say no over.
fn link_of<T: Transport>(mut incoming: T::Incoming, now: Instant) -> Option<Link<T>> {
    for _ in 0..MOST_STEPS {
        match incoming.step(now) {
            Ok(None) if incoming.arm().unwrap_or(true) => break,
            Ok(None) => {}
            Ok(link) => return link,
            Err(_) => break,
        }
    }
    incoming.give_up()
}

impl<T: Transport> IpcServer for Server<T> {
    type Client = Connection<T>;

    fn new_server(at: &Address) -> Result<Self> {
        Self::new_server_with(at, &ServerOptions::default())
    }

    fn accept_client_by(&mut self, deadline: Deadline) -> Result<Connection<T>> {
        self.accept_boxed(deadline).map(|client| *client)
    }

    fn accept_client(&mut self) -> Result<Connection<T>> {
        self.accept_client_by(self.accept)
    }

    fn destroy_server(&mut self) -> Result<()> {
        self.destroy();
        Ok(())
    }

    fn stop_handle(&mut self) -> Result<StopHandle> {
        self.waiting.stop_handle()
    }

    fn stop_with(&mut self, handle: &StopHandle) {
        self.waiting.stop = Some(handle.clone());
    }

    fn accept_deadline(&self) -> Deadline {
        self.accept
    }

    fn accept_interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.interests(into);
        if let Some(stop) = &self.waiting.stop {
            into.add(stop.as_fd(), crate::Interest::Readable);
        }
    }

    fn accept_wake_at(&self) -> Option<Instant> {
        // More came than one try takes in.
        let at_once = (self.more || self.look_again).then(|| self.door.config.seams.now());
        at_once.or_else(|| self.next_wake())
    }

    fn address(&self) -> &str {
        &self.door.address
    }

    fn stats(&self) -> ServerStats {
        self.door.counters.snapshot()
    }
}

/// Readable when something has come, or a half-open client's time is over: accept with `try_` until it would block.
#[cfg(all(target_os = "linux", not(hobnob_portable)))]
impl<T: Transport> std::os::fd::AsFd for Server<T> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.readiness.expose()
    }
}

impl<T: Transport> Drop for Server<T> {
    fn drop(&mut self) {
        self.destroy();
    }
}

impl<T: Transport> std::fmt::Debug for Server<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.door.address)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

struct Accept<'a, T: Transport> {
    server: &'a mut Server<T>,
}

impl<T: Transport> Operation for Accept<'_, T> {
    type Output = Box<Connection<T>>;

    fn attempt(&mut self, may_block: bool) -> Result<Try<Box<Connection<T>>>> {
        if self.server.listener.is_none() {
            return Err(ErrorKind::Closed.into());
        }
        let may_sleep = may_block && Readiness::CAN_SLEEP;
        if self.server.ready.is_empty() {
            self.server.advance(may_sleep)?;
        }
        let Some(connection) = self.server.ready.pop_front() else {
            if may_sleep {
                return Ok(Try::Again);
            }
            self.server.readiness.wake_at(self.server.accept_wake_at(), self.server.door.config.seams.now());
            return Ok(Try::NotNow);
        };
        self.server.door.counters.ready.fetch_add(1, Relaxed);
        Ok(Try::Done(connection))
    }

    /// `advance` has armed everything that said "not now".
    fn arm(&mut self) -> io::Result<bool> {
        Ok(!self.server.more && !self.server.look_again)
    }

    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.server.interests(into);
    }

    fn wake_at(&self) -> Option<Instant> {
        self.server.next_wake()
    }
}
