//! Says which digit is on an image, over plain datagrams, to clients that know nothing of hobnob.
#![forbid(unsafe_code)]

fn main() {}
