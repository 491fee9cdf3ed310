//! The two halves as the core sees them.

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::Instant,
};

use ipc_core::{Got, Interests, Link, Part, Transport, Wait};

use crate::{Faulty, half::Half, life::Life, script::Origin};

/// The half that sends.
#[derive(Debug)]
pub struct Tx<H>(Half<H>);

/// The half that receives.
#[derive(Debug)]
pub struct Rx<H>(Half<H>);

/// Puts the faults of `origin` on a road that has come up.
///
/// # Errors
/// It may die, and no descriptor is left for the bell.
pub(crate) fn wrap<T: Transport>(link: Link<T>, origin: Option<&Origin>) -> io::Result<Link<Faulty<T>>> {
    let finish = (<T::Tx as ipc_core::Tx>::finish, <T::Rx as ipc_core::Rx>::finish);
    let scripts = origin.map(|origin| (origin.script(Part::Tx), origin.script(Part::Rx)));
    let faults = origin.map(Origin::faults).filter(|faults| faults.kills());
    let (tx, rx) = match (scripts, faults) {
        (Some((sends, receives)), Some(faults)) => {
            let life = Arc::new(Life::new()?);
            (
                Half::mortal(link.tx, sends, finish.0, life.clone(), faults.die_after_sending),
                Half::mortal(link.rx, receives, finish.1, life, faults.die_after_receiving),
            )
        }
        (scripts, _) => {
            let (sends, receives) = scripts.unzip();
            (Half::sound(link.tx, sends, finish.0), Half::sound(link.rx, receives, finish.1))
        }
    };
    Ok(Link { tx: Tx(tx), rx: Rx(rx), peer: link.peer, nonce: link.nonce, witness: link.witness })
}

impl<H: ipc_core::Tx> ipc_core::Tx for Tx<H> {
    fn try_send(&mut self, bufs: &[IoSlice<'_>], may_block: bool) -> io::Result<usize> {
        let may_block = may_block && self.0.may_block();
        if self.0.alive().is_none() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let asked = bufs.iter().map(|buf| buf.len()).sum();
        let most = self.0.meet(asked)?;
        let Some(half) = self.0.alive() else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let sent = if most < asked {
            half.try_send(&first(bufs, most), may_block)
        } else {
            half.try_send(bufs, may_block)
        }?;
        self.0.moved(sent);
        Ok(sent)
    }

    fn has_arrived(&mut self) -> io::Result<bool> {
        self.0.alive().map_or(Ok(true), |half| half.has_arrived())
    }

    fn finish(&mut self) {
        self.0.finish();
    }
}

impl<H: ipc_core::Rx> ipc_core::Rx for Rx<H> {
    fn holds_more(&self) -> bool {
        self.0.last_seen().is_some_and(ipc_core::Rx::holds_more)
    }

    fn try_recv(&mut self, rooms: &mut [IoSliceMut<'_>], may_block: bool) -> io::Result<Got> {
        let may_block = may_block && self.0.may_block();
        if self.0.alive().is_none() {
            return Ok(Got::End);
        }
        let asked = rooms.iter().map(|room| room.len()).sum();
        let most = self.0.meet(asked)?;
        let Some(half) = self.0.alive() else { return Ok(Got::End) };
        let got = if most < asked {
            half.try_recv(&mut first_of(rooms, most), may_block)
        } else {
            half.try_recv(rooms, may_block)
        }?;
        if let Got::Bytes(count) = got {
            self.0.moved(count);
        }
        Ok(got)
    }

    fn finish(&mut self) {
        self.0.finish();
    }
}

/// The first `most` bytes of these; no empty part at the end.
fn first<'a>(bufs: &'a [IoSlice<'_>], most: usize) -> Vec<IoSlice<'a>> {
    let mut left = most;
    let cut = bufs.iter().map_while(move |buf| {
        let (part, _) = (left > 0).then(|| buf.split_at(left.min(buf.len())))?;
        left -= part.len();
        Some(IoSlice::new(part))
    });
    cut.collect()
}

fn first_of<'a>(rooms: &'a mut [IoSliceMut<'_>], most: usize) -> Vec<IoSliceMut<'a>> {
    let mut left = most;
    let cut = rooms.iter_mut().map_while(move |room| {
        let upto = left.min(room.len());
        let (part, _) = (left > 0).then(|| room.split_at_mut(upto))?;
        left -= part.len();
        Some(IoSliceMut::new(part))
    });
    cut.collect()
}

impl<H: Wait> Wait for Tx<H> {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.0.interests(into);
    }

    fn arm(&mut self) -> io::Result<bool> {
        self.0.arm()
    }

    fn wake_at(&self) -> Option<Instant> {
        self.0.wake_at()
    }
}

impl<H: Wait> Wait for Rx<H> {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.0.interests(into);
    }

    fn arm(&mut self) -> io::Result<bool> {
        self.0.arm()
    }

    fn wake_at(&self) -> Option<Instant> {
        self.0.wake_at()
    }
}

impl<H: AsFd> AsFd for Tx<H> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<H: AsFd> AsFd for Rx<H> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_cut_across_the_parts() {
        let (mut one, mut two, mut three) = (*b"abc", *b"", *b"defg");
        for most in 1..8 {
            let bufs = [IoSlice::new(&one), IoSlice::new(&two), IoSlice::new(&three)];
            let cut = first(&bufs, most);
            assert_eq!(
                cut.iter().flat_map(|buf| buf.iter().copied()).collect::<Vec<_>>(),
                b"abcdefg"[..most]
            );
        }
        for most in 1..8 {
            let mut rooms = [&mut one[..], &mut two, &mut three].map(IoSliceMut::new);
            let cut = first_of(&mut rooms, most);
            assert_eq!(
                cut.iter().flat_map(|room| room.iter().copied()).collect::<Vec<_>>(),
                b"abcdefg"[..most]
            );
            assert!(cut.last().is_some_and(|last| !last.is_empty()));
        }
    }
}
