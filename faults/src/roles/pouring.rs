//! Those who send the messages of a stream until they are killed, and one who ends himself inside a message.

use std::io::Write;

use hobnob::{AnyConnection, AnyServer, IpcSender, IpcServer, Result};

use super::dying::end;
use crate::{NAME, Stream, wire};

/// Which stream: its seed, and the size of its largest message.
fn stream(arguments: &[&str; 2]) -> Stream {
    Stream::new(arguments[0].parse().unwrap(), arguments[1].parse().unwrap())
}

pub(super) fn client(address: &str, arguments: [&str; 2]) -> Result<()> {
    let mut stream = stream(&arguments);
    pour(hobnob::connect_to(address)?, &mut stream)
}

pub(super) fn server(address: &str, arguments: [&str; 2]) -> Result<()> {
    let mut stream = stream(&arguments);
    let mut server: AnyServer = hobnob::new_server(address)?;
    super::say("listening");
    pour(server.accept_client()?, &mut stream)
}

/// Every third message leaves together with the next.
fn pour(mut to: AnyConnection, stream: &mut Stream) -> Result<()> {
    for number in 0u64.. {
        let message = stream.next_message();
        if number % 3 == 0 { to.feed_info(message) } else { to.send_info(message) }?;
    }
    Ok(())
}

/// Sends so many messages of the stream whole, so many bytes of the next one's frame, and ends itself.
pub(super) fn by_hand(scheme: &str, arguments: [&str; 2], whole: u64, part: usize) -> Result<()> {
    let mut stream = stream(&arguments);
    let folder = std::path::PathBuf::from(std::env::var_os(hobnob::VARIABLE).unwrap()).join(NAME);
    let mut road = wire::Road::knock(&folder, scheme)?;
    assert_eq!(road.shake()?, 0);
    for _ in 0..whole {
        road.write_all(&wire::frame(wire::DATA, stream.next_message()))?;
    }
    road.write_all(&wire::frame(wire::DATA, stream.next_message())[..part])?;
    end()
}
