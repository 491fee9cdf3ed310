//! The server: each client has a task, which hears it and tells it at the same time.

use std::{num::NonZeroUsize, pin::pin, sync::Arc, time::Duration};

use hobnob::{
    Address, AnyServer, Peer, PeerPid, Result, ServerOptions, StopHandle,
    tokio::{Connection, Receiver, Sender, Server, serve},
};
use nix::unistd::{Uid, User};
use tokio::sync::mpsc;

use crate::room::{Line, Room};

/// Longer lines are refused where they are sent.
const LONGEST: u32 = 4096;
/// How long a client may take over a line before it is given up, whatever is in its queue.
const PATIENCE: Duration = Duration::from_secs(60);
/// From one line of a client to its next, or one that pastes a book would have everybody else cut off.
const PACE: Duration = Duration::from_millis(10);

pub fn keep_room(address: &Address, queue: NonZeroUsize) -> Result<()> {
    // Before the runtime: its threads inherit the blocked signals.
    let stop = StopHandle::on_interrupt()?;
    crate::runtime()?.block_on(async {
        let options = ServerOptions::new().max_message(LONGEST);
        let mut server = Server::new(AnyServer::new_server_with(address, &options)?);
        server.stop_with(&stop);
        println!("listening on {address}");
        let room = Room::new(queue);
        serve(server, Duration::from_secs(2), move |client| attend(room.clone(), client)).await?;
        Ok(())
    })
}

async fn attend(room: Arc<Room>, client: Connection) -> Result<()> {
    let who = name(client.peer());
    let (sender, receiver) = client.split();
    let (place, lines) = room.enter(&who);
    let mut telling = pin!(tell(sender, lines));
    let mut sender = tokio::select! {
        heard = hear(receiver, &room, &who) => {
            // It said goodbye, or the server ends: it still gets what is in its queue.
            drop(place);
            let sender = telling.await?;
            heard?;
            sender
        }
        // Its place is lost, and it has got what was in its queue.
        told = &mut telling => {
            let mut sender = told?;
            let reason = format!("* you {}", room.reason("were"));
            sender.send_info_by(reason.as_bytes(), PATIENCE.into()).await?;
            sender
        }
    };
    sender.disconnect_from().await
}

/// What the client claims to be plays no part: this is what the kernel says.
fn name(peer: &Peer) -> String {
    let user = peer.uid.map_or_else(|| "?".to_owned(), user);
    match peer.pid {
        PeerPid::Verified(pid) => format!("{user}[{pid}]"),
        // Over a FIFO pair the kernel vouches for the user only.
        PeerPid::Claimed(pid) => format!("{user}[{pid}?]"),
        PeerPid::Unknown => user,
    }
}

fn user(uid: u32) -> String {
    let known = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    known.map_or_else(|| format!("uid {uid}"), |user| user.name)
}

/// Until its goodbye.
async fn hear(mut receiver: Receiver, room: &Room, who: &str) -> Result<()> {
    let mut info = Vec::new();
    while receiver.recv_info(&mut info).await? {
        // What would move the cursor of others, or begin a line in the name of another, is left out.
        let said: String = String::from_utf8_lossy(&info).chars().filter(|c| !c.is_control()).collect();
        room.say(&format!("{who}: {said}"));
        tokio::time::sleep(PACE).await;
    }
    Ok(())
}

/// Until its place is lost and the queue empty.
async fn tell(mut sender: Sender, mut lines: mpsc::Receiver<Line>) -> Result<Sender> {
    while let Some(line) = lines.recv().await {
        sender.send_info_by(line.as_bytes(), PATIENCE.into()).await?;
    }
    Ok(sender)
}
