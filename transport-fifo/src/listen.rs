//! The server's side of the rendezvous: find records among what is written to it, and pick up their pairs.

use std::{io, os::fd::AsFd};

use ipc_core::{Arrival, Config, Interest, Interests, Kind, Place, Refusal, Result, Sweeper, Up, Wait};
use nix::{errno::Errno, unistd::read};

use crate::{
    Fifo,
    pair::{self, NotPicked, is_dead},
    record::{Finder, Found, Knock},
    rendezvous::Rendezvous,
};

/// Takes clients in.
#[derive(Debug)]
pub struct Listener {
    rendezvous: Rendezvous,
    finder: Finder,
    /// Knocked when no descriptor was left to open the pair with.
    waiting: Option<Knock>,
    sweeper: Sweeper,
    config: Config,
}

pub(crate) fn listen(place: &Place, config: &Config) -> Result<Listener> {
    Ok(Listener {
        rendezvous: Rendezvous::make(place, config)?,
        finder: Finder::default(),
        waiting: None,
        sweeper: Sweeper::new(config.seams.clone()),
        config: config.clone(),
    })
}

/// How much of the rendezvous is read at once, and how often in one try: a flood of garbage must not hold the
/// server.
const READ: usize = 4096;
const READS: usize = 16;

impl ipc_core::Listener<Fifo> for Listener {
    /// Each FIFO of the pair is held while it is looked at, and then opened.
    const DESCRIPTORS: usize = 4;

    fn try_accept(&mut self) -> io::Result<Option<Arrival<Fifo>>> {
        let clients = &self.rendezvous.clients;
        self.sweeper.sweep(clients.folder(), |name, kind| {
            clients.may_remove(name, kind) && (kind != Kind::Fifo || is_dead(clients.folder(), name))
        });
        if let Some(knock) = self.waiting.take() {
            return self.pick_up(&knock).map(Some);
        }
        for _ in 0..READS {
            match self.finder.next_found() {
                Some(Found::Knock(knock)) => return self.pick_up(&knock).map(Some),
                Some(Found::Garbage(_)) => return Ok(Some(Arrival::Rejected(Refusal::Malformed, None))),
                None => {}
            }
            let mut room = [0; READ];
            match read(&self.rendezvous.reader, &mut room) {
                Ok(count) => self.finder.feed(&room[..count]),
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(None)
    }

    fn may_have_more(&self) -> bool {
        self.finder.has_whole()
    }

    fn retire(&mut self) {
        self.rendezvous.retire();
    }
}

impl Listener {
    fn pick_up(&mut self, knock: &Knock) -> io::Result<Arrival<Fifo>> {
        Ok(match pair::pick_up(self.rendezvous.clients.folder(), knock, &self.config) {
            Ok(link) => Arrival::Incoming(Up::new(link)),
            Err(NotPicked::Client(reason)) => Arrival::Rejected(reason, None),
            Err(NotPicked::Server(error)) => {
                self.waiting = Some(*knock);
                return Err(error);
            }
        })
    }
}

impl Wait for Listener {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.rendezvous.reader.as_fd(), Interest::Readable);
    }

    /// What was read along with the last knock shows on no descriptor.
    fn arm(&mut self) -> io::Result<bool> {
        Ok(!self.finder.has_whole())
    }
}
