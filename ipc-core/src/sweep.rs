//! Removes what dead clients left in `clients/`, while the server lives.

use std::time::{Duration, Instant};

use crate::{Folder, Kind, Seams};

/// Removes what dead clients left in `clients/`: now and then, and only what is old.
#[derive(Debug)]
pub struct Sweeper {
    last: Instant,
    seams: Seams,
}

/// A file this old belongs to no handshake that could still succeed.
const OLD: Duration = Duration::from_secs(20);
const EVERY: Duration = Duration::from_secs(10);

impl Sweeper {
    /// One that sweeps first after a while: a new server begins with an empty folder.
    #[must_use]
    pub fn new(seams: Seams) -> Self {
        Self { last: seams.now(), seams }
    }

    /// Removes the old files of `clients` that `is_dead` says yes to, if it is time.
    pub fn sweep(&mut self, clients: &Folder, is_dead: impl Fn(&str) -> bool) {
        let now = self.seams.now();
        if now.saturating_duration_since(self.last) < EVERY {
            return;
        }
        self.last = now;
        let wall = self.seams.wall();
        for name in clients.names().unwrap_or_default() {
            let Ok(file) = clients.look(&name) else { continue };
            let old = wall.duration_since(file.modified).is_ok_and(|age| age > OLD);
            if old && file.kind != Kind::Directory && is_dead(&name) {
                let _ = clients.remove(&name);
            }
        }
    }
}
