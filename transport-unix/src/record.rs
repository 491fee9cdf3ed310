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

use crate::{
    call::{Buffer, NO_SIGNAL, flags, length},
    sys::Pages,
};

/// The most bytes in a record: a message of 64 KiB leaves in one. The kernel would take a whole send buffer, but would
/// need more memory in one piece for more than this.
pub(crate) const LONGEST: usize = 80 * 1024;

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
        self.buffer.fit(socket, bufs);
        let bytes = length(bufs);
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
    /// The room behind the rooms of each read, one for each thread that receives: a connection holds none for a record
    /// that may come, and a thread no more memory than the longest record has touched.
    static BEHIND: RefCell<Pages<LONGEST>> = const { RefCell::new(Pages::none()) };
}

/// Room of this size is kept between two records.
const KEPT: usize = 1024;

/// Rooms of no more than this, all together, are filled by copying: that costs less than to name them to the kernel.
const SMALL: usize = 4096;

impl Rest {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Receives into `rooms`: what is left of the last record, or else the next one. Gives the number of bytes; 0 if
    /// the record is empty, or none will come.
    ///
    /// # Errors
    /// `WouldBlock`; `InvalidData` if the record is longer than [`LONGEST`]: a part of it would be lost.
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
            let mut behind = behind.borrow_mut();
            let behind = behind.get()?;
            if room <= SMALL {
                let count = receive_one(socket, behind, may_block)?;
                let before = scatter(&behind[..count], rooms);
                self.keep(&behind[before..count]);
                return Ok(before);
            }
            let count = receive_before(socket, rooms, behind, may_block)?;
            self.keep(&behind[..count.saturating_sub(room)]);
            Ok(count.min(room))
        });
        // A thread that ends is past receiving.
        received.unwrap_or_else(|_| Err(io::ErrorKind::Unsupported.into()))
    }

    #[inline]
    fn keep(&mut self, excess: &[u8]) {
        if !excess.is_empty() {
            self.bytes.extend_from_slice(excess);
        }
    }

    fn give(&mut self, rooms: &mut [IoSliceMut<'_>]) -> usize {
        let given = scatter(&self.bytes[self.given..], rooms);
        self.given += given;
        if self.given == self.bytes.len() {
            self.given = 0;
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
        }
        given
    }
}

/// Copies as much as there is room for.
#[inline]
fn scatter(mut bytes: &[u8], rooms: &mut [IoSliceMut<'_>]) -> usize {
    let all = bytes.len();
    for room in rooms {
        let (now, later) = bytes.split_at(room.len().min(bytes.len()));
        room[..now.len()].copy_from_slice(now);
        bytes = later;
    }
    all - bytes.len()
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
    if received.flags.contains(MsgFlags::MSG_TRUNC) { Err(too_long()) } else { Ok(received.bytes) }
}

/// The cheapest call there is, for records that are small most likely.
#[cfg(all(target_os = "linux", not(hobnob_portable)))]
fn receive_one(socket: &impl AsFd, room: &mut [u8], may_block: bool) -> io::Result<usize> {
    // Linux gives the length that the record had.
    let flags = flags(may_block) | MsgFlags::MSG_TRUNC;
    let length = nix::sys::socket::recv(socket.as_fd().as_raw_fd(), room, flags)?;
    if length > room.len() { Err(too_long()) } else { Ok(length) }
}

#[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
fn receive_one(socket: &impl AsFd, room: &mut [u8], may_block: bool) -> io::Result<usize> {
    receive_into(socket, &mut [IoSliceMut::new(room)], may_block)
}

#[cold]
fn too_long() -> io::Error {
    let why = format!("a record of more than {LONGEST} bytes, which no peer sends");
    io::Error::new(io::ErrorKind::InvalidData, why)
}
