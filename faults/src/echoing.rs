//! An echo server in this process, for tests that reach into it; and what tests wait for.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use hobnob::{AnyServer, ErrorKind, IpcServer, ServerStats, StopHandle};

use crate::roles;

/// Echoes while something is done; gives what that gave, and what the server has counted.
pub fn echoing<R>(mut server: AnyServer, during: impl FnOnce() -> R) -> (R, ServerStats) {
    let stop = server.stop_handle().unwrap();
    thread::scope(|scope| {
        let serving = scope.spawn(move || accept_until_stopped(server));
        let stopping = AtEnd(|| StopHandle::stop(&stop));
        let done = during();
        drop(stopping);
        (done, serving.join().unwrap())
    })
}

fn accept_until_stopped(mut server: AnyServer) -> ServerStats {
    loop {
        match server.accept_client() {
            Ok(client) => drop(thread::spawn(|| roles::echo(client))),
            Err(error) => {
                assert_eq!(*error.kind(), ErrorKind::Stopped, "accept failed");
                return server.stats();
            }
        }
    }
}

/// Done at its end, also in a test that fails: then its threads end, and it says why.
pub struct AtEnd<F: Fn()>(pub F);

impl<F: Fn()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// The watchdog ends it if that never comes.
pub fn wait_until(mut come: impl FnMut() -> bool) {
    while !come() {
        thread::yield_now();
    }
}

/// Everything below a directory, in order; nothing if it is not there.
#[must_use]
pub fn listing(at: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(at).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = entries.flat_map(|path| [vec![path.clone()], listing(&path)].concat()).collect();
    all.sort();
    all
}
