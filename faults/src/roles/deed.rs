//! One action between two marks that a tracer can see: what happens between them is the action and nothing else.

use std::io;

use hobnob::{AnyConnection, AnyServer, ConnectOptions, IpcSender, IpcServer, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::say;
use crate::aftermath::PATIENCE;

/// What the mark is: a signal that nobody minds.
pub const MARK: Signal = Signal::SIGURG;

/// The messages of the action `send`: one after the other, each filled with its number.
pub const MESSAGES: u8 = 3;
pub const MESSAGE: usize = 100_000;

/// Prepares the deed, says so, waits for a line, and does it.
pub(super) fn play(deed: &str, address: &str) -> Result<()> {
    match deed {
        "start" | "take-over" => marked(|| hobnob::new_server(address)).map(drop),
        "stop" => {
            let mut server: AnyServer = hobnob::new_server(address)?;
            marked(|| server.destroy_server())
        }
        "accept" => {
            let mut server: AnyServer = hobnob::new_server(address)?;
            marked(|| server.accept_client()).map(drop)
        }
        "connect" => marked(|| connect(address)).map(drop),
        "send" => {
            let mut server = connect(address)?;
            let infos: Vec<_> = (0..MESSAGES).map(|number| vec![number; MESSAGE]).collect();
            marked(|| infos.iter().try_for_each(|info| server.send_info(info)))
        }
        "disconnect" => {
            let mut server = connect(address)?;
            marked(|| server.disconnect_from())
        }
        other => panic!("no such deed: {other}"),
    }
}

/// Patiently: each of its system calls waits for the tracer.
fn connect(address: &str) -> Result<AnyConnection> {
    AnyConnection::connect_with(&address.parse()?, &ConnectOptions::new().deadline(PATIENCE))
}

fn marked<R>(deed: impl FnOnce() -> Result<R>) -> Result<R> {
    let this = Pid::this();
    say("ready");
    io::stdin().read_line(&mut String::new())?;
    kill(this, MARK).map_err(io::Error::from)?;
    let done = deed()?;
    kill(this, MARK).map_err(io::Error::from)?;
    Ok(done)
}
