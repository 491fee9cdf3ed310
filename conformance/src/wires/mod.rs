//! Foreign wires: what holds for messages without hobnob's frames, and for clients that never heard of hobnob.

mod messages;
mod strangers;

use std::num::NonZeroU32;

use ipc_core::{IpcReceiver, IpcServer, Wire};

use crate::{Raw, Stage, Subject, stage::pattern};

pub use messages::*;
pub use strangers::*;

const SIZE: usize = 1000;
pub(crate) const LINES: Wire = Wire::Delimited(b'\n');
pub(crate) const FIXED: Wire = Wire::Fixed(NonZeroU32::new(SIZE as u32).unwrap());
const WIRES: [Wire; 3] = [Wire::Raw, LINES, FIXED];

/// A server of this wire for whoever comes.
fn server_of<S: Subject>(stage: &Stage<S>, wire: Wire) -> S::Server {
    stage.server_with(|options| options.wire(wire).allow(|_| true))
}

/// A client and what the server has of it, both of this wire.
fn pair_of<S: Subject>(stage: &Stage<S>, wire: Wire) -> (S::Connection, S::Connection) {
    stage.pair_with(&mut server_of(stage, wire), |options| options.wire(wire))
}

/// A client that knows bytes only, and what the server has of it.
fn stranger<S: Subject>(stage: &Stage<S>, server: &mut S::Server) -> (Raw<S::Transport>, S::Connection) {
    let raw = Raw::knock(&stage.place());
    (raw, server.accept_client().unwrap())
}

/// A message that this wire carries, of about this size.
fn message(wire: Wire, seed: usize, size: usize) -> Vec<u8> {
    let size = if wire == FIXED { SIZE } else { size.max(usize::from(wire == Wire::Raw)) };
    let spare = |byte: u8| if wire == LINES && byte == b'\n' { b' ' } else { byte };
    pattern(seed, size).into_iter().map(spare).collect()
}

/// Hears messages as they were sent; on a raw wire that is the bytes of them, wherever they are cut.
struct Ear<'a, C> {
    from: &'a mut C,
    wire: Wire,
    come: Vec<u8>,
}

impl<'a, C: IpcReceiver> Ear<'a, C> {
    fn new(from: &'a mut C, wire: Wire) -> Self {
        Self { from, wire, come: Vec::new() }
    }

    fn hears(&mut self, message: &[u8]) {
        let mut info = Vec::new();
        if self.wire != Wire::Raw {
            assert!(self.from.recv_info(&mut info).unwrap(), "{}: the end came first", self.wire);
            return assert!(info == message, "{}: not what was sent", self.wire);
        }
        while self.come.len() < message.len() {
            assert!(self.from.recv_info(&mut info).unwrap(), "the end came first");
            assert!(!info.is_empty(), "an empty message");
            self.come.extend_from_slice(&info);
        }
        assert!(self.come.drain(..message.len()).eq(message.iter().copied()), "raw: not what was sent");
    }

    fn hears_the_end(&mut self) {
        assert!(self.come.is_empty(), "{}: more came than was sent", self.wire);
        assert_eq!(self.from.recv_borrowed().unwrap(), None, "{}", self.wire);
    }
}
