//! Clients that say what became of them.

use hobnob::{Address, AnyConnection, ConnectOptions, Deadline, IpcReceiver, IpcSender, Result};

use super::{echo, say};

/// Connects, however long that takes, and has a message echoed.
pub(super) fn tell(address: &str) -> Result<()> {
    match visit(&address.parse()?) {
        Ok(()) => say("talked"),
        Err(error) => say(&format!("told: {error}")),
    }
    Ok(())
}

fn visit(address: &Address) -> Result<()> {
    let mut server =
        AnyConnection::connect_with(address, &ConnectOptions::new().deadline(Deadline::Forever))?;
    server.send_info(b"hello")?;
    server.recv_borrowed()?;
    server.disconnect_from()
}

/// Connects, and echoes what the server sends.
pub(super) fn echo_back(address: &str) -> Result<()> {
    echo(hobnob::connect_to(address)?)
}
