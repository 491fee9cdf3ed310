//! What can be chosen for [`serve_events`](crate::serve_events).

use std::time::Duration;

/// What becomes of a message that is pushed to a client whose queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// It is refused with `WouldBlock`; the client stays.
    #[default]
    Refuse,
    /// It is refused, and the client is cut off: whoever cannot keep up comes again.
    CutOff,
}

/// What can be chosen for [`serve_events`](crate::serve_events). Each method gives the options back.
#[derive(Clone, Copy, Debug)]
pub struct EventOptions {
    pub(crate) threads: usize,
    pub(crate) workers: usize,
    pub(crate) drain: Duration,
    pub(crate) queue: usize,
    pub(crate) when_full: WhenFull,
}

impl Default for EventOptions {
    /// One thread, no workers; 5 s to drain; queues of 256 KiB.
    fn default() -> Self {
        let (drain, queue, when_full) = (Duration::from_secs(5), 256 << 10, WhenFull::Refuse);
        Self { threads: 1, workers: 0, drain, queue, when_full }
    }
}

impl EventOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// So many threads share the clients; at least one. The one that calls takes clients in and does nothing else.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Handlers may block: they run in so many threads of their own. Each client's messages are still handled in
    /// order and one at a time. With 0 they run in the threads that wait for all clients, and must not block.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How long clients may take to receive what is due to them once the server stops.
    #[must_use]
    pub fn drain(mut self, span: Duration) -> Self {
        self.drain = span;
        self
    }

    /// So many bytes may lie here for a client that is slow to receive, and one message more; twice that if it is both
    /// answered and pushed to at the same moment. Then nothing is received from it until it has received half of that,
    /// and nothing more can be pushed to it.
    #[must_use]
    pub fn queue(mut self, bytes: usize) -> Self {
        self.queue = bytes.max(1);
        self
    }

    /// What becomes of a message that is pushed to a client whose queue is full.
    #[must_use]
    pub fn when_full(mut self, rule: WhenFull) -> Self {
        self.when_full = rule;
        self
    }
}
