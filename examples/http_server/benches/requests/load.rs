//! A load tool for both kinds of sockets: wrk knows no AF_UNIX. Each client connects, asks, reads to the end, and again.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    task::JoinSet,
};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: any\r\n\r\n";

pub fn run(address: &str, clients: usize, span: Duration) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ends = Instant::now() + span;
    let answered: io::Result<u64> = runtime.block_on(async {
        let asking: JoinSet<_> = (0..clients).map(|_| ask_until(ends, address.to_owned())).collect();
        asking.join_all().await.into_iter().sum()
    });
    println!("Requests/sec: {:.1}", answered? as f64 / span.as_secs_f64());
    Ok(())
}

/// Says how many were answered.
async fn ask_until(ends: Instant, address: String) -> io::Result<u64> {
    let (scheme, place) = address.split_once(':').ok_or(io::ErrorKind::InvalidInput)?;
    let mut answered = 0;
    while Instant::now() < ends {
        match scheme {
            "unix" => ask(UnixStream::connect(place).await?).await?,
            _ => ask(TcpStream::connect(place).await?).await?,
        }
        answered += 1;
    }
    Ok(answered)
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    stream.write_all(REQUEST).await?;
    let mut answer = Vec::with_capacity(256);
    stream.read_to_end(&mut answer).await?;
    match answer.ends_with(b"running") {
        true => Ok(()),
        false => Err(io::Error::other(format!("answered {:?}", String::from_utf8_lossy(&answer)))),
    }
}
