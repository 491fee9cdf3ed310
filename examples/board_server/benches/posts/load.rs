//! Clients that post as fast as they are answered, each in a thread, and the server that they post to.

use std::{
    fmt,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rusqlite::Connection;

/// Who posts, and how.
pub struct Load {
    pub scheme: &'static str,
    /// Whether each client keeps its connection, or makes one for each post.
    pub keeps: bool,
    pub clients: usize,
}

const POSTED: &[u8] = b"MSGPosting Message!%";

impl Load {
    /// Each of them was acknowledged, and is there afterwards.
    pub fn posts_per_second(&self, directory: &Path, time: Duration) -> f64 {
        let place = tempfile::tempdir_in(directory).unwrap();
        let server = Server::start(place.path(), self);
        let begun = Instant::now();
        let count: usize = thread::scope(|scope| {
            let client = |_| scope.spawn(|| self.post_until(&server.address, begun + time));
            let clients: Vec<_> = (0..self.clients).map(client).collect();
            clients.into_iter().map(|client| client.join().unwrap()).sum()
        });
        let elapsed = begun.elapsed().as_secs_f64();
        server.end();
        let database = Connection::open(place.path().join("board.db")).unwrap();
        let kept: u32 = database.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
        assert_eq!(kept as usize, count, "those that were acknowledged");
        count as f64 / elapsed
    }

    fn post_until(&self, address: &str, ends: Instant) -> usize {
        let (mut kept, mut count) = (None, 0);
        while Instant::now() < ends {
            let mut client = kept.take().unwrap_or_else(|| connect(address));
            client.write_all(format!("POSTmessage {count}%").as_bytes()).unwrap();
            if self.keeps {
                let mut answer = [0; POSTED.len()];
                client.read_exact(&mut answer).unwrap();
                assert_eq!(answer, POSTED);
                kept = Some(client);
            } else {
                let mut answer = Vec::new();
                client.read_to_end(&mut answer).unwrap();
                assert_eq!(answer, POSTED);
            }
            count += 1;
        }
        count
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = if self.keeps { "kept connections" } else { "a connection for each post" };
        write!(f, "{}, {} at once, {connections}", self.scheme, self.clients)
    }
}

trait Socket: Read + Write {}
impl<S: Read + Write> Socket for S {}

fn connect(address: &str) -> Box<dyn Socket> {
    match address.split_once(':').unwrap() {
        ("unix", path) => Box::new(UnixStream::connect(path).unwrap()),
        (_, host_and_port) => Box::new(TcpStream::connect(host_and_port).unwrap()),
    }
}

/// The real program.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(place: &Path, load: &Load) -> Self {
        let address = match load.scheme {
            "unix" => format!("unix:{}", place.join("board.sock").display()),
            _ => "tcp:127.0.0.1:0".to_owned(),
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_board_server"));
        command.args([&address, "--per-author", "100000000", "--db"]).arg(place.join("board.db"));
        command.env("HOBNOB_DIR", place.join("names"));
        if load.keeps {
            command.args(["--keep-alive", "60"]);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ").expect("it listens").to_owned();
        Self { process, address }
    }

    fn end(mut self) {
        kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
