//! A client that speaks the protocol by hand, and so can break it.

use std::{
    io::{self, IoSlice},
    time::Instant,
};

use ipc_core::{
    Config, Got, Handshake, Interest, Interests, Link, Nonce, Place, Rx, Transport, Tx, Wait,
    frame::{Decoder, FrameKind, frame},
    hello::{Hello, Terms, VERSION, Verdict},
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

/// A road that is up, and nothing more.
pub struct Raw<T: Transport> {
    outgoing: Option<T::Outgoing>,
    pub link: Link<T>,
    decoder: Decoder,
}

impl<T: Transport> Raw<T> {
    /// Knocks, and says nothing.
    #[must_use]
    pub fn knock(place: &Place) -> Self {
        let mut outgoing = T::dial(place, &Config::default()).unwrap();
        loop {
            match Self::step(outgoing) {
                Ok(raw) => return raw,
                Err(waiting) => outgoing = waiting,
            }
            if outgoing.arm().unwrap() {
                wait(&outgoing);
            }
        }
    }

    /// Knocks; none if there is no room to knock in.
    #[must_use]
    pub fn try_knock(place: &Place) -> Option<Self> {
        Self::step(T::dial(place, &Config::default()).unwrap()).ok()
    }

    fn step(mut outgoing: T::Outgoing) -> Result<Self, T::Outgoing> {
        match outgoing.step(Instant::now()).unwrap() {
            Some(link) => Ok(Self { outgoing: Some(outgoing), link, decoder: Decoder::new(1 << 24) }),
            None => Err(outgoing),
        }
    }

    #[must_use]
    pub fn terms() -> Terms {
        Terms { version: VERSION, scheme: T::SCHEME.to_owned(), limit: 1 << 24, schema: None }
    }

    pub fn nonce(&self) -> Nonce {
        self.link.nonce.unwrap_or([5; 16])
    }

    pub fn hello(&self, terms: Terms) -> Vec<u8> {
        frame(FrameKind::Hello, &Hello { terms, nonce: self.nonce() }.encode())
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
        while !bytes.is_empty() {
            match self.link.tx.try_send(&[IoSlice::new(bytes)], false) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.link.tx.arm().unwrap() {
                        wait(&self.link.tx);
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// The next frame, or the end.
    pub fn read_frame(&mut self) -> Option<(FrameKind, Vec<u8>)> {
        loop {
            if let Some(found) = self.decoder.next_frame().unwrap() {
                return Some((found.kind, self.decoder.bytes(&found).to_vec()));
            }
            match self.link.rx.try_recv(self.decoder.rooms().slices(), false) {
                Ok(Got::Bytes(count)) => self.decoder.filled(count),
                Ok(Got::End) => return None,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.link.rx.arm().unwrap() {
                        wait(&self.link.rx);
                    }
                }
                Err(_) => return None,
            }
        }
    }

    /// The verdict, or none if the server hangs up.
    pub fn verdict(&mut self) -> Option<Verdict> {
        let (kind, body) = self.read_frame()?;
        assert_eq!(kind, FrameKind::Verdict);
        Some(Verdict::decode(&body).unwrap())
    }
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
