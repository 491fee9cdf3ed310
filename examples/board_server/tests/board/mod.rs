//! A board that is served by the real program, and clients that know nothing but sockets.
#![allow(dead_code, reason = "each test file uses its part")]

#[path = "../../../../tests/house/mod.rs"]
pub mod house;

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::Command,
};

use conformance::watched;
use house::{House, Program};
use nix::sys::signal::Signal;
use rusqlite::Connection;

/// A board, and whoever serves it now.
pub struct Board {
    pub house: House,
    scheme: &'static str,
    pub server: Program,
    /// Where clients find it.
    pub address: String,
}

/// Runs a test over both transports.
pub fn over_each(name: &'static str, test: impl Fn(&'static str)) {
    watched(name, || ["unix", "tcp"].into_iter().for_each(&test));
}

pub fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_board_server"))
}

/// What the program is told: where it serves, and which file.
pub fn arguments(house: &House, scheme: &str) -> [String; 3] {
    let address = match scheme {
        "unix" => format!("unix:{}", house.place("board.sock").display()),
        _ => "tcp:127.0.0.1:0".to_owned(),
    };
    [address, "--db".to_owned(), house.place("board.db").display().to_string()]
}

impl Board {
    pub fn open(scheme: &'static str, options: &[&str]) -> Self {
        Self::open_in(House::new(), scheme, options)
    }

    pub fn open_in(house: House, scheme: &'static str, options: &[&str]) -> Self {
        let command = house.inside(binary(), &[]);
        Self::open_by(command, house, scheme, options)
    }

    /// By a command that starts the program.
    pub fn open_by(mut command: Command, house: House, scheme: &'static str, options: &[&str]) -> Self {
        let mut server = Program::start(command.args(arguments(&house, scheme)).args(options));
        let line = server.lines().next().expect("a line that says where it listens");
        let address = line.strip_prefix("listening on ").expect("nothing else before it").to_owned();
        Self { house, scheme, server, address }
    }

    /// Ends the server by this signal, and has another one serve the board.
    pub fn reopen_after(self, signal: Signal, options: &[&str]) -> Self {
        let scheme = self.scheme;
        let house = self.house_after(signal);
        Self::open_in(house, scheme, options)
    }

    pub fn house_after(mut self, signal: Signal) -> House {
        self.server.signal(signal);
        self.server.ended();
        self.house
    }

    /// Ends the server as an operator does.
    pub fn close(mut self) -> House {
        self.server.signal(Signal::SIGTERM);
        assert_eq!(self.server.ended(), (Some(0), None));
        self.house
    }

    pub fn connect(&self) -> Client {
        match self.address.split_once(':').unwrap() {
            ("unix", path) => Client::Unix(UnixStream::connect(path).unwrap()),
            (_, host_and_port) => Client::Tcp(TcpStream::connect(host_and_port).unwrap()),
        }
    }

    /// Sends this, and reads to the end of file.
    pub fn ask(&self, commands: impl AsRef<[u8]>) -> String {
        let mut client = self.connect();
        client.write_all(commands.as_ref()).unwrap();
        client.rest()
    }

    /// The messages that GET lists, which must be without characters that are escaped.
    pub fn listed(&self) -> Vec<(i64, String)> {
        parse(&self.ask("GET%"))
    }

    pub fn file(&self) -> PathBuf {
        self.house.place("board.db")
    }
}

/// `MSG[(1, 'hello')]%`
pub fn parse(answer: &str) -> Vec<(i64, String)> {
    let list = answer.strip_prefix("MSG[").and_then(|list| list.strip_suffix("]%"));
    let list = list.unwrap_or_else(|| panic!("{answer:.200} is no list"));
    let entries = list.split("), ").filter(|entry| !entry.is_empty());
    let parsed = entries.map(|entry| {
        let (id, text) = entry.trim_matches(['(', ')']).split_once(", ").unwrap();
        (id.parse().unwrap(), text.trim_matches('\'').to_owned())
    });
    parsed.collect()
}

/// The database of a board that nobody serves.
pub fn database(house: &House) -> Connection {
    Connection::open(house.place("board.db")).unwrap()
}

pub fn texts(house: &House) -> Vec<String> {
    let database = database(house);
    let mut query = database.prepare("SELECT text FROM messages ORDER BY id").unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// A socket.
pub enum Client {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Client {
    /// To the end of file.
    pub fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.read_to_string(&mut rest).unwrap();
        rest
    }

    /// An answer of a connection that is kept.
    pub fn answer(&mut self) -> String {
        let (mut answer, mut byte) = (Vec::new(), [0]);
        while !answer.ends_with(b"%") {
            self.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        String::from_utf8(answer).unwrap()
    }

    pub fn says(&mut self, commands: impl AsRef<[u8]>) {
        self.write_all(commands.as_ref()).unwrap();
    }

    pub fn ends_its_direction(&self) {
        match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Write).unwrap(),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write).unwrap(),
        }
    }
}

impl Read for Client {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(into),
            Self::Tcp(stream) => stream.read(into),
        }
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
