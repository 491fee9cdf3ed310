//! A message board in SQLite for clients that know nothing of hobnob, on an AF_UNIX socket or a TCP port.
#![forbid(unsafe_code)]

fn main() {}
