//! An echo server that gives a client an hour for its handshake: what it drops sooner, it drops because the client
//! is gone.

use std::time::Duration;

use hobnob::{AnyServer, IpcServer, Result, ServerOptions};

use super::{echo, say};

const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn serve(address: &str) -> Result<()> {
    let options = ServerOptions::new().hello_within(HOUR);
    let mut server = AnyServer::new_server_with(&address.parse()?, &options)?;
    say("listening");
    loop {
        let client = server.accept_client()?;
        std::thread::spawn(move || {
            let _ = echo(client);
        });
    }
}

/// Has the name and takes nobody in.
pub(super) fn deaf(address: &str) -> Result<()> {
    let _server: AnyServer = hobnob::new_server(address)?;
    say("listening");
    loop {
        std::thread::park();
    }
}
