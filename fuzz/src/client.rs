//! A client of the in-process transport that speaks the protocol by hand, and remembers all that was said.

use std::{
    io::{self, IoSlice, IoSliceMut},
    time::Instant,
};

use ipc_core::{
    Config, Connection, Got, Handshake, Link, Name, Nonce, Place, Refusal, Rx, Transport, Tx,
    hello::{Hello, LARGEST, Terms, VERSION, Verdict},
};
use transport_inproc::Inproc;

use crate::{
    framing::{NATIVE, Next, frame},
    script::{Oddity, Words},
    words,
};

/// The kinds of frame.
pub const DATA: u8 = 1;
pub const GOODBYE: u8 = 2;
pub const HELLO: u8 = 7;
pub const VERDICT: u8 = 8;
pub const READY: u8 = 9;

const NONCE: Nonce = [5; 16];

/// One client, from its knock until the server has let go of it.
pub struct Client {
    link: Link<Inproc>,
    pub knocked: Instant,
    /// All that it has said.
    pub said: Vec<u8>,
    /// What an honest one would say next.
    plan: Vec<u8>,
    /// What came and was not looked at yet.
    heard: Vec<u8>,
    pub verdict: Option<Verdict>,
    /// Messages and goodbyes that came, not yet taken by [`Client::take_heard`].
    pub frames: Vec<(u8, Vec<u8>)>,
    /// It sends no more.
    pub finished: bool,
    /// It reads no more.
    pub deaf: bool,
    /// The server has let go of it.
    pub ended: bool,
    /// What the server has of it.
    pub accepted: Option<Accepted>,
    /// It was accepted at some time.
    pub was_accepted: bool,
}

/// A connection on the server's side.
pub struct Accepted {
    pub connection: Connection<Inproc>,
    /// How far the server has received what the client said.
    pub at: usize,
    pub end: Option<End>,
    /// The server has received all of it, and has looked for more.
    pub is_quiet: bool,
}

/// What the server has received at the end.
pub enum End {
    Goodbye,
    /// Not a message, for its user has too much unread already.
    OverShare,
}

/// What a client's words amount to by now, in the handshake.
#[derive(Debug, PartialEq, Eq)]
pub enum Word {
    Partial,
    Wrong,
    /// A hello, and why it is to be refused if it is; or a ready with the right nonce.
    Right(Option<Refusal>),
}

impl Client {
    /// Knocks; none if there is no server.
    #[must_use]
    pub fn knock(name: &Name, schema: Option<u64>, now: Instant) -> Option<Self> {
        let mut dial =
            Inproc::dial(&Place::Process(name.clone()), &Config::default()).expect("a name will do");
        let link = dial.step(now).ok()?.expect("the queue is not full");
        let plan = hello(schema, Oddity::Nothing);
        Some(Self {
            link,
            knocked: now,
            said: Vec::new(),
            plan,
            heard: Vec::new(),
            verdict: None,
            frames: Vec::new(),
            finished: false,
            deaf: false,
            ended: false,
            accepted: None,
            was_accepted: false,
        })
    }

    /// Says at most so many bytes of what an honest client would say.
    pub fn go_on(&mut self, most: usize) {
        let part: Vec<u8> = self.plan.drain(..most.min(self.plan.len())).collect();
        self.write(&part);
    }

