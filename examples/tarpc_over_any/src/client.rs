//! The client, which is tarpc's own over a connection.

use std::io;

use hobnob::{Address, Result, tokio::connect_to};
use tarpc::{client, context};

use crate::notes::{NotesClient, transport};

pub async fn put(address: &Address, key: String, text: String) -> Result<()> {
    let notes = connect(address).await?;
    notes.put(context::current(), key, text).await.map_err(io::Error::other)?;
    Ok(())
}

pub async fn get(address: &Address, key: String) -> Result<()> {
    let notes = connect(address).await?;
    match notes.get(context::current(), key).await.map_err(io::Error::other)? {
        Some(note) => println!("{} (by {})", note.text, note.by),
        None => println!("no such note"),
    }
    Ok(())
}

async fn connect(address: &Address) -> Result<NotesClient> {
    let server = connect_to(address).await?;
    Ok(NotesClient::new(client::Config::default(), transport(server)).spawn())
}
