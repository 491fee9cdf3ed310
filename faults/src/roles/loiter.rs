//! Clients that come to stay in the handshake, and the client whose patience they try.

use std::{
    io::{Read, Write},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use hobnob::{IpcSender, Result};

use super::say;
use crate::wire::Road;

/// So many clients that never speak, and as many that say a byte of their hello a second. Whoever is turned out
/// comes back a second later. They stay until this process is killed.
pub fn stay(scheme: &'static str, folder: &Path, each: usize) {
    let (came, arrivals) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        for i in 0..2 * each {
            let came = came.clone();
            let stack = thread::Builder::new().stack_size(128 * 1024);
            let client = move || {
                loop {
                    let road = Road::knock(folder, scheme);
                    let _ = came.send(());
                    if let Ok(road) = road {
                        let _ = if i % 2 == 0 { stay_silent(road) } else { dribble(road) };
                    }
                    thread::sleep(Duration::from_secs(1));
                }
            };
            stack.spawn_scoped(scope, client).unwrap();
        }
        arrivals.iter().take(2 * each).for_each(drop);
        say("all have come");
    });
}

fn stay_silent(mut road: Road) -> std::io::Result<()> {
    // The server's no, or the end.
    while road.read(&mut [0; 64])? > 0 {}
    Ok(())
}

fn dribble(mut road: Road) -> std::io::Result<()> {
    for byte in road.hello() {
        road.write_all(&[byte])?;
        thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

/// Connects until it is told no, says how often it was let in, and keeps what it has until it is killed.
pub fn take_all(address: &str) -> Result<()> {
    let mut taken = Vec::new();
    let no = loop {
        match hobnob::connect_to(address) {
            Ok(connection) => taken.push(connection),
            Err(error) => break error,
        }
    };
    say(&format!("{} connections, then: {no}", taken.len()));
    let _ = std::io::stdin().read(&mut [0]);
    Ok(())
}

/// Connects so many times, and says how long the slowest hundredth of that took, in microseconds.
pub fn measure(address: &str, times: usize) -> Result<()> {
    let mut spans = Vec::with_capacity(times);
    for _ in 0..times {
        let began = Instant::now();
        let mut server = hobnob::connect_to(address)?;
        spans.push(began.elapsed().as_micros());
        server.disconnect_from()?;
    }
    spans.sort_unstable();
    say(&format!("p50 {} p99 {}", spans[times / 2], spans[times * 99 / 100]));
    Ok(())
}
