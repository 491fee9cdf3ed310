//! HTTP for curl and every other client, on an AF_UNIX socket or a TCP port.
#![forbid(unsafe_code)]

fn main() {}
