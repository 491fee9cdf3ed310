//! The client, which is tarpc's own over a connection.

use hobnob::{Address, tokio::connect_to};
use tarpc::{client, context};

use crate::{
    Result,
    notes::{NotesClient, transport},
};

pub async fn put(address: &Address, key: String, text: String) -> Result<()> {
    let notes = connect(address).await?;
    notes.put(context::current(), key, text).await?;
    Ok(())
}

pub async fn get(address: &Address, key: String) -> Result<()> {
    let notes = connect(address).await?;
    let note = notes.get(context::current(), key).await?.ok_or("no such note")?;
    println!("{} (by {})", note.text, note.by);
    Ok(())
}

async fn connect(address: &Address) -> Result<NotesClient> {
    let server = connect_to(address).await?;
    Ok(NotesClient::new(client::Config::default(), transport(server)).spawn())
}
