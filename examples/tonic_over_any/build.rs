//! The service's client and server, written by tonic from this description instead of a .proto file, which would
//! need protoc. The messages are in `src/notes.rs`.

use tonic_build::manual::{Builder, Method, Service};

fn method(name: &str, route: &str, input: &str, output: &str) -> Method {
    Method::builder()
        .name(name)
        .route_name(route)
        .input_type(format!("crate::notes::{input}"))
        .output_type(format!("crate::notes::{output}"))
        .codec_path("tonic_prost::ProstCodec")
        .build()
}

fn main() {
    let notes = Service::builder()
        .package("hobnob.example")
        .name("Notes")
        .method(method("put", "Put", "PutRequest", "PutReply"))
        .method(method("get", "Get", "GetRequest", "GetReply"))
        .build();
    Builder::new().compile(&[notes]);
}
