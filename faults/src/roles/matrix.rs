//! The server and the client of the table of users (F7).

use hobnob::{
    AnyConnection, AnyServer, ConnectOptions, Deadline, Error, IpcReceiver, IpcSender, IpcServer, Result,
    ServerOptions,
};

use super::{echo, say};

/// Serves in shared mode or not; lets this user in beside its own, or has no policy of its own.
pub fn serve(address: &str, shared: bool, admits: Option<u32>) -> Result<()> {
    let mut options = ServerOptions::new().shared(shared);
    if let Some(other) = admits {
        let own = nix::unistd::geteuid().as_raw();
        options = options.allow(move |peer| peer.uid == Some(own) || peer.uid == Some(other));
    }
    let mut server = AnyServer::new_server_with(&address.parse()?, &options)?;
    say("listening");
    loop {
        let _ = echo(server.accept_client()?);
    }
}

/// Connects, trusting this user's servers, has a word echoed, and says what came of it.
pub fn visit(address: &str, trusts: u32) -> Result<()> {
    let options = ConnectOptions::new().trust_server(trusts).deadline(Deadline::Forever);
    match exchange(address, &options) {
        Ok(()) => say("outcome in"),
        Err(error) => say(&format!("outcome {:?}", error.kind())),
    }
    Ok(())
}

fn exchange(address: &str, options: &ConnectOptions) -> Result<(), Error> {
    let mut server = AnyConnection::connect_with(&address.parse()?, options)?;
    server.send_info(b"word")?;
    assert_eq!(server.recv_borrowed()?, Some(&b"word"[..]));
    server.disconnect_from()
}
