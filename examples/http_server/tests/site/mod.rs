//! A running server, and bare sockets for its clients.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    fs,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
    process::Command,
    thread,
    time::Duration,
};

use conformance::watched;
use nix::sys::signal::Signal;

use crate::house::{House, Program};

/// What a GET is answered, to the last byte.
pub const RUNNING: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\nConnection: close\r\n\r\nrunning";

/// What every other method is answered.
pub const NOT_ALLOWED: &str = "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain\r\nContent-Length: 18\r\n\
                               Connection: close\r\nAllow: GET\r\n\r\nMethod not allowed";

pub const GET: &str = "GET / HTTP/1.1\r\nHost: any\r\n\r\n";

pub struct Site {
    pub house: House,
    pub server: Program,
    /// With the port that was free.
    pub address: String,
    pub descriptor: String,
}

/// Runs a test against a server at a TCP port, and one at an AF_UNIX path.
pub fn each_site(name: &'static str, options: &[&str], test: impl Fn(&mut Site)) {
    watched(name, || {
        for scheme in ["tcp", "unix"] {
            test(&mut Site::open(scheme, options));
        }
    });
}

pub fn program(house: &House, arguments: &[&str]) -> Command {
    house.inside(Command::new(env!("CARGO_BIN_EXE_http_server")), arguments)
}

impl Site {
    pub fn open(scheme: &str, options: &[&str]) -> Self {
        let house = House::new();
        let address = match scheme {
            "tcp" => "tcp:127.0.0.1:0".to_owned(),
            _ => format!("unix:{}", house.place("socket").display()),
        };
        Self::open_at(house, &address, options)
    }

    pub fn open_at(house: House, address: &str, options: &[&str]) -> Self {
        let mut server = Program::start(program(&house, &[address]).args(options));
        let mut said = server.lines();
        let descriptor = said.next().expect("a first line");
        let listening = said.next().expect("a second line");
        drop(said);
        let descriptor =
            descriptor.strip_prefix("Server running. File descriptor: ").expect(&descriptor).into();
        let address = listening.strip_prefix("listening on ").expect(&listening).into();
        Self { house, server, address, descriptor }
    }

    /// The transport, and HOST:PORT or the path.
    pub fn place(&self) -> (&str, &str) {
        self.address.split_once(':').unwrap()
    }

    pub fn is_unix(&self) -> bool {
        self.place().0 == "unix"
    }

    pub fn connect(&self) -> Box<dyn Socket> {
        connect(&self.address)
    }

    pub fn asked(&self, request: &[u8]) -> String {
        asked(&self.address, request)
    }

    pub fn serves_the_next(&self) {
        assert_eq!(self.asked(GET.as_bytes()), RUNNING);
    }

    /// Returns once it does nothing more, until SIGCONT.
    pub fn pause(&self) {
        self.server.signal(Signal::SIGSTOP);
        let tasks = format!("/proc/{}/task", self.server.child.id());
        let is_stopped = |task: &fs::DirEntry| {
            let status = fs::read_to_string(task.path().join("status")).unwrap();
            status.lines().any(|line| line.starts_with("State:\tT"))
        };
        while !fs::read_dir(&tasks).unwrap().all(|task| is_stopped(&task.unwrap())) {
            thread::yield_now();
        }
    }

    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.server.child.id())).unwrap().count()
    }
}

pub fn connect(address: &str) -> Box<dyn Socket> {
    match address.split_once(':').unwrap() {
        ("unix", path) => Box::new(UnixStream::connect(path).unwrap()),
        (_, place) => Box::new(TcpStream::connect(place).unwrap()),
    }
}

/// All that one who says this is told.
pub fn asked(address: &str, request: &[u8]) -> String {
    let mut client = connect(address);
    client.write_all(request).unwrap();
    client.told()
}

/// A client's end, of either kind.
pub trait Socket: Read + Write + Send {
    fn end_sending(&self);
    fn read_within(&self, span: Duration);
    fn port(&self) -> Option<u16>;
}

impl Socket for TcpStream {
    fn end_sending(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
    fn read_within(&self, span: Duration) {
        self.set_read_timeout(Some(span)).unwrap();
    }
    fn port(&self) -> Option<u16> {
        Some(self.local_addr().unwrap().port())
    }
}

impl Socket for UnixStream {
    fn end_sending(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
    fn read_within(&self, span: Duration) {
        self.set_read_timeout(Some(span)).unwrap();
    }
    fn port(&self) -> Option<u16> {
        None
    }
}

impl dyn Socket + '_ {
    /// Everything until the end of the stream; a reset is a failure.
    pub fn told(&mut self) -> String {
        let mut told = Vec::new();
        self.read_to_end(&mut told).expect("an answer that no reset has destroyed");
        String::from_utf8(told).unwrap()
    }

    /// Goes on saying this, now and then, until the server will hear no more of it. An answer is a failure.
    pub fn is_given_up(&mut self, drop: &[u8]) {
        self.read_within(Duration::from_millis(20));
        loop {
            let told = self.read(&mut [0]);
            match told.or_else(|error| match error.kind() {
                io::ErrorKind::WouldBlock => self.write_all(drop).map(|()| usize::MAX),
                _ => Err(error),
            }) {
                Ok(usize::MAX) => {}
                Ok(0) | Err(_) => return,
                Ok(_) => panic!("an answer to half a request"),
            }
        }
    }
}
