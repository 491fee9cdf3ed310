//! The server: hobnob takes the clients in, tarpc answers them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::StreamExt;
use hobnob::{
    Address, Peer, Result, StopHandle,
    tokio::{Connection, new_server, serve},
};
use tarpc::{
    context::Context,
    server::{BaseChannel, Channel},
};

use crate::notes::{Note, Notes, transport};

type Table = Arc<Mutex<HashMap<String, Note>>>;

pub fn keep_notes(address: &Address) -> crate::Result<()> {
    // Before the runtime: its threads inherit the blocked signals.
    let stop = StopHandle::on_interrupt()?;
    crate::runtime()?.block_on(async {
        let mut server = new_server(address)?;
        server.stop_with(&stop);
        println!("listening on {address}");
        let table = Table::default();
        serve(server, Duration::from_secs(2), move |client| attend(client, table.clone())).await?;
        Ok(())
    })
}

async fn attend(client: Connection, table: Table) -> Result<()> {
    let caller = Caller { peer: client.peer().clone(), table };
    let requests = BaseChannel::with_defaults(transport(client)).execute(caller.serve());
    // In this task, so that what was begun is done when the server ends.
    requests.for_each_concurrent(None, |answer| answer).await;
    Ok(())
}

/// The service as one caller sees it: a connection has one peer.
#[derive(Clone)]
struct Caller {
    peer: Peer,
    table: Table,
}

impl Notes for Caller {
    async fn put(self, _: Context, key: String, text: String) {
        log::info!("{} writes {key}", self.peer);
        let note = Note { text, by: self.peer.to_string() };
        self.table.lock().unwrap_or_else(PoisonError::into_inner).insert(key, note);
    }

    async fn get(self, _: Context, key: String) -> Option<Note> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }
}
