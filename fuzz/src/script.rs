//! What a run of the target `server` does, step by step.

use arbitrary::Arbitrary;

/// A server's rules, and what happens to it.
#[derive(Arbitrary, Debug)]
pub struct Script {
    pub rules: Rules,
    pub steps: Vec<Step>,
}

/// What the server is told. Small numbers, so that every limit is met.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Rules {
    half_open: u8,
    clients: u8,
    /// Whether each user has a share only; here all clients are of one.
    pub shared: bool,
    /// Whether a user's share of the memory for large messages is less than a few of them.
    pub tight: bool,
    hello: u16,
    pub schema: Option<bool>,
    /// The largest message, in bytes.
    pub limit: u16,
}

impl Rules {
    /// How many may be in mid-handshake.
    #[must_use]
    pub fn half_open(&self) -> usize {
        usize::from(self.half_open % 4) + 1
    }

    /// How many clients there may be.
    #[must_use]
    pub fn clients(&self) -> usize {
        usize::from(self.clients % 4) + 1
    }

    /// How many of so many places one user gets: half of them if others are expected too.
    #[must_use]
    pub fn share(&self, of: usize) -> usize {
        if self.shared { (of / 2).max(1) } else { of }
    }

    /// The milliseconds that the handshake may take.
    #[must_use]
    pub fn hello(&self) -> u64 {
        u64::from(self.hello) + 1
    }
}

/// Which of the clients: they are numbered by eight.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Who(u8);

impl Who {
    /// The client's place.
    #[must_use]
    pub fn place(self) -> usize {
        usize::from(self.0 % 8)
    }
}

/// One thing that happens.
#[derive(Arbitrary, Debug)]
pub enum Step {
    /// A client knocks, if its place is free.
    Knock(Who),
    /// It says what an honest client would say next, as far as that goes.
    Honest(Who),
    /// It says so many bytes of that.
    Some(Who, u8),
    Say(Who, Words),
    /// It sends no more, and has said no goodbye if it did not say one.
    Finish(Who),
    /// It reads no more.
    Deafen(Who),
    /// Milliseconds pass.
    Wait(u16),
    /// The server accepts, if there is somebody.
    Accept,
    /// The server sends to a client that it has accepted.
    Send(Who, u16),
    /// The server receives from one.
    Receive(Who),
    /// The server lets go of one.
    LetGo(Who),
    /// The server is destroyed.
    Stop,
}

/// What a client that is not honest may say at any time.
#[derive(Arbitrary, Debug)]
pub enum Words {
    Bytes(Vec<u8>),
    Frame(u8, Vec<u8>),
    /// A header, which may lie.
    Header {
        kind: u8,
        length: u32,
        reserved: bool,
    },
    /// A hello with one thing wrong or right.
    Hello(Oddity),
    /// The last word with a nonce of another's.
    WrongReady,
    /// The right nonce in a frame that may be of another kind, and with so many bytes more.
    OddReady(u8, u8),
    /// A message of so many bytes.
    Message(u16),
    Goodbye,
}

/// What is odd about a hello.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Oddity {
    Nothing,
    Version(u16),
    Scheme,
    Schema(bool),
    Limit(u16),
    Tail(u8),
}
