//! A hostile writer on the rendezvous FIFO: everything that somebody who may write there can put into it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
};

use super::say;
use crate::wire::{fresh, knock_record};

/// Writes rubbish to the rendezvous of the server whose folder this is, until it is killed or the server is gone.
pub fn write_rubbish(folder: &str, seed: u64) {
    let rendezvous = OpenOptions::new().write(true).open(Path::new(folder).join("fifo")).unwrap();
    say("writing");
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    while rubbish(&rendezvous, &mut dice).is_ok() {}
}

fn rubbish(rendezvous: &File, dice: &mut Dice) -> io::Result<()> {
    match dice.roll(7) {
        0 => write(rendezvous, &garbage(dice)),
        1 => write(rendezvous, &missing()[..dice.roll(63) + 1]),
        2 => write(rendezvous, &missing()),
        3 => write(rendezvous, &shifted(dice)),
        4 => (0..dice.roll(200)).try_for_each(|_| write(rendezvous, b"h")),
        5 => write(rendezvous, &broken(dice)),
        _ => resize(rendezvous, dice),
    }
}

/// Waits for room, as the kernel does for a writer in blocking mode.
fn write(mut rendezvous: &File, bytes: &[u8]) -> io::Result<()> {
    rendezvous.write_all(bytes)
}

/// Bytes of no meaning, among them the beginnings of records.
fn garbage(dice: &mut Dice) -> Vec<u8> {
    let length = dice.roll(1500) + 1;
    let magic = b"hobnobF1";
    (0..length).map(|i| if dice.roll(4) == 0 { magic[i % 8] } else { dice.roll(256) as u8 }).collect()
}

/// A record with the right checksum, which names files that are not there.
fn missing() -> [u8; 64] {
    knock_record(std::process::id(), fresh(), fresh())
}

/// As many whole records as fit into an atomic write, all of them shifted by a few bytes.
fn shifted(dice: &mut Dice) -> Vec<u8> {
    let mut burst = vec![b'h'; dice.roll(64)];
    (0..dice.roll(60)).for_each(|_| burst.extend(missing()));
    burst
}

/// A record with one wrong bit.
fn broken(dice: &mut Dice) -> [u8; 64] {
    let mut record = missing();
    record[dice.roll(64)] ^= 1 << dice.roll(8);
    record
}

/// Makes the pipe as small as it can be, or large. What is in it may forbid that (EBUSY), and so may the kernel's
/// bound for each user (EPERM).
fn resize(rendezvous: &File, dice: &mut Dice) -> io::Result<()> {
    let size = if dice.roll(3) == 0 { 1 << 16 } else { 1 << 12 };
    match fcntl(rendezvous, FcntlArg::F_SETPIPE_SZ(size)) {
        Ok(_) | Err(Errno::EBUSY | Errno::EPERM) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// xorshift64: the same rubbish for the same seed.
struct Dice(u64);

impl Dice {
    /// Less than `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }
}
