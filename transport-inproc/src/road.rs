//! One direction: bytes in memory, and a doorbell so that poll(2) can wait for them.
//!
//! The bell is a socket pair, one end with each half. A half that is about to sleep says so ([`Wait::arm`]) after
//! it has emptied its bell, and looks once more; the other half rings only for a sleeper. So nothing is missed, and
//! a busy road makes no system call. Both ends of the pair live as long as either half, so that ringing for nobody
//! is no broken pipe.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ipc_core::{Got, Interest, Interests, Wait};

/// As much as may be on the way.
const CAPACITY: usize = 256 * 1024;

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    tx_gone: bool,
    rx_gone: bool,
    tx_sleeps: bool,
    rx_sleeps: bool,
}

#[derive(Debug)]
struct Half {
    road: Arc<Road>,
    end: usize,
}

#[derive(Debug)]
struct Road {
    state: Mutex<State>,
    bells: [UnixStream; 2],
}

/// The half that sends.
#[derive(Debug)]
pub struct Tx(Half);

/// The half that receives.
#[derive(Debug)]
pub struct Rx(Half);

pub(crate) fn road() -> io::Result<(Tx, Rx)> {
    let (one, other) = UnixStream::pair()?;
    one.set_nonblocking(true)?;
    other.set_nonblocking(true)?;
    let road = Arc::new(Road { state: Mutex::default(), bells: [one, other] });
    Ok((Tx(Half { road: road.clone(), end: 0 }), Rx(Half { road, end: 1 })))
}

impl Half {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change below is whole at once, so a panic elsewhere cannot have left it half-made.
        self.road.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        // A full bell rings already.
        let _ = (&mut self.bell()).write(&[1]);
    }

    fn empty_bell(&self) {
        while matches!((&mut self.bell()).read(&mut [0; 64]), Ok(count) if count > 0) {}
    }

    fn bell(&self) -> &UnixStream {
        &self.road.bells[self.end]
    }
}

impl ipc_core::Tx for Tx {
    fn try_send(&mut self, bufs: &[IoSlice<'_>], _: bool) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.rx_gone {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let before = state.bytes.len();
        for buf in bufs {
            let room = CAPACITY - state.bytes.len();
            state.bytes.extend(&buf[..room.min(buf.len())]);
        }
        let sent = state.bytes.len() - before;
        let wake = sent > 0 && std::mem::take(&mut state.rx_sleeps);
        drop(state);
        if wake {
            self.0.ring();
        }
        if sent > 0 { Ok(sent) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    fn finish(&mut self) {
        self.0.lock().tx_gone = true;
        self.0.ring();
    }
}

impl ipc_core::Rx for Rx {
    fn try_recv(&mut self, rooms: &mut [IoSliceMut<'_>], _: bool) -> io::Result<Got> {
        let mut state = self.0.lock();
        let count = state.bytes.read_vectored(rooms)?;
        if count == 0 {
            return if state.tx_gone { Ok(Got::End) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let wake = std::mem::take(&mut state.tx_sleeps);
        drop(state);
        if wake {
            self.0.ring();
        }
        Ok(Got::Bytes(count))
    }

    fn finish(&mut self) {
        self.0.lock().rx_gone = true;
        self.0.ring();
    }
}

impl Wait for Tx {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.as_fd(), Interest::Readable);
    }

    fn arm(&mut self) -> io::Result<bool> {
        self.0.empty_bell();
        let mut state = self.0.lock();
        state.tx_sleeps = state.bytes.len() == CAPACITY && !state.rx_gone;
        Ok(state.tx_sleeps)
    }
}

impl Wait for Rx {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.as_fd(), Interest::Readable);
    }

    fn arm(&mut self) -> io::Result<bool> {
        self.0.empty_bell();
        let mut state = self.0.lock();
        state.rx_sleeps = state.bytes.is_empty() && !state.tx_gone;
        Ok(state.rx_sleeps)
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        ipc_core::Tx::finish(self);
    }
}

impl Drop for Rx {
    fn drop(&mut self) {
        ipc_core::Rx::finish(self);
    }
}

impl AsFd for Tx {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.bell().as_fd()
    }
}

impl AsFd for Rx {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.bell().as_fd()
    }
}
