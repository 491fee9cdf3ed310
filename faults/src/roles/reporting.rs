//! An echo server that says what became of each of its clients, and at its end what it has counted.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    thread,
};

use hobnob::{AnyServer, ErrorKind, IpcServer, Refusal, Result, ServerStats};

use super::{echo, say};
use crate::Program;

/// Echoes until a byte comes on its standard input, or its end. Says `listening`, for each client `ended: ...`, at last `counted: ...`.
///
/// # Errors
/// As `new_server` and `accept_client`.
pub fn serve(address: &str) -> Result<()> {
    let mut server: AnyServer = hobnob::new_server(address)?;
    let stop = server.stop_handle()?;
    say("listening");
    thread::spawn(move || {
        let _ = io::stdin().read(&mut [0]);
        stop.stop();
    });
    loop {
        match server.accept_client() {
            Ok(client) => drop(thread::spawn(move || match echo(client) {
                Ok(()) => say("ended: goodbye"),
                Err(error) => say(&format!("ended: {:?}", error.kind())),
            })),
            Err(error) if *error.kind() == ErrorKind::Stopped => break,
            Err(error) => return Err(error),
        }
    }
    say(&format!("counted: {}", counted(&server.stats())));
    Ok(())
}

fn counted(stats: &ServerStats) -> String {
    let refused = Refusal::ALL.map(|reason| format!("{reason:?}={}", stats.refused(reason)));
    let [arrived, ready, pauses] = [stats.arrived, stats.ready, stats.pauses];
    format!("arrived={arrived} ready={ready} pauses={pauses} {}", refused.join(" "))
}

/// Ends such a server, and gives its counts by name.
pub fn counts_of(server: &mut Program) -> BTreeMap<String, u64> {
    server.stdin.write_all(b"\n").unwrap();
    let line = server.wait_for("counted:");
    let pairs = line.split_whitespace().filter_map(|word| word.split_once('='));
    pairs.map(|(name, count)| (name.to_owned(), count.parse().unwrap())).collect()
}
