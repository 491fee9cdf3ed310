//! What the fuzz targets reach and users do not. It is there with `--cfg fuzzing` only.

use crate::client_file;

/// The name of a client's file.
#[must_use]
pub fn client_file_name(pid: u32, random: [u8; 16]) -> String {
    client_file::name(pid, random)
}

/// The pid in a client file's name, if it is one.
#[must_use]
pub fn pid_in(name: &str) -> Option<u32> {
    client_file::pid_in(name)
}
