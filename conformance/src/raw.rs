//! A client that speaks the protocol by hand, and so can break it.

use std::{
    io::{self, IoSlice, IoSliceMut},
    time::Instant,
};

use ipc_core::{
    Config, ErrorKind, Got, Handshake, Interest, Interests, IpcServer, Link, Nonce, Place, Refusal, Rx,
    Transport, Tx, Wait,
    frame::{Decoder, FrameKind, frame},
    hello::{Hello, Terms, VERSION, Verdict},
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::kind_of;

/// Somebody who has knocked, and nothing more.
pub struct Raw<T: Transport> {
    outgoing: Option<T::Outgoing>,
    /// None while the server has not answered the knock, where it must.
    link: Option<Link<T>>,
    /// What the server said in place of an answer.
    refusal: Option<Refusal>,
    decoder: Decoder,
}

impl<T: Transport> Raw<T> {
    /// Knocks, and says nothing. Where a road is not up before the server answers, it may not be yet.
    #[must_use]
    pub fn knock(place: &Place) -> Self {
        Self::knock_with(place, &Self::config())
    }

    /// The same, with a configuration.
    #[must_use]
    pub fn knock_with(place: &Place, config: &Config) -> Self {
        let mut raw = Self::before(place, config);
        while !raw.step().unwrap() {
            let outgoing = raw.outgoing();
            if !outgoing.arm().unwrap() {
                continue;
            }
            if only_the_server_can_go_on(outgoing) {
                break;
            }
            wait(outgoing);
        }
        raw
    }

    /// Knocks, and has the server answer where nothing can be said before.
    #[must_use]
    pub fn let_in(place: &Place, server: &mut impl IpcServer) -> Self {
        let mut raw = Self::knock(place);
        while !raw.step().unwrap() {
            let accepted = server.try_accept_client().map(drop);
            assert_eq!(kind_of(&accepted), Some(&ErrorKind::WouldBlock), "nobody was to be let in");
        }
        raw
    }

    /// Knocks; none if there is no room to knock in.
    #[must_use]
    pub fn try_knock(place: &Place) -> Option<Self> {
        let mut raw = Self::before(place, &Self::config());
        (raw.step().unwrap() || only_the_server_can_go_on(raw.outgoing())).then_some(raw)
    }

    /// It believes any server.
    fn config() -> Config {
        let mut config = Config::default();
        config.unproven = true;
        config
    }

    fn before(place: &Place, config: &Config) -> Self {
        let outgoing = T::dial(place, config).unwrap();
        Self { outgoing: Some(outgoing), link: None, refusal: None, decoder: Decoder::new(1 << 24) }
    }

    fn outgoing(&mut self) -> &mut T::Outgoing {
        self.outgoing.as_mut().expect("it is kept until the handshake is over")
    }

    /// True: the road is up.
    fn step(&mut self) -> ipc_core::Result<bool> {
        if self.link.is_none() {
            self.link = self.outgoing().step(Instant::now())?;
        }
        Ok(self.link.is_some())
    }

    /// The road, once the server has answered; none if it has hung up.
    pub fn link(&mut self) -> Option<&mut Link<T>> {
        while !self.step().map_err(|error| self.refusal = refusal(error.kind())).ok()? {
            let outgoing = self.outgoing();
            if outgoing.arm().ok()? {
                wait(outgoing);
            }
        }
        self.link.as_mut()
    }

    #[must_use]
    pub fn terms() -> Terms {
        Terms { version: VERSION, scheme: T::SCHEME.to_owned(), limit: 1 << 24, schema: None }
    }

    pub fn nonce(&self) -> Nonce {
        self.link.as_ref().and_then(|link| link.nonce).unwrap_or([5; 16])
    }

    /// Whether the hello must carry the nonce of the knock.
    #[must_use]
    pub fn is_tied(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.nonce.is_some())
    }

    pub fn hello(&self, terms: Terms) -> Vec<u8> {
        frame(FrameKind::Hello, &Hello { terms, nonce: self.nonce() }.encode())
    }

    /// A hello of anybody's: all have the same size.
    #[must_use]
    pub fn greeting() -> Vec<u8> {
        frame(FrameKind::Hello, &Hello { terms: Self::terms(), nonce: [5; 16] }.encode())
    }

    /// Says hello in these terms and hears the verdict; the server must be accepting meanwhile.
    pub fn greet(&mut self, terms: Terms) -> Verdict {
        self.write(&self.hello(terms));
        self.verdict().expect("a verdict")
    }

    /// The whole handshake, done right.
    pub fn shake(&mut self) {
        let verdict = self.greet(Self::terms());
        assert_eq!(verdict.refusal, None);
        assert_eq!(verdict.echo, self.nonce());
        self.write(&frame(FrameKind::Ready, &verdict.nonce));
        self.outgoing = None;
    }

    /// Writes all of it. A server that has hung up meanwhile is no failure here.
    pub fn write(&mut self, mut bytes: &[u8]) {
        let Some(Link { tx, .. }) = self.link() else { return };
        while !bytes.is_empty() {
            match tx.try_send(&[IoSlice::new(bytes)], false) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if tx.arm().unwrap() {
                        wait(tx);
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// The next frame, or the end.
    pub fn read_frame(&mut self) -> Option<(FrameKind, Vec<u8>)> {
        self.link()?;
        let Self { link: Some(Link { rx, .. }), decoder, .. } = self else { return None };
        loop {
            if let Some(found) = decoder.next_frame().unwrap() {
                return Some((found.kind, decoder.bytes(&found).to_vec()));
            }
            let count = receive(rx, decoder.rooms().slices())?;
            decoder.filled(count);
        }
    }

    /// Some of up to so many bytes, as they come; none at the end.
    pub fn read_some(&mut self, room: &mut [u8]) -> Option<usize> {
        receive(&mut self.link()?.rx, &mut [IoSliceMut::new(room)])
    }

    /// The verdict, or none if the server hangs up.
    pub fn verdict(&mut self) -> Option<Verdict> {
        if self.link().is_none() {
            let (terms, nonce) = (Self::terms(), Nonce::default());
            return self.refusal.map(|reason| Verdict { terms, refusal: Some(reason), echo: nonce, nonce });
        }
        let (kind, body) = self.read_frame()?;
        assert_eq!(kind, FrameKind::Verdict);
        Some(Verdict::decode(&body).unwrap())
    }
}

/// How many bytes have come, once some have; none at the end.
fn receive(rx: &mut impl Rx, rooms: &mut [IoSliceMut<'_>]) -> Option<usize> {
    loop {
        match rx.try_recv(rooms, false) {
            Ok(Got::Bytes(count)) => return Some(count),
            Ok(Got::End) => return None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if rx.arm().unwrap() {
                    wait(rx);
                }
            }
            Err(_) => return None,
        }
    }
}

/// What the server said, as the error that it becomes for a client.
fn refusal(error: &ErrorKind) -> Option<Refusal> {
    match error {
        ErrorKind::Refused { reason } => Some(*reason),
        ErrorKind::Busy => Some(Refusal::Evicted),
        _ => None,
    }
}

/// Whether there is nothing to do before the server answers: neither to ask again nor to wait for room.
fn only_the_server_can_go_on(outgoing: &impl Wait) -> bool {
    let mut interests = Interests::default();
    outgoing.interests(&mut interests);
    let answered = interests.iter().all(|(_, interest)| interest == Interest::Readable);
    outgoing.wake_at().is_none() && interests.iter().next().is_some() && answered
}

fn wait(on: &impl Wait) {
    let mut interests = Interests::default();
    on.interests(&mut interests);
    let mut fds: Vec<_> = interests
        .iter()
        .map(|(fd, interest)| {
            let events = if interest == Interest::Writable { PollFlags::POLLOUT } else { PollFlags::POLLIN };
            PollFd::new(fd, events)
        })
        .collect();
    let time = if on.wake_at().is_some() { PollTimeout::from(1u8) } else { PollTimeout::NONE };
    match poll(&mut fds, time) {
        // A signal came between: whoever waits looks again.
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => panic!("{errno}"),
    }
}
