//! Records: what one call sends, one call receives, whole or cut off for good. A large message leaves in several; a
//! record that is longer than the rooms offered for it is kept here until there are more.

use std::{
    cell::RefCell,
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsFd, AsRawFd},
};

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recvmsg, send, sendmsg},
};

use crate::call::{Buffer, NO_SIGNAL, flags};

/// The most bytes in a record. The kernel takes up to a send buffer in one piece, and would have to find memory in one
/// piece for what is more than this.
pub(crate) const LONGEST: usize = 64 * 1024;

/// Where the kernel's buffers are small, records are made shorter, down to this.
const SHORTEST: usize = 1024;

/// So many pieces of what is to be sent are gathered in a record; the core sends three at most.
const PIECES: usize = 4;

/// Cuts what is to be sent into records.
#[derive(Debug)]
pub(crate) struct Cutter {
    longest: usize,
    buffer: Buffer,
}

impl Default for Cutter {
    fn default() -> Self {
        Self { longest: LONGEST, buffer: Buffer::default() }
    }
}

impl Cutter {
    /// Sends one record off the front of `bufs`.
    pub(crate) fn send(
        &mut self,
        socket: &impl AsFd,
        bufs: &[IoSlice<'_>],
        may_block: bool,
    ) -> io::Result<usize> {
        let bytes = bufs.iter().map(|buf| buf.len()).sum();
        self.buffer.fit(socket, bytes);
        loop {
            let sent = if bytes <= self.longest {
                send_whole(socket, bufs, may_block)
            } else {
                send_whole(socket, front(bufs, self.longest).as_slice(), may_block)
            };
            match sent {
                Err(Errno::EMSGSIZE) if self.longest > SHORTEST => self.longest /= 2,
                sent => return Ok(sent?),
            }
        }
    }
}

fn send_whole(socket: &impl AsFd, bufs: &[IoSlice<'_>], may_block: bool) -> nix::Result<usize> {
    let (socket, flags) = (socket.as_fd().as_raw_fd(), flags(may_block) | NO_SIGNAL);
    match bufs {
        [buf] => send(socket, buf, flags),
        bufs => sendmsg::<()>(socket, bufs, &[], flags, None),
    }
}

/// The first `most` bytes.
fn front<'a>(bufs: &'a [IoSlice<'a>], most: usize) -> [IoSlice<'a>; PIECES] {
    let (mut left, mut rest) = (most, bufs.iter());
    std::array::from_fn(|_| {
        let piece: &[u8] = rest.next().map_or(&[], |buf| buf);
        let piece = &piece[..piece.len().min(left)];
        left -= piece.len();
        IoSlice::new(piece)
    })
}

/// What came of a record and did not fit into the rooms.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    bytes: Vec<u8>,
    given: usize,
}

thread_local! {
    /// Behind the rooms of each read: a connection that waits holds no memory for a record that may come.
    static BEHIND: RefCell<Box<[u8]>> = RefCell::new(vec![0; LONGEST].into());
}

/// Room of this size is kept between two records.
const KEPT: usize = 1024;

impl Rest {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Receives into `rooms`: what is left of the last record, or else the next one. Gives the number of bytes; 0 if
    /// the record is empty, or none will come.
    ///
    /// # Errors
    /// `WouldBlock`; `InvalidData` if the record is longer than any that a peer may send.
    pub(crate) fn receive(
        &mut self,
        socket: &impl AsFd,
        rooms: &mut [IoSliceMut<'_>],
        may_block: bool,
    ) -> io::Result<usize> {
        if !self.is_empty() {
            return Ok(self.give(rooms));
        }
        let room = rooms.iter().map(|room| room.len()).sum();
        if room >= LONGEST {
            return receive_into(socket, rooms, may_block);
        }
        let received = BEHIND.try_with(|behind| {
            let behind = &mut *behind.borrow_mut();
            let count = receive_before(socket, rooms, behind, may_block)?;
            if let Some(excess) = count.checked_sub(room) {
                self.bytes.extend_from_slice(&behind[..excess]);
            }
            Ok(count.min(room))
        });
        // A thread that ends is past receiving.
        received.unwrap_or_else(|_| Err(io::ErrorKind::Unsupported.into()))
    }

    fn give(&mut self, rooms: &mut [IoSliceMut<'_>]) -> usize {
        let before = self.given;
        for room in rooms {
            let left = &self.bytes[self.given..];
            let count = room.len().min(left.len());
            room[..count].copy_from_slice(&left[..count]);
            self.given += count;
        }
        let given = self.given - before;
        if self.given == self.bytes.len() {
            self.given = 0;
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
        }
        given
    }
}

/// As many rooms as the core offers, and one behind them.
const ROOMS: usize = 5;

fn receive_before(
    socket: &impl AsFd,
    rooms: &mut [IoSliceMut<'_>],
    behind: &mut [u8],
    may_block: bool,
) -> io::Result<usize> {
    let count = rooms.len().min(ROOMS - 1);
    let mut rooms = rooms.iter_mut();
    let mut behind = Some(behind);
    let mut all: [IoSliceMut<'_>; ROOMS] = std::array::from_fn(|_| match rooms.next() {
        Some(room) => IoSliceMut::new(room),
        None => IoSliceMut::new(behind.take().unwrap_or_default()),
    });
    receive_into(socket, &mut all[..=count], may_block)
}

fn receive_into(socket: &impl AsFd, rooms: &mut [IoSliceMut<'_>], may_block: bool) -> io::Result<usize> {
    let received = recvmsg::<()>(socket.as_fd().as_raw_fd(), rooms, None, flags(may_block))?;
    if received.flags.contains(MsgFlags::MSG_TRUNC) {
        let why = "a record of more bytes than any has; expected at most 65,536";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(received.bytes)
}
