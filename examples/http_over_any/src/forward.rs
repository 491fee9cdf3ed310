//! The relay: what comes in on a socket goes out over hobnob, byte by byte, and the same back.

use std::{fs, io};

use hobnob::{
    Address,
    tokio::{ByteStream, connect_to},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, copy_bidirectional},
    net::{TcpListener, UnixListener},
};

pub async fn relay_from(listen: &str, to: &Address) -> io::Result<()> {
    let interrupted = crate::interrupted()?;
    let relayed = async {
        match listen.contains('/') {
            true => from_path(listen, to).await,
            false => from_port(listen, to).await,
        }
    };
    tokio::select! {
        relayed = relayed => relayed.map_err(|error| io::Error::other(format!("{listen}: {error}")))?,
        () = interrupted => {}
    }
    Ok(())
}

async fn from_port(listen: &str, to: &Address) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    println!("forwarding {} to {to}", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        relay(socket, to.clone());
    }
}

async fn from_path(listen: &str, to: &Address) -> io::Result<()> {
    let listener = UnixListener::bind(listen)?;
    let _leftover = Leftover(listen);
    println!("forwarding {listen} to {to}");
    loop {
        let (socket, _) = listener.accept().await?;
        relay(socket, to.clone());
    }
}

/// A socket's file, which the kernel leaves behind.
struct Leftover<'a>(&'a str);

impl Drop for Leftover<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.0);
    }
}

fn relay(mut socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, to: Address) {
    let name = to.to_string();
    tokio::spawn(async move {
        let relayed = async {
            let mut server = ByteStream::new(connect_to(to).await?);
            // An end of file in one direction is a goodbye in it; the other goes on.
            copy_bidirectional(&mut socket, &mut server).await
        };
        match relayed.await {
            Ok((out, back)) => log::info!("{out} bytes there, {back} back"),
            Err(error) => eprintln!("http_over_any: for {name}: {error}"),
        }
    });
}
