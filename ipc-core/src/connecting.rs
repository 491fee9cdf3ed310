//! The client's side of the handshake, as an operation: find the server, raise the road, hello, verdict, ready.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    Address, Config, ConnectOptions, Connection, Deadline, Error, ErrorKind, Handshake, Interests,
    IpcConnecting, Link, Nonce, Place, Refusal, Result, Target, Transport, Wait,
    drive::{Operation, Try, Waiting, drive},
    frame::{Frame, FrameKind},
    hello::{Hello, Terms, VERSION, Verdict},
    place::places,
    pool::Pool,
    runtime_dir,
};

/// Connects, and waits for it within the options' deadline.
///
/// # Errors
/// As [`IpcConnection::connect_to`](crate::IpcConnection::connect_to).
pub fn connect<C: IpcConnecting + ?Sized>(
    connecting: &mut C,
    options: &ConnectOptions,
) -> Result<C::Connection> {
    drive(&mut Wanted(connecting), options.deadline, &mut Waiting::new(&options.config))
        .map_err(|error| error.about("connect_to", &connecting.address()))
}

/// A connect as an operation of its own.
struct Wanted<'a, C: ?Sized>(&'a mut C);

impl<C: IpcConnecting + ?Sized> Operation for Wanted<'_, C> {
    type Output = C::Connection;

    fn attempt(&mut self, _: bool) -> Result<Try<C::Connection>> {
        match self.0.try_connect() {
            Ok(connection) => Ok(Try::Done(connection)),
            Err(error) if *error.kind() == ErrorKind::WouldBlock => Ok(Try::NotNow),
            Err(error) => Err(error),
        }
    }

    /// `try_connect` has seen to it.
    fn arm(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.0.connect_interests(into);
    }

    fn wake_at(&self) -> Option<Instant> {
        self.0.connect_wake_at()
    }
}

/// The pauses between two looks for a server that is waited for, or has no room in the handshake for our user.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// A connection that is being made over the transport `T`.
pub struct Connecting<T: Transport> {
    at: Address,
    options: ConnectOptions,
    address: Arc<str>,
    places: VecDeque<Place>,
    stage: Stage<T>,
    pause: Duration,
    retried: bool,
}

enum Stage<T: Transport> {
    /// Nothing is under way; go on at this time.
    Idle { until: Option<Instant> },
    /// The transport raises the road.
    Dialing(T::Outgoing),
    /// The hello has left; the verdict is awaited. The transport's side is kept until then.
    Greeting(T::Outgoing, Box<Connection<T>>, Nonce),
}

impl<T: Transport> Connecting<T> {
    /// Nothing is done before the first try.
    ///
    /// # Errors
    /// `BadAddress`: the address is not one of this transport.
    pub fn new(at: &Address, options: &ConnectOptions) -> Result<Self> {
        let address: Arc<str> = at.over(T::SCHEME).to_string().into();
        let mut options = options.clone();
        at.must_allow(T::SCHEME)
            .and_then(|()| options.config.wire.settle::<T>(&mut options.config))
            .map_err(|error| error.about("connect_to", &address))?;
        Ok(Self {
            at: at.clone(),
            options,
            address,
            places: VecDeque::new(),
            stage: Stage::Idle { until: None },
            pause: FIRST_PAUSE,
            retried: false,
        })
    }

    /// Waits for it within the options' deadline.
    pub(crate) fn finish(mut self) -> Result<Connection<T>> {
        let (deadline, mut waiting) = (self.options.deadline, Waiting::new(&self.options.config));
        let connected = drive(&mut self, deadline, &mut waiting);
        connected.map(|connection| *connection).map_err(|error| error.about("connect_to", &self.address))
    }
}

impl<T: Transport> IpcConnecting for Connecting<T> {
    type Connection = Connection<T>;

    fn try_connect(&mut self) -> Result<Connection<T>> {
        let mut waiting = Waiting::new(&self.options.config);
        let tried = drive(self, Deadline::Polled, &mut waiting);
        tried.map(|connection| *connection).map_err(|error| error.about("connect_to", &self.address))
    }

