//! A process that does what it is told on its standard input, one command a line, and answers each with a line.

mod files;
mod itself;
mod road;

use std::{env, fs, io::stdin};

use nix::errno::Errno;

use crate::roles::say;

/// What a command comes to: a word or two for the test.
type Done = Result<String, Errno>;

/// Goes to the server's folder and obeys until its standard input ends.
pub fn obey(folder: &str) {
    env::set_current_dir(folder).unwrap();
    say(&format!("puppet {}", std::process::id()));
    let mut state = road::State::default();
    for line in stdin().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split(' ').collect();
        let done = files::command(&words).or_else(|| itself::command(&words));
        match done.unwrap_or_else(|| state.command(&words)) {
            Ok(what) => say(&format!("done {what}")),
            Err(errno) => say(&format!("failed {errno:?}")),
        }
    }
}

/// The same for an error of the standard library.
fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

fn done(result: std::io::Result<()>) -> Done {
    result.map(|()| String::new()).map_err(|error| errno(&error))
}

/// A number as the test writes it: `700` octal, or a pid.
fn octal(text: &str) -> u32 {
    u32::from_str_radix(text, 8).unwrap()
}

/// The bytes that a hexadecimal text stands for.
fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The pid and the random part in a name such as `clients/12-00ff...`.
fn parts(name: &str) -> (u32, [u8; 16]) {
    let (pid, hex) = name.trim_start_matches("clients/").split_once('-').unwrap();
    (pid.parse().unwrap(), bytes(hex).try_into().unwrap())
}

/// How many names a file has.
fn links(file: &fs::File) -> u64 {
    use std::os::unix::fs::MetadataExt;
    file.metadata().unwrap().nlink()
}
