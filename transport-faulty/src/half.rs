//! One half: what both of them do about faults and death.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::Instant,
};

use ipc_core::{Fault, Interest, Interests, Wait};

use crate::{life::Life, script::Script};

/// A half of the wrapped transport, and what its calls meet.
#[derive(Debug)]
pub(crate) struct Half<H> {
    road: Road<H>,
    script: Option<Script>,
    /// It just said "not now" without having asked the transport.
    pretended: bool,
    /// Ends its direction, as the kernel does for a process that dies.
    finish: fn(&mut H),
}

#[derive(Debug)]
enum Road<H> {
    Sound(H),
    Mortal { half: Option<H>, life: Arc<Life>, moved: u64, fatal: Option<u64> },
}

impl<H: Wait> Half<H> {
    pub(crate) fn sound(half: H, script: Option<Script>, finish: fn(&mut H)) -> Self {
        Self { road: Road::Sound(half), script, pretended: false, finish }
    }

    /// Dies once it has moved `fatal` bytes, or when the other half does.
    pub(crate) fn mortal(
        half: H,
        script: Script,
        finish: fn(&mut H),
        life: Arc<Life>,
        fatal: Option<u64>,
    ) -> Self {
        let road = Road::Mortal { half: Some(half), life, moved: 0, fatal };
        let mut half = Self { road, script: Some(script), pretended: false, finish };
        half.moved(0);
        half
    }

    /// What the next call meets: how many of the bytes asked for it may move.
    ///
    /// # Errors
    /// What it meets instead.
    pub(crate) fn meet(&mut self, asked: usize) -> io::Result<usize> {
        self.pretended = false;
        let met = self.script.as_mut().map_or(Ok(asked), |script| script.meet(asked));
        self.pretended = met.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        let left = match &self.road {
            Road::Mortal { moved, fatal: Some(fatal), .. } => fatal.saturating_sub(*moved),
            _ => u64::MAX,
        };
        met.map(|most| most.min(usize::try_from(left).unwrap_or(usize::MAX)))
    }

    /// The wrapped half, while this end lives.
    pub(crate) fn alive(&mut self) -> Option<&mut H> {
        if self.is_dead() {
            self.bury();
        }
        match &mut self.road {
            Road::Sound(half) => Some(half),
            Road::Mortal { half, .. } => half.as_mut(),
        }
    }

    /// The wrapped half, unless it was found dead before.
    pub(crate) fn last_seen(&self) -> Option<&H> {
        match &self.road {
            Road::Sound(half) => Some(half),
            Road::Mortal { half, .. } => half.as_ref(),
        }
    }

    /// Whether it may sleep in a system call: no bell is heard there.
    pub(crate) fn may_block(&self) -> bool {
        matches!(self.road, Road::Sound(_))
    }

    /// Counts bytes that went through. The last one that may is fatal.
    pub(crate) fn moved(&mut self, bytes: usize) {
        let Road::Mortal { life, moved, fatal, .. } = &mut self.road else { return };
        *moved = moved.saturating_add(bytes as u64);
        if fatal.is_some_and(|fatal| *moved >= fatal) && !life.is_over() {
            if let Some(script) = &self.script {
                script.happened(Fault::Death, *moved);
            }
            life.end();
            self.bury();
        }
    }

    pub(crate) fn finish(&mut self) {
        let finish = self.finish;
        if let Some(half) = self.alive() {
            finish(half);
        }
    }

    fn is_dead(&self) -> bool {
        matches!(&self.road, Road::Mortal { life, .. } if life.is_over())
    }

    /// The other half may be asleep in another thread, and with it a descriptor that both share: so the direction
    /// is ended as well, and the peer learns of it at once.
    fn bury(&mut self) {
        if let Road::Mortal { half, .. } = &mut self.road
            && let Some(mut half) = half.take()
        {
            (self.finish)(&mut half);
        }
    }
}

impl<H: Wait> Wait for Half<H> {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        match &self.road {
            Road::Sound(half) => half.interests(into),
            Road::Mortal { half, life, .. } => {
                let mut until_death = Interests::default();
                half.iter().for_each(|half| half.interests(&mut until_death));
                into.add_passing(&until_death);
                into.add(life.as_fd(), Interest::Readable);
            }
        }
    }

    /// Bytes may be there that no descriptor tells of any more: nobody sleeps on a pretence.
    fn arm(&mut self) -> io::Result<bool> {
        if std::mem::take(&mut self.pretended) {
            return Ok(false);
        }
        self.alive().map_or(Ok(false), Wait::arm)
    }

    fn wake_at(&self) -> Option<Instant> {
        match &self.road {
            Road::Sound(half) => half.wake_at(),
            Road::Mortal { half, .. } => half.as_ref().and_then(Wait::wake_at),
        }
    }
}

impl<H: AsFd> AsFd for Half<H> {
    /// A dead one's is ready.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.road {
            Road::Sound(half) | Road::Mortal { half: Some(half), .. } => half.as_fd(),
            Road::Mortal { half: None, life, .. } => life.as_fd(),
        }
    }
}
