//! The record in a server's folder, which is the one file that hobnob reads: whatever lies there is a record as its
//! grammar says, or none; and what a server writes is read back.
#![no_main]

use std::{
    fs,
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ipc_core::{
    Folder,
    fuzz::{read_record, write_record},
};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// Most of a record file is not looked at.
const LARGEST: usize = 512;

// The fuzzer ends without clearing up; fuzz/run gives it a directory of its own.
static PLACE: LazyLock<(TempDir, Folder)> = LazyLock::new(|| {
    let place = tempfile::tempdir().expect("a directory");
    let folder = Folder::open(place.path()).expect("just made");
    (place, folder)
});

fuzz_target!(|bytes: &[u8]| {
    let (place, folder) = &*PLACE;
    fs::write(place.path().join("record"), bytes).expect("it can be written");
    let read = read_record(folder).map(|found| (found.transport, found.pid, found.uid, found.since));
    assert_eq!(read, record(bytes), "{:?}", String::from_utf8_lossy(bytes));
    if let Some((transport, pid, uid, since)) = read {
        let written = write_record(folder, (&transport, pid, uid), since).expect("it can be written");
        assert_eq!(read_record(folder), Some(written));
    }
});

/// Lines of `key=value`. Of four keys the last line counts and must be right; all others are for later versions.
fn record(bytes: &[u8]) -> Option<(String, u32, u32, SystemTime)> {
    let text = std::str::from_utf8(&bytes[..bytes.len().min(LARGEST)]).ok()?;
    let last = |key: &str| text.split('\n').rev().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let transport = last("transport").filter(|text| text.bytes().all(|byte| byte.is_ascii_alphanumeric()))?;
    let since = Duration::from_secs(number(last("since")?, u64::MAX)?);
    let small = |text| number(text, u64::from(u32::MAX)).map(|number| number as u32);
    Some((transport.to_owned(), small(last("pid")?)?, small(last("uid")?)?, UNIX_EPOCH.checked_add(since)?))
}

fn number(text: &str, most: u64) -> Option<u64> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let add = |sum: u64, byte: u8| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    };
    (!digits.is_empty()).then(|| digits.bytes().try_fold(0, add))?.filter(|number| *number <= most)
}