    fn connect_interests<'a>(&'a self, into: &mut Interests<'a>) {
        let mut now = Interests::default();
        self.interests(&mut now);
        into.add_passing(&now);
    }

    fn connect_wake_at(&self) -> Option<Instant> {
        self.wake_at()
    }

    fn address(&self) -> Arc<str> {
        self.address.clone()
    }
}

impl<T: Transport> Operation for Connecting<T> {
    type Output = Box<Connection<T>>;

    fn attempt(&mut self, _: bool) -> Result<Try<Box<Connection<T>>>> {
        let now = self.options.config.seams.now();
        let stage = std::mem::replace(&mut self.stage, Stage::Idle { until: None });
        let tried = match stage {
            Stage::Idle { until: Some(until) } if now < until => {
                self.stage = stage;
                return Ok(Try::NotNow);
            }
            Stage::Idle { .. } => self.dial(),
            Stage::Dialing(outgoing) => self.step(outgoing, now),
            Stage::Greeting(outgoing, connection, nonce) => self.listen(outgoing, connection, nonce, now),
        };
        match tried {
            Err(error) if matches!(error.kind(), ErrorKind::NoSuchServer { .. }) => self.next_place(now),
            Err(error) if *error.kind() == ErrorKind::StaleClientFile && !self.retried => {
                self.retried = true;
                self.places.clear();
                Ok(Try::Again)
            }
            Err(error) if is_crowded(error.kind()) => {
                self.places.clear();
                Ok(self.come_again(now))
            }
            tried => tried,
        }
    }

    fn arm(&mut self) -> io::Result<bool> {
        match &mut self.stage {
            Stage::Idle { .. } => Ok(true),
            Stage::Dialing(outgoing) => outgoing.arm(),
            Stage::Greeting(outgoing, connection, _) => {
                Ok(outgoing.arm()? && connection.receiver.intake.arm()?)
            }
        }
    }

    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        match &self.stage {
            Stage::Idle { .. } => {}
            Stage::Dialing(outgoing) => outgoing.interests(into),
            Stage::Greeting(outgoing, connection, _) => {
                outgoing.interests(into);
                connection.receiver.add_interests(into);
            }
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Idle { until } => *until,
            Stage::Dialing(outgoing) | Stage::Greeting(outgoing, ..) => outgoing.wake_at(),
        }
    }
}

impl<T: Transport> Connecting<T> {
    fn dial(&mut self) -> Result<Try<Box<Connection<T>>>> {
        if self.places.is_empty() {
            self.places = places::<T>(&self.at, &self.options.config)?.into();
        }
        let config = &self.options.config;
        let place = self.places.pop_front().ok_or_else(|| runtime_dir::no_such_server(config))?;
        self.stage = Stage::Dialing(T::dial(&place, config)?);
        Ok(Try::Again)
    }

    fn step(&mut self, mut outgoing: T::Outgoing, now: Instant) -> Result<Try<Box<Connection<T>>>> {
        let Some(link) = outgoing.step(now)? else {
            self.stage = Stage::Dialing(outgoing);
            return Ok(Try::NotNow);
        };
        if let Some(uid) = link.peer.uid.filter(|uid| !self.options.config.trusts(*uid)) {
            return Err(ErrorKind::ServerUntrusted { uid }.into());
        }
        if self.options.config.wire.is_foreign() {
            outgoing.welcome();
            return Ok(Try::Done(Box::new(self.join(link))));
        }
        let (connection, nonce) = self.greet(link)?;
        self.stage = Stage::Greeting(outgoing, connection, nonce);
        // Nobody has answered yet, most likely: it is not tried before it is waited for.
        Ok(Try::NotNow)
    }

    /// There is nobody to greet.
    fn join(&self, link: Link<T>) -> Connection<T> {
        let config = &self.options.config;
        let mut connection = Connection::greeting(link, self.address.clone(), config, Pool::of_clients());
        connection.open_foreign(config);
        connection
    }

