//! Asks any HTTP server at a TCP port or an AF_UNIX path, and prints what it says as it came: `http_client ADDRESS`.
#![forbid(unsafe_code)]

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use hobnob::{Address, AnyConnection, ConnectOptions, Deadline, IpcReceiver, IpcSender, Target, Wire};

/// Prints what an HTTP server answers to GET /.
#[derive(Parser)]
struct Arguments {
    /// tcp:HOST:PORT or unix:/PATH
    address: Address,
    /// How long the answer may take
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    timeout: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    env_logger::init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("http_client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(Arguments { address, timeout }: &Arguments) -> Result<(), Box<dyn Error>> {
    let patience = Deadline::from(Duration::from_secs(*timeout)).started(Instant::now());
    // It proves nothing of itself: whoever has the port is believed.
    let options = ConnectOptions::new().wire(Wire::Raw).trust_any_server(true).deadline(patience);
    let mut server = AnyConnection::connect_with(address, &options)?;
    server.send_info_by(request(address).as_bytes(), patience)?;
    print(&mut server, patience).map_err(|error| format!("{address}: {error}").into())
}

fn request(address: &Address) -> String {
    let host = match address.target() {
        Target::HostPort(host, port) => format!("{host}:{port}"),
        _ => "localhost".to_owned(),
    };
    format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

/// The server ends its answer by closing, as it was asked to.
fn print(server: &mut AnyConnection, patience: Deadline) -> Result<(), Box<dyn Error>> {
    let (mut piece, mut out) = (Vec::new(), io::stdout().lock());
    if !server.recv_info_by(&mut piece, patience)? {
        return Err("the server closed the connection without an answer".into());
    }
    out.write_all(b"[+] Response: ")?;
    loop {
        out.write_all(&piece)?;
        if !server.recv_info_by(&mut piece, patience)? {
            break;
        }
    }
    Ok(out.write_all(b"\n")?)
}
