//! The service, and how it travels.

use hobnob::tokio::{ByteStream, Connection};
use serde::{Deserialize, Serialize};
use tarpc::{
    serde_transport::{self, Transport},
    tokio_serde::formats::Json,
    tokio_util::codec::LengthDelimitedCodec,
};

#[tarpc::service]
pub trait Notes {
    /// Writes a note, in place of what was there.
    async fn put(key: String, text: String);
    /// The note, if there is one.
    async fn get(key: String) -> Option<Note>;
}

/// What was written, and by whom.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Note {
    pub text: String,
    pub by: String,
}

/// A connection as tarpc wants it: JSON in frames.
pub fn transport<In, Out>(connection: Connection) -> Transport<ByteStream, In, Out, Json<In, Out>>
where
    In: for<'a> Deserialize<'a>,
    Out: Serialize,
{
    let frames = LengthDelimitedCodec::builder().new_framed(ByteStream::new(connection));
    serde_transport::new(frames, Json::default())
}
