//! A server or a client that forks without exec. The child does one thing and pauses, until its standard input ends,
//! which it shares with the parent; the parent echoes.

use std::io::{self, Read};

use hobnob::{AnyConnection, AnyServer, IpcConnection, IpcServer, Result};
use nix::unistd::{ForkResult, fork};

use super::{echo, say};

/// What the child does with its copies.
pub const DEEDS: [&str; 5] = ["keeps", "drops", "destroys and drops", "drops the halves", "drops and ends"];

/// Takes one client, and forks.
pub(super) fn server(address: &str, deed: &str) -> Result<()> {
    let mut server: AnyServer = hobnob::new_server(address)?;
    say("listening");
    let client = server.accept_client()?;
    let (mut server, client) = fork_here(deed, (server, client), |(mut server, client)| {
        if deed == "destroys and drops" {
            server.destroy_server().unwrap();
        }
        drop(server);
        lose(deed, client);
    });
    std::thread::spawn(|| echo(client));
    loop {
        let client = server.accept_client()?;
        std::thread::spawn(|| echo(client));
    }
}

/// Connects, and forks.
pub(super) fn client(address: &str, deed: &str) -> Result<()> {
    let connection = hobnob::connect_to(address)?;
    echo(fork_here(deed, connection, |connection| lose(deed, connection)))
}

fn lose(deed: &str, connection: AnyConnection) {
    if deed == "drops the halves" {
        let (sender, receiver) = Box::new(connection).split();
        drop(sender);
        drop(receiver);
    }
}

/// Gives the parent what is there. The child uses its copy as it is told, says so, and never returns.
fn fork_here<T>(deed: &str, there: T, child: impl FnOnce(T)) -> T {
    // SAFETY: this process has one thread, so no lock is held by a thread that the child does not have.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { .. } => there,
        ForkResult::Child => {
            let kept = if deed == "keeps" {
                Some(there)
            } else {
                child(there);
                None
            };
            say(&format!("child {}", std::process::id()));
            if deed != "drops and ends" {
                let _ = io::stdin().read(&mut [0]);
            }
            std::mem::forget(kept);
            std::process::exit(0)
        }
    }
}
