//! What the tests in one process share: a directory and a name of their own, a server, a connected pair.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    os::fd::BorrowedFd,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use hobnob::{
    AnyConnection, AnyServer, ConnectOptions, Deadline, IpcReceiver, IpcSender, IpcServer, Result,
    ServerOptions,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tempfile::TempDir;

/// A directory and a name that no other test has.
pub struct Stage {
    dir: TempDir,
    pub name: String,
}

impl Stage {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Self { dir: tempfile::tempdir().unwrap(), name }
    }

    pub fn names(&self) -> PathBuf {
        self.dir.path().join("names")
    }

    pub fn over(&self, scheme: &str) -> String {
        format!("{scheme}:{}", self.name)
    }

    pub fn server(&self, address: &str) -> Result<AnyServer> {
        self.server_with(address, |options| options)
    }

    pub fn server_with(
        &self,
        address: &str,
        change: impl FnOnce(ServerOptions) -> ServerOptions,
    ) -> Result<AnyServer> {
        let options = change(ServerOptions::new().directory(self.names()));
        AnyServer::new_server_with(&address.parse().unwrap(), &options)
    }

    /// For ever: a client that waits where it must not would not come back.
    pub fn client_options(&self) -> ConnectOptions {
        ConnectOptions::new().directory(self.names()).deadline(Deadline::Forever)
    }

    pub fn connect(&self, address: &str) -> Result<AnyConnection> {
        AnyConnection::connect_with(&address.parse().unwrap(), &self.client_options())
    }

    /// A client and what the server has of it.
    pub fn pair(&self, server: &mut AnyServer, address: &str) -> (AnyConnection, AnyConnection) {
        thread::scope(|scope| {
            let client = scope.spawn(|| self.connect(address).unwrap());
            let served = server.accept_client().unwrap();
            (client.join().unwrap(), served)
        })
    }
}

/// Echoes until the goodbye.
pub fn echo(connection: &mut AnyConnection) -> Result<()> {
    let mut info = Vec::new();
    while connection.recv_info(&mut info)? {
        connection.send_info(&info)?;
    }
    Ok(())
}

/// Waits as an event loop does, though not for ever: a wake-up that was lost is found out here.
pub fn wait_for(descriptor: BorrowedFd<'_>) {
    let patience = PollTimeout::try_from(Duration::from_secs(30)).unwrap();
    let ready = poll(&mut [PollFd::new(descriptor, PollFlags::POLLIN)], patience).unwrap();
    assert_eq!(ready, 1, "the descriptor stayed silent");
}

/// The same for a server.
#[cfg(all(target_os = "linux", not(hobnob_portable)))]
pub fn wait_for_server(server: &AnyServer) {
    wait_for(std::os::fd::AsFd::as_fd(server));
}

/// A server has a descriptor on Linux only; elsewhere a loop has to ask it now and then.
#[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
pub fn wait_for_server(_: &AnyServer) {
    thread::yield_now();
}
