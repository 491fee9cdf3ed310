//! Does as a service manager does: makes sockets and starts a program on them.
//!
//! `activate --listen /tmp/echo.sock -- echo_server unix:/tmp/echo.sock`

use std::{
    io,
    net::TcpListener,
    os::{
        fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd},
        unix::{
            net::{UnixDatagram, UnixListener},
            process::CommandExt,
        },
    },
    path::Path,
    process::{Command, ExitCode},
};

use clap::Parser;
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, setsockopt, socket, sockopt::PassCred},
};

/// Makes sockets, and becomes a program that is passed them: LISTEN_FDS and LISTEN_PID, as in sd_listen_fds(3).
#[derive(Parser)]
struct Arguments {
    /// What to pass, as KIND:PATH. The kinds are stream, datagram; and, to see what a server says to the wrong
    /// descriptor: bound (a stream that does not listen), tcp, file
    #[arg(long = "pass", required = true)]
    pass: Vec<String>,
    /// LISTEN_PID, if it is not to be the program's
    #[arg(long)]
    pid: Option<u32>,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    program: Vec<String>,
}

/// The number of the first that is passed (SD_LISTEN_FDS_START).
const FIRST: RawFd = 3;

fn main() -> ExitCode {
    let error = become_program(&Arguments::parse());
    eprintln!("activate: {error}");
    ExitCode::FAILURE
}

fn become_program(arguments: &Arguments) -> io::Error {
    if let Err(error) = pass(&arguments.pass) {
        return error;
    }
    let pid = arguments.pid.unwrap_or_else(std::process::id);
    Command::new(&arguments.program[0])
        .args(&arguments.program[1..])
        .env("LISTEN_PID", pid.to_string())
        .env("LISTEN_FDS", arguments.pass.len().to_string())
        .exec()
}

/// Each new descriptor has the lowest number that is free.
fn pass(what: &[String]) -> io::Result<()> {
    let numbers = (FIRST..).take(what.len());
    // Whatever our own parent left open there.
    for number in numbers.clone() {
        let _ = nix::unistd::close(number);
    }
    for (number, what) in numbers.zip(what) {
        let made = make(what)?;
        if made.as_raw_fd() != number {
            return Err(io::Error::other(format!(
                "{what} has the number {} and not {number}",
                made.as_raw_fd()
            )));
        }
        fcntl(&made, FcntlArg::F_SETFD(FdFlag::empty()))?;
        let _ = made.into_raw_fd();
    }
    Ok(())
}

fn make(what: &str) -> io::Result<OwnedFd> {
    let (kind, path) = what.split_once(':').unwrap_or((what, ""));
    Ok(match kind {
        "stream" => UnixListener::bind(path)?.into(),
        "datagram" => {
            let socket = UnixDatagram::bind(path)?;
            setsockopt(&socket, PassCred, &true)?;
            socket.into()
        }
        "bound" => {
            let made = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
            bind(made.as_raw_fd(), &UnixAddr::new(Path::new(path))?)?;
            made
        }
        "tcp" => TcpListener::bind("127.0.0.1:0")?.into(),
        "file" => std::fs::File::create(path)?.into(),
        _ => {
            return Err(io::Error::other(format!(
                "{kind:?} is no kind; expected stream, datagram, bound, tcp or file"
            )));
        }
    })
}
