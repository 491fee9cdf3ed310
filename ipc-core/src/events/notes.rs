//! What others have for a loop: new clients, and those that come back from a worker.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use super::{
    bell::Bell,
    client::{Client, Next},
    slots::Token,
};
use crate::{IpcReceiver, IpcSender, Peer, serve::Place};

pub(super) struct Notes<S> {
    pub(super) bell: Arc<Bell>,
    /// How many clients the loop has, or will have in a moment.
    clients: AtomicUsize,
    list: Mutex<List<S>>,
}

struct List<S> {
    notes: Vec<Note<S>>,
    /// The loop is over.
    is_closed: bool,
}

pub(super) enum Note<S> {
    New(Newcomer),
    /// None: its handler has panicked.
    Back(Token, Option<(Box<Client<S>>, Next)>),
}

/// A client that has just been taken in.
pub(super) struct Newcomer {
    pub(super) halves: (Box<dyn IpcSender>, Box<dyn IpcReceiver>),
    pub(super) peer: Peer,
    pub(super) place: Place,
}

impl<S> Notes<S> {
    pub(super) fn new() -> io::Result<Self> {
        let list = List { notes: Vec::new(), is_closed: false };
        Ok(Self { bell: Arc::new(Bell::new()?), clients: AtomicUsize::new(0), list: Mutex::new(list) })
    }

    pub(super) fn hand_over(&self, newcomer: Newcomer) {
        self.clients.fetch_add(1, Relaxed);
        self.put(Note::New(newcomer));
    }

    pub(super) fn count(&self) -> usize {
        self.clients.load(Relaxed)
    }

    pub(super) fn one_less(&self) {
        self.clients.fetch_sub(1, Relaxed);
    }

    pub(super) fn bring_back(&self, token: Token, turn: Option<(Box<Client<S>>, Next)>) {
        self.put(Note::Back(token, turn));
    }

    /// All that there are, in the place of an empty list.
    pub(super) fn take(&self, into: &mut Vec<Note<S>>) {
        std::mem::swap(&mut self.list().notes, into);
    }

    /// Nothing is taken any more: what was put down is dropped, and what comes.
    pub(super) fn close(&self) {
        let mut list = self.list();
        list.is_closed = true;
        let dropped = std::mem::take(&mut list.notes);
        drop(list);
        drop(dropped);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.list().is_closed
    }

    fn put(&self, note: Note<S>) {
        let mut list = self.list();
        if list.is_closed {
            drop(list);
            return drop(note);
        }
        list.notes.push(note);
        drop(list);
        self.bell.ring();
    }

    fn list(&self) -> MutexGuard<'_, List<S>> {
        // A list is whole at every instant.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
