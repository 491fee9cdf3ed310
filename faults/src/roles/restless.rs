//! Those who do one thing over and over until they are killed in the middle of it. They say when they begin.

use hobnob::{AnyServer, ErrorKind, IpcReceiver, IpcSender, IpcServer, Result};

use super::say;

pub(super) fn play(who: &str, address: &str) -> Result<()> {
    say("restless");
    loop {
        match who {
            "server" => server(address)?,
            "loser" => loser(address)?,
            "client" => client(address)?,
            other => panic!("nobody is called {other}"),
        }
    }
}

/// Starts and stops a server.
fn server(address: &str) -> Result<()> {
    let mut server: AnyServer = hobnob::new_server(address)?;
    server.destroy_server()
}

/// Asks for a name that another holds.
fn loser(address: &str) -> Result<()> {
    match hobnob::new_server(address) {
        Err(error) if matches!(error.kind(), ErrorKind::NameInUse { .. }) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => panic!("{address} was taken from a live server"),
    }
}

/// Visits a server. Servers may come and go meanwhile; but none makes a client wait in vain.
fn client(address: &str) -> Result<()> {
    match visit(address) {
        Err(error) if *error.kind() == ErrorKind::TimedOut => Err(error),
        _ => Ok(()),
    }
}

fn visit(address: &str) -> Result<()> {
    let mut server = hobnob::connect_to(address)?;
    server.send_info(b"hello")?;
    server.recv_borrowed()?;
    server.disconnect_from()
}
