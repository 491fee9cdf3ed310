//! Honest clients that must be served at the first try, however long it takes, and say how long it took.

use std::time::{Duration, Instant};

use hobnob::{AnyConnection, ConnectOptions, IpcReceiver, IpcSender, Result};

use super::say;

/// Far beyond what any request needs. One that reaches it was not served.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connects, has a message of its own echoed and says goodbye, so many times; says `served TIMES slowest MILLIS`.
///
/// # Errors
/// The first request that was not served.
pub fn talk(address: &str, times: u64) -> Result<()> {
    let options = ConnectOptions::new().deadline(PATIENCE);
    let mut slowest = Duration::ZERO;
    for i in 0..times {
        let began = Instant::now();
        let info = format!("{}:{i}", std::process::id());
        let mut server = AnyConnection::connect_with(&address.parse()?, &options)?;
        server.set_recv_deadline(PATIENCE.into());
        server.send_info(info.as_bytes())?;
        assert_eq!(server.recv_borrowed()?, Some(info.as_bytes()), "somebody else's answer");
        server.disconnect_from()?;
        slowest = slowest.max(began.elapsed());
    }
    say(&format!("served {times} slowest {}", slowest.as_millis()));
    Ok(())
}