    pub fn say(&mut self, words: &Words, schema: Option<u64>) {
        self.write(&match words {
            Words::Bytes(bytes) => bytes.clone(),
            Words::Frame(kind, body) => frame(*kind, body),
            Words::Header { kind, length, reserved } => {
                (NATIVE.encode)(*kind, *length, [u8::from(*reserved), 0, 0])
            }
            Words::Hello(oddity) => hello(schema, *oddity),
            Words::WrongReady => frame(READY, &[6; 16]),
            Words::OddReady(kind, more) => {
                let nonce = self.verdict.as_ref().map_or(NONCE, |verdict| verdict.nonce);
                frame(kind % 10, &[&nonce[..], &vec![0; usize::from(*more % 2)]].concat())
            }
            Words::Message(size) => frame(DATA, &message(*size)),
            Words::Goodbye => frame(GOODBYE, &[]),
        });
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.finished || bytes.is_empty() {
            return;
        }
        match self.link.tx.try_send(&[IoSlice::new(bytes)], false) {
            Ok(sent) => self.said.extend(&bytes[..sent]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => assert!(self.hears_end(), "the server reads no more, and has not let go"),
        }
    }

    pub fn finish(&mut self) {
        self.finished = true;
        self.link.tx.finish();
    }

    pub fn deafen(&mut self) {
        self.deaf = true;
        self.link.rx.finish();
    }

    fn hears_end(&mut self) -> bool {
        self.hear();
        self.ended
    }

    /// Reads what has come. Even a deaf one does: to see what the server said before, and whether it let go.
    pub fn hear(&mut self) {
        let mut room = [0; 4096];
        while !self.ended {
            match self.link.rx.try_recv(&mut [IoSliceMut::new(&mut room)], false) {
                Ok(Got::Bytes(count)) => self.heard.extend(&room[..count]),
                Ok(Got::End) => self.ended = true,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        loop {
            let (kind, body) = match (NATIVE.next)(&self.heard, u32::MAX) {
                Next::Frame(kind, body) => (kind, body.to_vec()),
                Next::Need => break assert!(self.heard.is_empty(), "the server sent a part of a frame"),
                Next::Bad => panic!("the server sent what is no frame"),
            };
            self.heard.drain(..NATIVE.header + body.len());
            if self.verdict.is_some() {
                self.frames.push((kind, body));
            } else {
                assert_eq!(kind, VERDICT, "the server's first word");
                self.is_told(words::verdict(&body).expect("a verdict"));
            }
        }
    }

    fn is_told(&mut self, verdict: Verdict) {
        if verdict.refusal.is_none() {
            self.plan = frame(READY, &verdict.nonce);
        } else {
            self.plan.clear();
        }
        self.verdict = Some(verdict);
    }

    /// Whether the server has said yes and not let go.
    #[must_use]
    pub fn holds_a_place(&self) -> bool {
        !self.ended && self.is_welcome()
    }

    #[must_use]
    pub fn is_welcome(&self) -> bool {
        self.verdict.as_ref().is_some_and(|verdict| verdict.refusal.is_none())
    }

    /// Whether the server still has to decide.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        !self.ended && !self.was_accepted
    }

    /// What its first word amounts to for a server with these terms.
    #[must_use]
    pub fn hello(&self, server: &Terms) -> Word {
        match (NATIVE.next)(&self.said, LARGEST) {
            Next::Need => Word::Partial,
            Next::Frame(HELLO, body) => {
                words::hello(body).map_or(Word::Wrong, |hello| Word::Right(differs(&hello.terms, server)))
            }
            Next::Frame(..) | Next::Bad => Word::Wrong,
        }
    }

    /// The hello that it has said.
    #[must_use]
    pub fn said_hello(&self) -> Option<Hello> {
        match (NATIVE.next)(&self.said, LARGEST) {
            Next::Frame(HELLO, body) => words::hello(body),
            _ => None,
        }
    }

    /// What its second word amounts to, and where the words after it begin.
    #[must_use]
    pub fn ready(&self) -> (Word, usize) {
        let Next::Frame(_, hello) = (NATIVE.next)(&self.said, LARGEST) else { return (Word::Partial, 0) };
        let second = NATIVE.header + hello.len();
        match (NATIVE.next)(&self.said[second..], LARGEST) {
            Next::Need => (Word::Partial, 0),
            Next::Frame(READY, body)
                if self.verdict.as_ref().is_some_and(|verdict| body == verdict.nonce) =>
            {
                (Word::Right(None), second + NATIVE.header + body.len())
            }
            Next::Frame(..) | Next::Bad => (Word::Wrong, 0),
        }
    }
}

/// Bytes of a message.
#[must_use]
pub fn message(size: u16) -> Vec<u8> {
    (0..size).map(|i| (i ^ size) as u8).collect()
}

fn hello(schema: Option<u64>, oddity: Oddity) -> Vec<u8> {
    let mut terms = Terms { version: VERSION, scheme: "inproc".to_owned(), limit: 40_000, schema };
    let mut tail = 0;
    match oddity {
        Oddity::Nothing => {}
        Oddity::Version(version) => terms.version = version,
        Oddity::Scheme => terms.scheme = "unix".to_owned(),
        Oddity::Schema(schema) => terms.schema = Some(schema.into()),
        Oddity::Limit(limit) => terms.limit = limit.into(),
        Oddity::Tail(length) => tail = length.into(),
    }
    frame(HELLO, &[Hello { terms, nonce: NONCE }.encode(), vec![1; tail]].concat())
}

/// Why the two cannot talk, in the order in which a server looks.
fn differs(client: &Terms, server: &Terms) -> Option<Refusal> {
    let schemas = (client.schema, server.schema);
    match () {
        () if client.version != server.version => Some(Refusal::WrongVersion),
        () if client.scheme != server.scheme => Some(Refusal::WrongTransport),
        () if matches!(schemas, (Some(ours), Some(theirs)) if ours != theirs) => {
            Some(Refusal::SchemaMismatch)
        }
        () => None,
    }
}
