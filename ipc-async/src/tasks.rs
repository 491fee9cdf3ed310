//! The tasks of a connection that is polled as streams are: one may read while another writes.

use std::{
    sync::Arc,
    task::{Context, Wake, Waker},
};

use atomic_waker::AtomicWaker;

use crate::ender::Half;

/// Whatever either waits for wakes both: receiving also sends what is left, so that each may take the place of the
/// other where a runtime, or the end of a server, remembers one task.
#[derive(Debug)]
pub(crate) struct Tasks {
    both: Arc<Both>,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Both([AtomicWaker; 2]);

impl Default for Tasks {
    fn default() -> Self {
        let both = Arc::<Both>::default();
        Self { waker: both.clone().into(), both }
    }
}

impl Tasks {
    /// Remembers the task of one half, and wakes it with the other's.
    pub(crate) fn with(&self, half: Half, cx: &Context<'_>) -> Context<'_> {
        self.both.0[half as usize].register(cx.waker());
        Context::from_waker(&self.waker)
    }
}

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.iter().for_each(AtomicWaker::wake);
    }
}
