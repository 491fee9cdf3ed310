//! What every test needs: a directory of its own, a server, a connected pair.

use std::{
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use ipc_core::{
    Address, ConnectOptions, Error, ErrorKind, Faults, IpcReceiver, IpcSender, IpcServer, Place, Result,
    ServerOptions, Target, Transport,
};
use tempfile::TempDir;

use crate::Subject;

/// A directory and a name that no other test has.
pub struct Stage<S> {
    pub dir: TempDir,
    pub address: Address,
    /// What goes wrong, if the transport is `Faulty`; never a death.
    pub faults: Faults,
    subject: PhantomData<fn() -> S>,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

impl<S: Subject> Default for Stage<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Subject> Stage<S> {
    #[must_use]
    pub fn new() -> Self {
        let name = format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = tempfile::Builder::new().prefix("hobnob").tempdir().unwrap();
        let faults = Faults::seed(crate::seed());
        Self { dir, address: S::address(&name), faults, subject: PhantomData }
    }

    #[must_use]
    pub fn server_options(&self) -> ServerOptions {
        ServerOptions::new().directory(self.names()).seams(self.faults.clone())
    }

    #[must_use]
    pub fn client_options(&self) -> ConnectOptions {
        S::client_options().directory(self.names()).seams(self.faults.clone())
    }

    /// The directory of names.
    #[must_use]
    pub fn names(&self) -> std::path::PathBuf {
        self.dir.path().join("names")
    }

    #[must_use]
    pub fn server(&self) -> S::Server {
        self.server_with(|options| options)
    }

    #[must_use]
    pub fn server_with(&self, change: impl FnOnce(ServerOptions) -> ServerOptions) -> S::Server {
        S::new_server_with(&self.address, &change(self.server_options())).unwrap()
    }

    pub fn connect(&self) -> Result<S::Connection> {
        S::connect_with(&self.address, &self.client_options())
    }

    /// A client and what the server has of it.
    #[must_use]
    pub fn pair(&self, server: &mut S::Server) -> (S::Connection, S::Connection) {
        self.pair_with(server, |options| options)
    }

    #[must_use]
    pub fn pair_with(
        &self,
        server: &mut S::Server,
        change: impl FnOnce(ConnectOptions) -> ConnectOptions,
    ) -> (S::Connection, S::Connection) {
        let options = change(self.client_options());
        thread::scope(|scope| {
            let client = scope.spawn(|| S::connect_with(&self.address, &options).unwrap());
            let accepted = server.accept_client().unwrap();
            (client.join().unwrap(), accepted)
        })
    }

    /// Lets the server take in whatever comes until the client is done; the server must not have a client ready.
    pub fn refused<R: Send>(&self, server: &mut S::Server, client: impl FnOnce() -> R + Send) -> R {
        let stop = server.stop_handle().unwrap();
        thread::scope(|scope| {
            let client = scope.spawn(move || {
                // Even a client that panics ends the server's wait.
                let _stop = Stopper(stop);
                client()
            });
            let accepted = server.accept_client();
            assert_eq!(kind_of(&accepted), Some(&ErrorKind::Stopped), "nobody was to be let in");
            client.join().unwrap()
        })
    }

    /// The place as a transport sees it.
    #[must_use]
    pub fn place(&self) -> Place {
        let name = match self.address.target() {
            Target::Name(name) => name,
            Target::HostPort(host, port) => return Place::Port(host.clone(), *port),
            other => unreachable!("stages use names and ports, not {other:?}"),
        };
        if S::Transport::CAPABILITIES.one_process {
            return Place::Process(name.clone());
        }
        Place::Folder(ipc_core::Folder::open(&self.names().join(name.as_str())).unwrap(), None)
    }
}

struct Stopper(ipc_core::StopHandle);

impl Drop for Stopper {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The kind of a result's error.
pub fn kind_of<R>(result: &Result<R>) -> Option<&ErrorKind> {
    result.as_ref().err().map(Error::kind)
}

/// Echoes until the goodbye.
pub fn echo<C: IpcSender + IpcReceiver>(connection: &mut C) -> Result<()> {
    let mut info = Vec::new();
    while connection.recv_info(&mut info)? {
        connection.send_info(&info)?;
    }
    Ok(())
}

/// Sends until there is no room, not even for one byte: a FIFO that has none for many may have some for a few.
pub fn fill(sender: &mut impl IpcSender) {
    let mut refusals = 0;
    while refusals < 100 {
        let size = if refusals == 0 { 5000 } else { 0 };
        refusals = if sender.try_send_info(&vec![0; size]).is_ok() { 0 } else { refusals + 1 };
    }
}

/// Bytes that betray a shift, a swap or a loss.
#[must_use]
pub fn pattern(seed: usize, size: usize) -> Vec<u8> {
    (0..size).map(|i| (i.wrapping_mul(31).wrapping_add(seed * 7) >> 3) as u8 ^ i as u8).collect()
}
