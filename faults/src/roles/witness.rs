//! A server that lets everybody in and prints of every message whose it is.

use std::{thread, time::Duration};

use hobnob::{
    AnyConnection, AnyServer, IpcConnection, IpcReceiver, IpcSender, IpcServer, PeerPid, Result,
    ServerOptions,
};

use crate::roles::say;

/// Echoes, and prints for each message `uid pid text` of the peer that it came from, before the echo.
pub fn witness(address: &str) -> Result<()> {
    // On a busy machine too nobody is turned away for being slow, unless nobody ever speaks.
    let hello = Duration::from_secs(60);
    let options = ServerOptions::new().shared(true).allow(|_| true).hello_within(hello);
    let mut server = AnyServer::new_server_with(&address.parse()?, &options)?;
    say("listening");
    loop {
        let client = server.accept_client()?;
        thread::spawn(move || {
            let _ = testify(client);
        });
    }
}

fn testify(mut client: AnyConnection) -> Result<()> {
    let peer = client.peer().clone();
    let uid = peer.uid.map_or_else(|| "unknown".to_owned(), |uid| uid.to_string());
    let pid = match peer.pid {
        PeerPid::Verified(pid) => format!("verified:{pid}"),
        PeerPid::Claimed(pid) => format!("claimed:{pid}"),
        PeerPid::Unknown => "unknown".to_owned(),
    };
    let mut info = Vec::new();
    while client.recv_info(&mut info)? {
        say(&format!("heard {uid} {pid} {}", String::from_utf8_lossy(&info)));
        client.send_info(&info)?;
    }
    Ok(())
}
