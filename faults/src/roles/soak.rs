//! The server and the honest client of the chaos soak. They end with their standard input, if the test is not there to
//! end them.

use std::{io, process, thread, time::Duration};

use hobnob::{
    AnyConnection, AnyServer, ConnectOptions, ErrorKind, IpcReceiver, IpcSender, IpcServer, Refusal, Result,
    StopHandle,
};

use super::{echo, say};
use crate::Dice;

/// Echoes to everybody until SIGTERM.
pub(super) fn serve(address: &str) -> Result<()> {
    let stop = StopHandle::on_interrupt()?;
    end_with_standard_input();
    let mut server: AnyServer = hobnob::new_server(address)?;
    server.stop_with(&stop);
    say("listening");
    let served = hobnob::serve(server, Duration::from_secs(1), |client| echo(client))?;
    let stats = served.stats;
    let refused = |reason| Some((stats.refused(reason), reason)).filter(|(times, _)| *times > 0);
    let refused =
        Refusal::ALL.into_iter().filter_map(refused).map(|(times, reason)| format!("{times} {reason}"));
    let refused: Vec<_> = refused.collect();
    say(&format!("stopped: {} came, {} were let in; {}", stats.arrived, stats.ready, refused.join(", ")));
    Ok(())
}

/// Talks for ever, whatever becomes of the server. A wrong answer is the only end.
pub(super) fn talk(address: &str, number: u64) -> Result<()> {
    end_with_standard_input();
    let (address, mut dice) = (address.parse()?, Dice::of(number));
    let options = ConnectOptions::new().wait_for_server(true).deadline(Duration::from_secs(2));
    say("talking");
    loop {
        let talked =
            AnyConnection::connect_with(&address, &options).and_then(|server| converse(server, &mut dice));
        if talked.is_err() {
            thread::park_timeout(Duration::from_millis(1));
        }
    }
}

/// A few messages there and back, and mostly a goodbye.
///
/// # Errors
/// What hobnob says.
///
/// # Panics
/// An answer that is not what was sent.
pub fn converse(mut server: AnyConnection, dice: &mut Dice) -> Result<()> {
    let span = Duration::from_secs(2);
    let mut answer = Vec::new();
    for _ in 0..1 + dice.roll() % 4 {
        let info = message(dice);
        server.send_info_by(&info, span.into())?;
        let heard = server.recv_info_by(&mut answer, span.into())?;
        if !heard {
            // The goodbye of a server that stops.
            return Err(ErrorKind::PeerGone.into());
        }
        assert!(answer == info, "WRONG: {} bytes came back for {}", answer.len(), info.len());
    }
    if dice.one_in(4) { Ok(()) } else { server.disconnect_from_by(span.into()) }
}

/// Mostly small, sometimes larger than any kernel buffer.
fn message(dice: &mut Dice) -> Vec<u8> {
    let size = if dice.one_in(16) { dice.roll() % 300_000 } else { dice.roll() % 300 };
    let seed = dice.roll().to_le_bytes();
    (0..size as usize).map(|i| seed[i % 8].wrapping_add((i >> 3) as u8)).collect()
}

pub(super) fn end_with_standard_input() {
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });
}
