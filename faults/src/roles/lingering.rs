//! A client made by hand that waits at a chosen place of its handshake until it is told to go on.

use std::io::{self, Read, Write};

use hobnob::Result;

use super::say;
use crate::{NAME, wire};

/// Where it can wait.
pub const PLACES: [&str; 3] = ["before the hello", "inside the hello", "before the ready"];

pub(super) fn play(scheme: &str, place: &str) -> Result<()> {
    let folder = std::path::PathBuf::from(std::env::var_os(hobnob::VARIABLE).unwrap()).join(NAME);
    let mut road = wire::Road::knock(&folder, scheme)?;
    let hello = road.hello();
    let (half, rest) = hello.split_at(hello.len() / 2);
    wait(place, 0);
    road.write_all(half)?;
    wait(place, 1);
    road.write_all(rest)?;
    let (_, body) = road.read_frame()?;
    let (code, _, nonce) = wire::verdict(&body);
    assert_eq!(code, 0);
    wait(place, 2);
    road.write_all(&wire::frame(wire::READY, &nonce))?;
    road.write_all(&wire::frame(wire::DATA, b"late"))?;
    assert_eq!(road.read_frame()?, (wire::DATA, b"late".to_vec()));
    say("talked");
    Ok(())
}

fn wait(place: &str, number: usize) {
    if place == PLACES[number] {
        say("there");
        let _ = io::stdin().read(&mut [0]);
    }
}
