//! A client that speaks the protocol by hand, and so can break it.

use std::{
    io::{self, IoSlice, IoSliceMut},
    time::Instant,
};

use ipc_core::{
    Config, ErrorKind, Got, Handshake, IpcServer, Link, Nonce, Place, Refusal, Result, Rx, Transport, Tx, Wait,
    frame::{Decoder, FrameKind, frame},
    hello::{Hello, Terms, VERSION, Verdict},
};

use crate::{
    kind_of,
    raising::{Raising, awaits_answer, wait},
};

/// A road that is up, or will be once the server has done its part; and nothing more.
pub struct Raw<T: Transport> {
    road: Road<T>,
    decoder: Decoder,
}

enum Road<T: Transport> {
    Raising(Raising<T>),
    Up(Option<T::Outgoing>, Link<T>),
    /// The server said no before it was up, or went away.
    Failed(Option<Refusal>),
}

impl<T: Transport> Raw<T> {
    /// Knocks, and says nothing.
    #[must_use]
    pub fn knock(place: &Place) -> Self {
        Self::knock_with(place, &Config::default())
    }

    /// The same, with a configuration.
    #[must_use]
    pub fn knock_with(place: &Place, config: &Config) -> Self {
        let mut outgoing = T::dial(place, config).unwrap();
        loop {
            match Self::step(outgoing) {
                Ok(raw) => return raw,
                Err(waiting) => outgoing = waiting,
            }
            if outgoing.arm().unwrap() {
                wait(&outgoing, None);
            }
        }
    }

    /// Knocks, and has the server answer where nothing can be said before.
    #[must_use]
    pub fn let_in(place: &Place, server: &mut impl IpcServer) -> Self {
        let mut raw = Self::knock(place);
        while !raw.is_up() {
            let accepted = server.try_accept_client().map(drop);
            assert_eq!(kind_of(&accepted), Some(&ErrorKind::WouldBlock), "nobody was to be let in");
        }
        raw.link();
        raw
    }

    /// Knocks; none if there is no room to knock in.
    #[must_use]
    pub fn try_knock(place: &Place) -> Option<Self> {
        Self::step(T::dial(place, &Config::default()).unwrap()).ok()
    }

    fn step(mut outgoing: T::Outgoing) -> Result<Self, T::Outgoing> {
        let road = match outgoing.step(Instant::now()).unwrap() {
            Some(link) => Road::Up(Some(outgoing), link),
            None if awaits_answer(&outgoing) => Road::Raising(Raising::new(outgoing)),
            None => return Err(outgoing),
        };
        Ok(Self { road, decoder: Decoder::new(1 << 24) })
    }

    /// Whether the road is up and all that was written has left; or the server does not want it to be.
    #[must_use]
    pub fn is_up(&self) -> bool {
        !matches!(&self.road, Road::Raising(raising) if !raising.is_over())
    }

    /// The link, once it is up. None: the server does not want it to be.
    pub fn link(&mut self) -> Option<&mut Link<T>> {
        if let Road::Raising(_) = self.road
            && let Road::Raising(raising) = std::mem::replace(&mut self.road, Road::Failed(None))
        {
            self.road = match raising.finish() {
                Ok((outgoing, link)) => Road::Up(Some(outgoing), link),
                Err(error) => Road::Failed(told(error.kind())),
            };
        }
        match &mut self.road {
            Road::Up(_, link) => Some(link),
            _ => None,
        }
    }

    #[must_use]
    pub fn terms() -> Terms {
        Terms { version: VERSION, scheme: T::SCHEME.to_owned(), limit: 1 << 24, schema: None }
    }

    /// The nonce that ties a hello to this knock, where the transport has one.
    pub fn expected(&self) -> Option<Nonce> {
        match &self.road {
            Road::Up(_, link) => link.nonce,
            _ => None,
        }
    }

    pub fn nonce(&self) -> Nonce {
        self.expected().unwrap_or([5; 16])
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
        if let Road::Up(outgoing, _) = &mut self.road {
            *outgoing = None;
        }
    }

    /// Writes all of it, or leaves it to be written once the road is up. A server that has hung up meanwhile is no
    /// failure here.
    pub fn write(&mut self, bytes: &[u8]) {
        match &mut self.road {
            Road::Raising(raising) => raising.write(bytes),
            Road::Up(_, link) => write(&mut link.tx, bytes),
            Road::Failed(_) => {}
        }
    }

    /// The next frame, or the end.
    pub fn read_frame(&mut self) -> Option<(FrameKind, Vec<u8>)> {
        loop {
            if let Some(found) = self.decoder.next_frame().unwrap() {
                return Some((found.kind, self.decoder.bytes(&found).to_vec()));
            }
            self.link()?;
            let Road::Up(_, link) = &mut self.road else { return None };
            let count = receive(&mut link.rx, self.decoder.rooms().slices())?;
            self.decoder.filled(count);
        }
    }

    /// Some of up to so many bytes, as they come; none at the end.
    pub fn read_some(&mut self, room: &mut [u8]) -> Option<usize> {
        self.link()?;
        let Road::Up(_, link) = &mut self.road else { return None };
        receive(&mut link.rx, &mut [IoSliceMut::new(room)])
    }

    /// The verdict, or none if the server hangs up.
    pub fn verdict(&mut self) -> Option<Verdict> {
        if self.link().is_none() {
            let Road::Failed(refusal) = self.road else { return None };
            let (terms, nonce) = (Self::terms(), Nonce::default());
            return refusal.map(|_| Verdict { terms, refusal, echo: nonce, nonce });
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
                    wait(rx, None);
                }
            }
            Err(_) => return None,
        }
    }
}

/// What a server said that said no.
fn told(error: &ErrorKind) -> Option<Refusal> {
    match error {
        ErrorKind::Refused { reason } => Some(*reason),
        ErrorKind::Busy => Some(Refusal::Evicted),
        _ => None,
    }
}

pub(crate) fn write(tx: &mut impl Tx, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match tx.try_send(&[IoSlice::new(bytes)], false) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if tx.arm().unwrap() {
                    wait(tx, None);
                }
            }
            Err(_) => return,
        }
    }
}
