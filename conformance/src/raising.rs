//! A road that needs the server before it is up, such as one with a key: it is raised in the background, since the
//! server of most tests runs in the thread that knocks.

use std::{
    io::{PipeReader, PipeWriter, pipe},
    mem,
    os::fd::AsFd,
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use ipc_core::{Error, Handshake, Interest, Interests, Link, Result, Transport, Wait};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::raw::write;

/// What becomes a link.
pub(crate) struct Raising<T: Transport> {
    state: Arc<Mutex<State<T>>>,
    thread: Option<thread::JoinHandle<()>>,
    /// Closed, it ends the thread.
    alive: Option<PipeWriter>,
}

enum State<T: Transport> {
    /// What is to be written once it is up.
    Waiting(Vec<u8>),
    Up(T::Outgoing, Link<T>),
    Failed(Error),
    Taken,
}

impl<T: Transport> Raising<T> {
    pub(crate) fn new(outgoing: T::Outgoing) -> Self {
        let (ends, alive) = pipe().unwrap();
        let state = Arc::new(Mutex::new(State::Waiting(Vec::new())));
        let to = state.clone();
        let thread = thread::spawn(move || raise(outgoing, &ends, &to));
        Self { state, thread: Some(thread), alive: Some(alive) }
    }

    /// Writes, now or once it is up.
    pub(crate) fn write(&self, bytes: &[u8]) {
        match &mut *self.state.lock().unwrap() {
            State::Waiting(waiting) => waiting.extend_from_slice(bytes),
            State::Up(_, link) => write(&mut link.tx, bytes),
            // A server that has hung up is no failure here.
            State::Failed(_) | State::Taken => {}
        }
    }

    /// Whether it is up, and all that was written has left; or it never will be.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(*self.state.lock().unwrap(), State::Waiting(_))
    }

    /// Waits until it is up.
    pub(crate) fn finish(mut self) -> Result<(T::Outgoing, Link<T>)> {
        self.thread.take().unwrap().join().unwrap();
        match mem::replace(&mut *self.state.lock().unwrap(), State::Taken) {
            State::Up(outgoing, link) => Ok((outgoing, link)),
            State::Failed(error) => Err(error),
            State::Waiting(_) | State::Taken => {
                unreachable!("the thread has ended, and nobody else takes it")
            }
        }
    }
}

impl<T: Transport> Drop for Raising<T> {
    fn drop(&mut self) {
        self.alive = None;
        self.thread.take().into_iter().for_each(|thread| thread.join().unwrap());
    }
}

fn raise<T: Transport>(mut outgoing: T::Outgoing, ends: &PipeReader, into: &Mutex<State<T>>) {
    loop {
        match outgoing.step(Instant::now()) {
            Ok(Some(mut link)) => {
                let mut state = into.lock().unwrap();
                if let State::Waiting(waiting) = &*state {
                    write(&mut link.tx, waiting);
                }
                *state = State::Up(outgoing, link);
                return;
            }
            Ok(None) => {}
            Err(error) => {
                *into.lock().unwrap() = State::Failed(error);
                return;
            }
        }
        if outgoing.arm().unwrap() && wait(&outgoing, Some(ends)) {
            return;
        }
    }
}

/// Whether it waits for the server's word.
pub(crate) fn awaits_answer(on: &impl Wait) -> bool {
    let mut interests = Interests::default();
    on.interests(&mut interests);
    interests.iter().any(|(_, interest)| interest == Interest::Readable)
}

/// Waits until a try may go further. True: it was ended.
pub(crate) fn wait(on: &impl Wait, ends: Option<&PipeReader>) -> bool {
    let mut interests = Interests::default();
    on.interests(&mut interests);
    let watched = interests.iter().map(|(fd, interest)| {
        let events = if interest == Interest::Writable { PollFlags::POLLOUT } else { PollFlags::POLLIN };
        PollFd::new(fd, events)
    });
    let mut fds: Vec<_> =
        ends.map(|ends| PollFd::new(ends.as_fd(), PollFlags::POLLIN)).into_iter().chain(watched).collect();
    let time = if on.wake_at().is_some() { PollTimeout::from(1u8) } else { PollTimeout::NONE };
    match poll(&mut fds, time) {
        // A signal came between: whoever waits looks again.
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => panic!("{errno}"),
    }
    ends.is_some() && fds[0].revents().is_some_and(|events| !events.is_empty())
}
