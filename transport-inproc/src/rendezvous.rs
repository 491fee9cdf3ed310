//! Names inside this process, and the clients waiting at each.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use ipc_core::{
    Arrival, Error, ErrorKind, Handshake, Holder, Interest, Interests, Link, Name, Place, Result, Transport,
    Up, Wait,
};

use crate::{Inproc, links};

static SERVERS: Mutex<Option<HashMap<Name, Arc<Door>>>> = Mutex::new(None);

/// How many clients may wait to be taken in.
const BACKLOG: usize = 128;
/// How long a client that finds the backlog full waits before it looks again.
const PAUSE: Duration = Duration::from_millis(1);

/// Where clients wait.
#[derive(Debug)]
struct Door {
    queue: Mutex<VecDeque<Link<Inproc>>>,
    bell: UnixStream,
    since: SystemTime,
}

/// Takes clients in.
#[derive(Debug)]
pub struct Listener {
    name: Name,
    door: Arc<Door>,
    bell: UnixStream,
}

/// A client on its way out.
#[derive(Debug)]
pub struct Outgoing {
    name: Name,
    retry: Option<Instant>,
    is_up: bool,
}

// Every change of what these locks guard is whole at once, so a panic elsewhere cannot have left it half-made.
fn servers() -> MutexGuard<'static, Option<HashMap<Name, Arc<Door>>>> {
    SERVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Door {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Link<Inproc>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_in(place: &Place) -> Result<&Name> {
    match place {
        Place::Process(name) => Ok(name),
        _ => Err(Error::bad_address("expected a name")),
    }
}

pub(crate) fn listen(place: &Place) -> Result<Listener> {
    let name = name_in(place)?;
    let mut servers = servers();
    let servers = servers.get_or_insert_default();
    if let Some(held) = servers.get(name) {
        let ours = ipc_core::Peer::ourselves();
        let (pid, uid) = (std::process::id(), ours.uid.unwrap_or_default());
        let holder = Holder::new(pid, uid, held.since, Inproc::SCHEME.to_owned());
        return Err(ErrorKind::NameInUse { name: name.to_string(), holder: Some(holder) }.into());
    }
    let (bell, ours) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    ours.set_nonblocking(true)?;
    let door = Arc::new(Door { queue: Mutex::default(), bell, since: SystemTime::now() });
    servers.insert(name.clone(), door.clone());
    Ok(Listener { name: name.clone(), door, bell: ours })
}

pub(crate) fn dial(place: &Place) -> Result<Outgoing> {
    Ok(Outgoing { name: name_in(place)?.clone(), retry: None, is_up: false })
}

impl ipc_core::Listener<Inproc> for Listener {
    fn try_accept(&mut self) -> io::Result<Option<Arrival<Inproc>>> {
        Ok(self.door.queue().pop_front().map(|link| Arrival::Incoming(Up::new(link))))
    }

    fn retire(&mut self) {
        let mut servers = servers();
        let ours = |door: &Arc<Door>| Arc::ptr_eq(door, &self.door);
        if let Some(servers) = servers.as_mut()
            && servers.get(&self.name).is_some_and(ours)
        {
            servers.remove(&self.name);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        ipc_core::Listener::retire(self);
    }
}

impl Handshake<Inproc> for Outgoing {
    fn step(&mut self, now: Instant) -> Result<Option<Link<Inproc>>> {
        if self.is_up {
            return Ok(None);
        }
        // Both locks are held together, so that nobody queues at a door that was just retired.
        let servers = servers();
        let door = servers.as_ref().and_then(|servers| servers.get(&self.name));
        let door = door.ok_or_else(|| ErrorKind::NoSuchServer { searched: vec!["this process".into()] })?;
        let mut queue = door.queue();
        if queue.len() >= BACKLOG {
            self.retry = Some(now + PAUSE);
            return Ok(None);
        }
        let (ours, theirs) = links()?;
        queue.push_back(theirs);
        // A full bell rings already.
        let _ = (&door.bell).write(&[1]);
        (self.is_up, self.retry) = (true, None);
        Ok(Some(ours))
    }
}

impl Wait for Listener {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        into.add(self.bell.as_fd(), Interest::Readable);
    }

    fn arm(&mut self) -> io::Result<bool> {
        while matches!((&self.bell).read(&mut [0; 64]), Ok(count) if count > 0) {}
        Ok(self.door.queue().is_empty())
    }
}

impl Wait for Outgoing {
    fn interests<'a>(&'a self, _: &mut Interests<'a>) {}

    fn wake_at(&self) -> Option<Instant> {
        self.retry
    }
}
