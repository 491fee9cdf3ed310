//! What the fuzz targets reach and users do not. It is there with `--cfg fuzzing` only.

use std::{io, time::SystemTime};

use crate::{
    Folder, Record,
    frame::{Decoder, Frame},
};

/// The record in a server's folder, as clients read it.
#[must_use]
pub fn read_record(folder: &Folder) -> Option<Record> {
    Record::read(folder)
}

/// Writes a record as servers do, and gives it back.
///
/// # Errors
/// What the operating system says.
pub fn write_record(
    folder: &Folder,
    (transport, pid, uid): (&str, u32, u32),
    since: SystemTime,
) -> io::Result<Record> {
    let record = Record { transport: transport.to_owned(), pid, uid, since };
    record.write(folder, false).map(|()| record)
}

/// How much memory the decoder holds.
#[must_use]
pub fn memory(decoder: &Decoder) -> usize {
    decoder.memory()
}

/// As `recv_info` gives a message out.
pub fn deliver(decoder: &mut Decoder, frame: &Frame, into: &mut Vec<u8>) {
    decoder.deliver(frame, into);
}

/// As before a wait.
pub fn rest(decoder: &mut Decoder) {
    decoder.rest();
}
