//! The rows of the table: a process that echoes, and the way to it.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::{UnixDatagram, UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use hobnob::{
    Address, AnyConnection, AnyServer, ConnectOptions, IpcReceiver, IpcSender, IpcServer, ServerOptions,
    WaitStrategy,
};
use nix::{
    sys::{
        socket::{
            AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket as open,
        },
        stat::Mode,
    },
    unistd::mkfifo,
};

use crate::{Result, median};

const HEADER: usize = 8;

/// An open connection to a process that echoes.
pub struct Road {
    ends: Ends,
    _echo: Echo,
}

enum Ends {
    Raw(Raw),
    Hobnob(AnyConnection),
}

/// The other process; killed at the end, if it has not ended by itself.
struct Echo(Child);

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Road {
    pub fn open(row: &str, dir: &Path, how: [&str; 4], wait: WaitStrategy) -> Result<Self> {
        if row == "raw fifo" {
            [c2s(dir), s2c(dir)].iter().try_for_each(|path| mkfifo(path, Mode::S_IRWXU))?;
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--echo", row, "--dir"]).arg(dir).args(how);
        let mut echo = Echo(command.stdout(Stdio::piped()).spawn()?);
        BufReader::new(echo.0.stdout.take().ok_or("no output")?).read_line(&mut String::new())?;
        let ends = match row {
            "raw unix" => Ends::Raw(Raw::over_unix(UnixStream::connect(socket(dir))?)?),
            "raw seqpacket" => {
                let socket = seqpacket()?;
                connect(socket.as_raw_fd(), &UnixAddr::new(&packets(dir))?)?;
                Ends::Raw(Raw::over(socket)?)
            }
            "raw dgram" => {
                let socket = UnixDatagram::bind(dir.join("raw.dgram.client"))?;
                socket.connect(datagrams(dir))?;
                socket.send(b"it is me")?;
                Ends::Raw(Raw::over(socket.into())?)
            }
            "raw fifo" => {
                let to = File::options().write(true).open(c2s(dir))?;
                Ends::Raw(Raw::new(to, File::open(s2c(dir))?))
            }
            hobnob => {
                let options = ConnectOptions::new().directory(dir.join("names")).wait(wait);
                Ends::Hobnob(AnyConnection::connect_with(&address(hobnob)?, &options)?)
            }
        };
        Ok(Self { ends, _echo: echo })
    }

    /// The median round trip, in microseconds.
    pub fn median(&mut self, size: usize, span: Duration) -> Result<f64> {
        let info = vec![7; size];
        let frame = [&(size as u64).to_le_bytes()[..], &info].concat();
        let (began, mut times) = (Instant::now(), Vec::new());
        while began.elapsed() < span || times.is_empty() {
            let start = Instant::now();
            let back = match &mut self.ends {
                Ends::Raw(raw) => {
                    raw.to.write_all(&frame)?;
                    raw.receive()? - HEADER
                }
                Ends::Hobnob(connection) => {
                    connection.send_info(&info)?;
                    connection.recv_borrowed()?.ok_or("it left")?.len()
                }
            };
            times.push(start.elapsed().as_secs_f64() * 1e6);
            assert_eq!(back, size);
        }
        Ok(median(times))
    }
}

/// Whole frames over bare descriptors: an 8-byte length and the bytes, one write, and one read where that is enough.
struct Raw {
    to: Box<dyn Write>,
    from: Box<dyn Read>,
    buffer: Vec<u8>,
}

impl Raw {
    fn new(to: impl Write + 'static, from: impl Read + 'static) -> Self {
        Self { to: Box::new(to), from: Box::new(from), buffer: vec![0; 128 << 10] }
    }

    fn over_unix(stream: UnixStream) -> Result<Self> {
        Ok(Self::new(stream.try_clone()?, stream))
    }

    /// A frame is a record: one write, one read.
    fn over(socket: OwnedFd) -> Result<Self> {
        Ok(Self::new(File::from(socket.try_clone()?), File::from(socket)))
    }

    /// Receives a frame to the start of the buffer; gives its length with the header.
    fn receive(&mut self) -> Result<usize> {
        let mut have = 0;
        loop {
            match self.from.read(&mut self.buffer[have..])? {
                0 => return Err("it left".into()),
                count => have += count,
            }
            let length =
                self.buffer[..have].first_chunk::<HEADER>().map(|length| u64::from_le_bytes(*length));
            if length.is_some_and(|length| have as u64 >= HEADER as u64 + length) {
                return Ok(have);
            }
        }
    }
}

/// Is the other process.
pub fn echo(row: &str, dir: &Path, wait: WaitStrategy) -> Result {
    let mut raw = match row {
        "raw unix" => {
            let listener = UnixListener::bind(socket(dir))?;
            println!("listening");
            Raw::over_unix(listener.accept()?.0)?
        }
        "raw seqpacket" => {
            let socket = seqpacket()?;
            bind(socket.as_raw_fd(), &UnixAddr::new(&packets(dir))?)?;
            listen(&socket, Backlog::new(1)?)?;
            println!("listening");
            Raw::over(UnixListener::from(socket).accept()?.0.into())?
        }
        "raw dgram" => {
            let socket = UnixDatagram::bind(datagrams(dir))?;
            println!("listening");
            let (_, client) = socket.recv_from(&mut [0; 8])?;
            socket.connect(client.as_pathname().ok_or("no name")?)?;
            Raw::over(socket.into())?
        }
        "raw fifo" => {
            println!("listening");
            let from = File::open(c2s(dir))?;
            Raw::new(File::options().write(true).open(s2c(dir))?, from)
        }
        hobnob => return echo_hobnob(&address(hobnob)?, dir, wait),
    };
    loop {
        let have = raw.receive()?;
        raw.to.write_all(&raw.buffer[..have])?;
    }
}

fn echo_hobnob(address: &Address, dir: &Path, wait: WaitStrategy) -> Result {
    let options = ServerOptions::new().directory(dir.join("names")).wait(wait);
    let mut server = AnyServer::new_server_with(address, &options)?;
    println!("listening");
    let mut client = server.accept_client()?;
    let mut info = Vec::new();
    while client.recv_info(&mut info)? {
        client.send_info(&info)?;
    }
    Ok(())
}

fn address(row: &str) -> Result<Address> {
    Ok(row
        .replace("hobnob ", "")
        .parse::<hobnob::Name>()
        .map(Address::from)?
        .over(&row.replace("hobnob ", "")))
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("raw.sock")
}

fn seqpacket() -> Result<OwnedFd> {
    Ok(open(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?)
}

fn packets(dir: &Path) -> PathBuf {
    dir.join("raw.seqpacket")
}

fn datagrams(dir: &Path) -> PathBuf {
    dir.join("raw.dgram")
}

fn c2s(dir: &Path) -> PathBuf {
    dir.join("raw.c2s")
}

fn s2c(dir: &Path) -> PathBuf {
    dir.join("raw.s2c")
}
