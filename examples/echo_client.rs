//! Talks to `echo_server`: sends messages, or the lines of standard input, and prints what comes back; or measures.

use std::{
    io::BufRead,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use hobnob::{
    Address, AnyConnection, ConnectOptions, Deadline, Error, ErrorKind, IpcReceiver, IpcSender, Result, Wire,
};

/// Sends messages to an echo server and prints what comes back.
#[derive(Parser)]
struct Arguments {
    /// NAME, SCHEME:NAME, SCHEME:/PATH or tcp:HOST:PORT
    address: Address,
    /// What to send; without any, the lines of standard input
    message: Vec<String>,
    /// Send this many messages and print how long they took
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// The size of each of them, in bytes
    #[arg(long, default_value_t = 64, requires = "count")]
    size: usize,
    /// How long connecting and each message may take, in seconds
    #[arg(long, default_value = "5", value_parser = seconds)]
    timeout: Duration,
    /// How messages look on the way, as the server has it: native, raw, line or fixed:SIZE
    #[arg(long, default_value_t)]
    wire: Wire,
    /// At a tcp:HOST:PORT: the key that the server has, too
    #[arg(long)]
    key_file: Option<PathBuf>,
    /// At a tcp:HOST:PORT without a key: take whoever listens there for the server
    #[arg(long)]
    trust_any_server: bool,
}

fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "expected a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    env_logger::init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let address = error.address().is_none().then(|| format!("{}: ", arguments.address));
            eprintln!("echo_client: {}{error}", address.unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let patience = Deadline::Within(arguments.timeout);
    let mut options = ConnectOptions::new()
        .deadline(patience)
        .wire(arguments.wire)
        .trust_any_server(arguments.trust_any_server);
    if let Some(path) = &arguments.key_file {
        options = options.key_file(path);
    }
    let mut server = AnyConnection::connect_with(&arguments.address, &options)?;
    server.set_send_deadline(patience);
    server.set_recv_deadline(patience);
    if let Some(count) = arguments.count {
        measure(&mut server, count, arguments.size)?;
    } else if arguments.message.is_empty() {
        for line in std::io::stdin().lock().lines() {
            echo(&mut server, line?.as_bytes())?;
        }
    } else {
        for message in &arguments.message {
            echo(&mut server, message.as_bytes())?;
        }
    }
    server.disconnect_from()
}

fn echo(server: &mut AnyConnection, info: &[u8]) -> Result<()> {
    println!("{}", String::from_utf8_lossy(&round_trip(server, info)?));
    Ok(())
}

fn measure(server: &mut AnyConnection, count: u32, size: usize) -> Result<()> {
    let info: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
    let mut times = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        if round_trip(server, &info)? != info {
            return Err(std::io::Error::other("what came back is not what was sent").into());
        }
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e6;
    let rate = f64::from(count) / times.iter().sum::<Duration>().as_secs_f64();
    println!(
        "{count} messages of {size} B: p50 {:.1} us, p99 {:.1} us, {rate:.0} messages/s",
        at(50),
        at(99)
    );
    Ok(())
}

/// On a raw wire the answer may come in pieces.
fn round_trip(server: &mut AnyConnection, info: &[u8]) -> Result<Vec<u8>> {
    server.send_info(info)?;
    let mut answer = Vec::new();
    loop {
        let piece = server.recv_borrowed()?.ok_or_else(|| Error::from(ErrorKind::PeerGone))?;
        answer.extend_from_slice(piece);
        if server.wire() != Wire::Raw || answer.len() >= info.len() {
            return Ok(answer);
        }
    }
}
