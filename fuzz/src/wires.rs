//! Foreign wires as a simple parser over all that will ever come.

use ipc_core::Wire;

/// What is to be found once a part of a stream has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A whole message: its size, and how many bytes it takes on the way.
    Message(usize, usize),
    /// Perhaps a message, when more has come.
    Need,
    /// None that is within the limit, whatever comes.
    Bad,
}

/// The first message of a stream, of which not all has come. What a raw message is only the reads tell: it has no end.
pub struct First {
    wire: Wire,
    size: usize,
    end: usize,
}

impl First {
    /// In all of the stream.
    #[must_use]
    pub fn of(wire: Wire, stream: &[u8]) -> Self {
        let (size, end) = match wire {
            Wire::Delimited(delimiter) => match stream.iter().position(|byte| *byte == delimiter) {
                Some(size) => (size, size + 1),
                None => (usize::MAX, usize::MAX),
            },
            Wire::Fixed(size) => (size.get() as usize, size.get() as usize),
            _ => (0, 0),
        };
        Self { wire, size, end }
    }

    /// What is to be found once so much of it has come.
    #[must_use]
    pub fn next(&self, come: usize, limit: usize) -> Next {
        let known = if matches!(self.wire, Wire::Fixed(_)) { self.size } else { self.size.min(come) };
        match self.wire {
            Wire::Raw if come > 0 => Next::Message(come, come),
            _ if known > limit => Next::Bad,
            Wire::Delimited(_) | Wire::Fixed(_) if self.end <= come => Next::Message(self.size, self.end),
            _ => Next::Need,
        }
    }
}
