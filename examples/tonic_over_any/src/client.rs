//! The client, which is tonic's own over a connection.

use hobnob::{
    Address,
    tokio::{ByteStream, connect_to},
};
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::{
    Result,
    notes::{GetRequest, PutRequest, notes_client::NotesClient},
};

pub async fn put(address: Address, key: String, text: String) -> Result<()> {
    let mut notes = connect(address).await?;
    notes.put(PutRequest { key, text }).await?;
    Ok(())
}

pub async fn get(address: Address, key: String) -> Result<()> {
    let mut notes = connect(address).await?;
    let note = notes.get(GetRequest { key }).await?.into_inner();
    println!("{} (by {})", note.text, note.by);
    Ok(())
}

/// tonic connects by URL; ours is for its headers only.
async fn connect(address: Address) -> Result<NotesClient<Channel>> {
    let connector = service_fn(move |_| {
        let address = address.clone();
        async move { connect_to(address).await.map(|server| TokioIo::new(ByteStream::new(server))) }
    });
    let connected = Endpoint::from_static("http://hobnob").connect_with_connector(connector).await;
    Ok(NotesClient::new(connected?))
}
