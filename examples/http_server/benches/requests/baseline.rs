//! The same service on tokio's own listeners, as one would write it without hobnob.

use std::{
    io::{self, Write},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, UnixListener},
};

use crate::web;

const PATIENCE: Duration = Duration::from_secs(5);

pub fn serve(address: &str) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match address.split_once(':') {
            Some(("unix", path)) => at_path(path).await,
            Some(("tcp", place)) => at_port(place).await,
            _ => Err(io::Error::other(format!("{address}: expected unix:PATH or tcp:HOST:PORT"))),
        }
    })
}

async fn at_port(place: &str) -> io::Result<()> {
    let listener = TcpListener::bind(place).await?;
    println!("listening on tcp:{}", listener.local_addr()?);
    loop {
        let (stream, from) = listener.accept().await?;
        say(&format!("New TCP connection from: ('{}', {})", from.ip(), from.port()));
        tokio::spawn(attend(stream));
    }
}

async fn at_path(path: &str) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    println!("listening on unix:{path}");
    loop {
        let (stream, _) = listener.accept().await?;
        say("New Unix domain socket connection");
        tokio::spawn(attend(stream));
    }
}

async fn attend(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let _ = web::answer(TokioIo::new(&mut stream), PATIENCE).await;
    let _ = stream.shutdown().await;
}

fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
