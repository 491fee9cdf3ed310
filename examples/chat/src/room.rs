//! Who is there, and a bounded queue of lines for each.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc::{self, error::TrySendError};

/// A line, shared by all the queues it is in.
pub type Line = Arc<str>;

/// A room. Saying something in it never waits.
pub struct Room {
    queue: NonZeroUsize,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    entered: u64,
    members: HashMap<u64, Member>,
}

struct Member {
    who: String,
    queue: mpsc::Sender<Line>,
}

/// A place in the room, which is left when this is dropped.
pub struct Place {
    room: Arc<Room>,
    number: u64,
}

impl Room {
    pub fn new(queue: NonZeroUsize) -> Arc<Self> {
        Arc::new(Self { queue, inside: Mutex::default() })
    }

    /// A place, and the lines that are said from now on. They end behind what is queued when the place is lost.
    pub fn enter(self: &Arc<Self>, who: &str) -> (Place, mpsc::Receiver<Line>) {
        let (queue, lines) = mpsc::channel(self.queue.get());
        let number = {
            let mut inside = self.inside();
            inside.entered += 1;
            let number = inside.entered;
            inside.members.insert(number, Member { who: who.to_owned(), queue });
            number
        };
        self.say(&format!("* {who} came in"));
        (Place { room: self.clone(), number }, lines)
    }

    /// Puts a line in every queue. Those whose queue is full lose their places, and the others are told.
    pub fn say(&self, line: &str) {
        let mut lines = vec![Line::from(line)];
        // Telling of one may be what cuts the next off.
        while let Some(line) = lines.pop() {
            let cut_off = self.inside().put(&line);
            for who in cut_off {
                let line = format!("* {who} {}", self.reason("was"));
                log::warn!("{who} {}", self.reason("was"));
                lines.push(line.into());
            }
        }
    }

    /// Why somebody has lost the place.
    pub fn reason(&self, was: &str) -> String {
        format!("{was} cut off, being {} lines behind", self.queue)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        // A table of members is whole at every instant.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// Gives those who had no room for it.
    fn put(&mut self, line: &Line) -> Vec<String> {
        let full =
            |member: &Member| matches!(member.queue.try_send(line.clone()), Err(TrySendError::Full(_)));
        self.members.extract_if(|_, member| full(member)).map(|(_, member)| member.who).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = self.room.inside().members.remove(&self.number);
        if let Some(member) = left {
            self.room.say(&format!("* {} left", member.who));
        }
    }
}
