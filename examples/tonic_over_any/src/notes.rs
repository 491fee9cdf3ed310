//! The messages, which a .proto file would describe, and the service that build.rs describes.
#![allow(missing_docs, reason = "what is generated has none")]

/// Writes a note, in place of what was there.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PutRequest {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub text: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct PutReply {}

#[derive(Clone, PartialEq, prost::Message)]
pub struct GetRequest {
    #[prost(string, tag = "1")]
    pub key: String,
}

/// What was written, and by whom.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetReply {
    #[prost(string, tag = "1")]
    pub text: String,
    #[prost(string, tag = "2")]
    pub by: String,
}

tonic::include_proto!("hobnob.example.Notes");
