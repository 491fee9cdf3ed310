//! The path that a peer's socket is bound to, which the peer chooses: what of it is taken for a file in `clients/`
//! is a plain name of exactly one form.
#![no_main]

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

use ipc_core::base_name;
use libfuzzer_sys::fuzz_target;
use transport_unix::fuzz::{client_file_name, pid_in};

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new(OsStr::from_bytes(bytes));
    let name = base_name(path);
    assert_eq!(name, last_part(bytes), "{path:?}");
    if let Some(name) = name {
        assert_eq!(pid_in(name), pid(name), "{name:?}");
        assert_eq!(base_name(Path::new(name)), Some(name));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert_eq!(pid_in(text), pid(text), "{text:?}");
    }
    ours_is_taken(bytes);
});

/// The last part of a path that says where something is, as text: `.` says nothing, `..` is no name.
fn last_part(bytes: &[u8]) -> Option<&str> {
    let says_something = |part: &&[u8]| !part.is_empty() && *part != b".";
    let last = bytes.split(|byte| *byte == b'/').rfind(says_something)?;
    std::str::from_utf8(last).ok().filter(|last| *last != "..")
}

/// `[1-9][0-9]*-[0-9a-f]{32}`, and a pid that is a u32.
fn pid(name: &str) -> Option<u32> {
    let bytes = name.as_bytes();
    let (pid, random) = bytes.split_at_checked(bytes.len().checked_sub(33)?)?;
    let hex = random.iter().skip(1).all(|byte| b"0123456789abcdef".contains(byte));
    if random[0] != b'-' || !hex || pid.is_empty() || pid[0] == b'0' {
        return None;
    }
    pid.iter().try_fold(0u32, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// What an honest client calls its file is taken, wherever it says that the file lies.
fn ours_is_taken(bytes: &[u8]) {
    let Some((random, rest)) = bytes.split_first_chunk::<16>() else { return };
    let Some((number, folder)) = rest.split_first_chunk::<4>() else { return };
    let number = u32::from_le_bytes(*number);
    let ours = client_file_name(number, *random);
    let path = [folder, b"/", ours.as_bytes()].concat();
    assert_eq!(base_name(Path::new(OsStr::from_bytes(&path))), Some(&*ours));
    assert_eq!(pid_in(&ours), (number > 0).then_some(number));
}
