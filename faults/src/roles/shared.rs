//! A server for every user, and the clients of other users.

use std::time::Duration;

use hobnob::{
    AnyConnection, AnyServer, ConnectOptions, IpcConnection, IpcReceiver, IpcSender, IpcServer, Result,
    ServerOptions,
};

use super::{echo, say};

/// Long enough for a client that is honest and slow, on a machine that is busy.
const HELLO: Duration = Duration::from_secs(20);

/// Echoes to everybody who comes, and says, if asked to, who that is.
pub fn serve(address: &str, tell: bool) -> Result<()> {
    let options = ServerOptions::new().shared(true).allow(|_| true).hello_within(HELLO);
    let mut server = AnyServer::new_server_with(&address.parse()?, &options)?;
    say("listening");
    loop {
        let client = server.accept_client()?;
        if tell {
            say(&format!("accepted {}", client.peer()));
        }
        std::thread::spawn(move || {
            let _ = echo(client);
        });
    }
}

/// Has a message echoed, so many times, by a server that this user runs.
pub fn talk(uid: u32, address: &str, times: u64) -> Result<()> {
    let options = ConnectOptions::new().trust_server(uid);
    for i in 0..times {
        let mut server = AnyConnection::connect_with(&address.parse()?, &options)?;
        let info = i.to_le_bytes();
        server.send_info(&info)?;
        assert_eq!(server.recv_borrowed()?, Some(&info[..]));
        server.disconnect_from()?;
    }
    say("done");
    Ok(())
}
