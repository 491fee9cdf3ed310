//! Removes what dead clients left in `clients/`, while the server lives.

use std::{
    ffi::OsStr,
    time::{Duration, Instant},
};

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
/// So many are looked at in one sweep: whoever may make files here must not be able to hold the server.
const MOST: usize = 4096;

impl Sweeper {
    /// One that sweeps first after a while: a new server begins with an empty folder.
    #[must_use]
    pub fn new(seams: Seams) -> Self {
        Self { last: seams.now(), seams }
    }

    /// Removes the old files of `clients` that `is_dead` says yes to, if it is time.
    pub fn sweep(&mut self, clients: &Folder, is_dead: impl Fn(&OsStr, Kind) -> bool) {
        let now = self.seams.now();
        if now.saturating_duration_since(self.last) < EVERY {
            return;
        }
        self.last = now;
        let wall = self.seams.wall();
        for name in clients.names(MOST).unwrap_or_default() {
            let Ok(file) = clients.look(&name) else { continue };
            let old = wall.duration_since(file.modified).is_ok_and(|age| age > OLD);
            if !old || !is_dead(&name, file.kind) {
                continue;
            }
            let _ = if file.kind == Kind::Directory {
                // Only others can have made it, in a shared folder. Empty, it can go.
                clients.remove_folder(&name)
            } else {
                clients.remove(&name)
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    };
    use std::time::SystemTime;

    use super::*;
    use crate::Clock;

    /// The real clocks, so many seconds ahead.
    #[derive(Default)]
    struct Ahead(AtomicU64);

    impl Clock for Ahead {
        fn now(&self) -> Instant {
            Instant::now() + Duration::from_secs(self.0.load(SeqCst))
        }

        fn wall(&self) -> SystemTime {
            SystemTime::now() + Duration::from_secs(self.0.load(SeqCst))
        }
    }

    #[test]
    fn only_what_is_old_and_dead_goes_and_only_when_it_is_time() {
        let (place, clock) = (tempfile::tempdir().unwrap(), Arc::new(Ahead::default()));
        let folder = Folder::open(place.path()).unwrap();
        for name in ["dead", "alive"] {
            folder.make_fifo(name, 0o600).unwrap();
        }
        folder.make("folder", 0o700).unwrap().make("full", 0o700).unwrap();
        let mut sweeper = Sweeper::new(Seams::default().with_clock(clock.clone()));
        let mut left_at = |seconds| {
            clock.0.store(seconds, SeqCst);
            sweeper.sweep(&folder, |name, _| name != "alive");
            let mut left = folder.names(9).unwrap();
            left.sort();
            left
        };
        assert_eq!(left_at(9), ["alive", "dead", "folder"]);
        assert_eq!(left_at(15), ["alive", "dead", "folder"], "not old yet");
        assert_eq!(left_at(24), ["alive", "dead", "folder"], "not time yet");
        assert_eq!(left_at(26), ["alive", "folder"]);
    }
}
