//! The main job in one command: over every transport compiled in, an echo server in a process of its own (over
//! `inproc`, a thread) and a client that checks every byte that comes back.

use std::{
    env,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use hobnob::{
    AnyConnection, AnyServer, ErrorKind, IpcConnection, IpcReceiver, IpcSender, IpcServer, Result, connect_to,
};

/// Echoes messages of many sizes over every transport, and checks every byte.
#[derive(Parser)]
struct Arguments {
    /// Be the server at this address, until standard input ends
    #[arg(long, hide = true)]
    serve: Option<String>,
}

const SIZES: [usize; 7] = [0, 1, 64, 4 << 10, 64 << 10, 1 << 20, 16 << 20];
const TIMED: usize = 2000;

fn main() -> ExitCode {
    env_logger::init();
    if hobnob::transports().next().is_none() {
        eprintln!("echo: no transport is compiled in; choose one by its Cargo feature");
        return ExitCode::FAILURE;
    }
    let ran = match Arguments::parse().serve {
        Some(address) => serve_until_told(&address),
        None => converse(),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn converse() -> Result<()> {
    println!("{:<10} {:>8} {:>12} {:>15}   peer", "transport", "messages", "bytes", "64 B p50");
    for scheme in hobnob::transports() {
        let address = format!("{scheme}:echo-{}", std::process::id());
        let server = Server::start(scheme, &address)?;
        let mut connection = connect_to(&address)?;
        let (messages, bytes, median) = exercise(&mut connection)?;
        let micros = median.as_secs_f64() * 1e6;
        println!("{scheme:<10} {messages:>8} {bytes:>12} {micros:>12.1} us   {}", connection.peer());
        connection.disconnect_from()?;
        server.end()?;
    }
    println!("every byte came back");
    Ok(())
}

/// Sends messages of every size, then times small ones; gives the messages, the bytes and the median round trip.
fn exercise(server: &mut AnyConnection) -> Result<(usize, usize, Duration)> {
    let mut bytes = 0;
    for size in SIZES {
        bytes += check(server, size, size)?;
    }
    let mut times = Vec::new();
    for i in 0..TIMED {
        let began = Instant::now();
        bytes += check(server, 64, i)?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok((SIZES.len() + TIMED, bytes, times[TIMED / 2]))
}

fn check(server: &mut AnyConnection, size: usize, seed: usize) -> Result<usize> {
    let info: Vec<u8> = (0..size).map(|i| (i.wrapping_mul(31) + seed) as u8 ^ (i >> 8) as u8).collect();
    server.send_info(&info)?;
    match server.recv_borrowed()? {
        Some(back) if back == info => Ok(size),
        Some(back) => {
            Err(std::io::Error::other(format!("sent {size} bytes, got {} others back", back.len())).into())
        }
        None => Err(ErrorKind::PeerGone.into()),
    }
}

enum Server {
    Process(Child),
    Thread(thread::JoinHandle<Result<()>>),
}

impl Server {
    fn start(scheme: &str, address: &str) -> Result<Self> {
        if scheme == "inproc" {
            let server = hobnob::new_server(address)?;
            return Ok(Self::Thread(thread::spawn(move || echo_one(server))));
        }
        let mut child = Command::new(env::current_exe()?)
            .args(["--serve", address])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or(ErrorKind::PeerGone)?).read_line(&mut line)?;
        match line.trim_end() {
            "listening" => Ok(Self::Process(child)),
            said => {
                Err(std::io::Error::other(format!("the server said {said:?} and not that it listens")).into())
            }
        }
    }

    fn end(self) -> Result<()> {
        match self {
            Self::Thread(thread) => thread.join().map_err(|_| ErrorKind::PeerGone)?,
            // Its standard input ends with the child's handle: `wait` closes it first.
            Self::Process(mut child) => match child.wait()? {
                status if status.success() => Ok(()),
                status => Err(std::io::Error::other(format!("the server ended with {status}")).into()),
            },
        }
    }
}

fn serve_until_told(address: &str) -> Result<()> {
    let server = hobnob::new_server(address)?;
    println!("listening");
    echo_one(server)?;
    let _ = std::io::stdin().read(&mut [0])?;
    Ok(())
}

fn echo_one(mut server: AnyServer) -> Result<()> {
    let mut client = server.accept_client()?;
    let mut info = Vec::new();
    while client.recv_info(&mut info)? {
        client.send_info(&info)?;
    }
    client.disconnect_from()
}