    fn greet(&mut self, link: Link<T>) -> Result<(Box<Connection<T>>, Nonce)> {
        let nonce = link.nonce.map_or_else(random, Ok)?;
        let pool = Pool::of_clients();
        let mut connection = Connection::greeting(link, self.address.clone(), &self.options.config, pool);
        let hello = Hello { terms: terms::<T>(&self.options.config), nonce };
        self.options.config.seams.reach("connect.hello")?;
        // A server that refuses without reading may be gone already; its verdict can still be read.
        let _ = connection.sender.post(FrameKind::Hello, &hello.encode());
        Ok((Box::new(connection), nonce))
    }

    fn listen(
        &mut self,
        mut outgoing: T::Outgoing,
        mut connection: Box<Connection<T>>,
        nonce: Nonce,
        now: Instant,
    ) -> Result<Try<Box<Connection<T>>>> {
        let frame = match connection.receiver.intake.try_frame(false)? {
            Try::NotNow => match outgoing.step(now) {
                Ok(_) => Try::NotNow,
                // It may have answered just before it went. Only if nobody would ring for more, there is none.
                Err(gone) => match connection.receiver.intake.try_frame(false)? {
                    Try::NotNow if connection.receiver.intake.arm()? => return Err(gone),
                    Try::NotNow => Try::Again,
                    tried => tried,
                },
            },
            tried => tried,
        };
        let waits = match frame {
            Try::Done(frame) => {
                let connection = self.judge(connection, &frame, nonce)?;
                outgoing.welcome();
                return Ok(Try::Done(connection));
            }
            Try::Again => Try::Again,
            Try::NotNow => Try::NotNow,
        };
        self.stage = Stage::Greeting(outgoing, connection, nonce);
        Ok(waits)
    }

    fn judge(
        &self,
        mut connection: Box<Connection<T>>,
        frame: &Frame,
        nonce: Nonce,
    ) -> Result<Box<Connection<T>>> {
        let protocol = |what| Error::from(ErrorKind::Protocol { what });
        if frame.kind != FrameKind::Verdict {
            return Err(protocol("the server's first word is no verdict"));
        }
        let verdict = Verdict::decode(connection.receiver.bytes(frame)).map_err(protocol)?;
        let ours = terms::<T>(&self.options.config);
        if let Some(kind) = verdict.error(&ours) {
            return Err(kind.into());
        }
        if verdict.echo != nonce {
            return Err(protocol("the verdict answers another hello"));
        }
        self.options.config.seams.reach("connect.ready")?;
        connection.sender.post(FrameKind::Ready, &verdict.nonce)?;
        connection.open(ours.limit, verdict.terms.limit);
        Ok(connection)
    }

    /// Nobody at this place: try the next, then wait for a server if that is wanted.
    fn next_place(&mut self, now: Instant) -> Result<Try<Box<Connection<T>>>> {
        if !self.places.is_empty() {
            return Ok(Try::Again);
        }
        if !self.options.wait_for_server {
            return Err(self.nobody());
        }
        Ok(self.come_again(now))
    }

    fn come_again(&mut self, now: Instant) -> Try<Box<Connection<T>>> {
        self.stage = Stage::Idle { until: Some(now + self.pause) };
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Try::NotNow
    }

    fn nobody(&self) -> Error {
        match self.at.target() {
            Target::Path(path) => ErrorKind::NoSuchServer { searched: vec![path.clone()] }.into(),
            Target::HostPort(host, port) => {
                ErrorKind::NoSuchServer { searched: vec![format!("{host}:{port}").into()] }.into()
            }
            _ if T::CAPABILITIES.one_process => {
                ErrorKind::NoSuchServer { searched: vec!["this process".into()] }.into()
            }
            _ => runtime_dir::no_such_server(&self.options.config),
        }
    }
}

/// Many clients of our user are in the handshake just now; it lasts for moments only.
fn is_crowded(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Refused { reason: Refusal::Crowded })
}

/// What this side says of itself.
pub(crate) fn terms<T: Transport>(config: &Config) -> Terms {
    Terms {
        version: VERSION,
        scheme: T::SCHEME.to_owned(),
        limit: config.limits.message,
        schema: config.schema,
    }
}

pub(crate) fn random() -> Result<Nonce> {
    let mut nonce = Nonce::default();
    fill_random(&mut nonce)?;
    Ok(nonce)
}

pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| Error::caused(ErrorKind::Os, io::Error::other(error)))
}
