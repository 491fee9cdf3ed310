//! The client: lines of standard input out, pushed lines printed.

use std::{
    io::{self, BufRead, Write},
    pin::pin,
};

use hobnob::{
    Address, ErrorKind, Result,
    tokio::{Receiver, Sender, connect_to},
};
use tokio::sync::mpsc;

pub fn join(address: &Address) -> Result<()> {
    crate::runtime()?.block_on(async {
        let (sender, receiver) = connect_to(address).await?.split();
        let mut showing = pin!(show(receiver));
        tokio::select! {
            // The server said goodbye; nobody waits for another line to be typed.
            shown = &mut showing => return shown,
            said = say(sender) => said?,
        }
        // After the end of the input, or when the server does not hear us any more: what it still says.
        showing.await
    })
}

async fn say(mut sender: Sender) -> Result<()> {
    let mut typed = typed();
    while let Some(line) = typed.recv().await {
        match sender.send_info(&line?).await {
            Err(error) if matches!(error.kind(), ErrorKind::TooLarge { .. }) => eprintln!("chat: {error}"),
            // It may have said why before.
            Err(error) if *error.kind() == ErrorKind::PeerGone => return Ok(()),
            sent => sent?,
        }
    }
    sender.disconnect_from().await
}

/// A thread of our own reads: a runtime waits for its threads when it ends, and this one may wait for ever.
fn typed() -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (put, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            if put.blocking_send(line).is_err() {
                break;
            }
        }
    });
    lines
}

async fn show(mut receiver: Receiver) -> Result<()> {
    let mut info = Vec::new();
    while receiver.recv_info(&mut info).await? {
        info.push(b'\n');
        io::stdout().write_all(&info)?;
        io::stdout().flush()?;
    }
    Ok(())
}
