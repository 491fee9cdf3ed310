//! The server: tonic takes its clients from hobnob.

use std::{
    collections::HashMap,
    future::pending,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{Stream, stream};
use hobnob::{
    Address, ErrorKind, Peer, Result, StopHandle,
    tokio::{Server, new_server},
};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use crate::{
    caller::Caller,
    notes::{
        GetReply, GetRequest, PutReply, PutRequest,
        notes_server::{Notes, NotesServer},
    },
};

/// How long calls that are running may take after the server was stopped.
const DRAIN: Duration = Duration::from_secs(2);

pub fn keep_notes(address: &Address) -> crate::Result<()> {
    // Before the runtime: its threads inherit the blocked signals.
    let stop = StopHandle::on_interrupt()?;
    crate::runtime()?.block_on(async {
        let mut server = new_server(address)?;
        server.stop_with(&stop);
        println!("listening on {address}");
        let (open, is_closed) = oneshot::channel();
        let serving = tonic::transport::Server::builder()
            .add_service(NotesServer::new(Table::default()))
            // With a signal, though one that never comes, it lets calls finish when there are no more clients.
            .serve_with_incoming_shutdown(clients(server, open), pending());
        tokio::select! {
            served = serving => served?,
            () = drained(is_closed) => {}
        }
        Ok(())
    })
}

/// Everybody who comes in, until the server is stopped; then the name is given back, and `open` dropped.
fn clients(server: Server, open: oneshot::Sender<()>) -> impl Stream<Item = Result<Caller>> {
    stream::unfold((server, open), async |(mut server, open)| match server.accept_client().await {
        Ok(client) => Some((Ok(Caller::new(client)), (server, open))),
        Err(error) => {
            if *error.kind() != ErrorKind::Stopped {
                log::error!("{error}");
            }
            None
        }
    })
}

/// Over some time after the last client came in: one that never hangs up is not waited for.
async fn drained(is_closed: oneshot::Receiver<()>) {
    let _ = is_closed.await;
    tokio::time::sleep(DRAIN).await;
}

#[derive(Default)]
struct Table(Mutex<HashMap<String, GetReply>>);

impl Table {
    fn notes(&self) -> MutexGuard<'_, HashMap<String, GetReply>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl Notes for Table {
    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutReply>, Status> {
        let peer: Option<&Peer> = request.extensions().get();
        let by = peer.ok_or_else(|| Status::unauthenticated("nobody is known"))?.to_string();
        let PutRequest { key, text } = request.into_inner();
        log::info!("{by} writes {key}");
        self.notes().insert(key, GetReply { text, by });
        Ok(Response::new(PutReply {}))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetReply>, Status> {
        let note = self.notes().get(&request.into_inner().key).cloned();
        note.map(Response::new).ok_or_else(|| Status::not_found("no such note"))
    }
}
