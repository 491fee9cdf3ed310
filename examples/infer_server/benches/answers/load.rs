//! The server, and a client that keeps so many requests under way.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader},
    os::{linux::net::SocketAddrExt, unix::net::SocketAddr, unix::net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use crate::Result;

const IMAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/images");

/// Where the server runs; the load is always on the first core.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pinned {
    /// One core for both.
    Together,
    /// A core each.
    Apart,
}

/// A server, which ends when this is dropped.
pub struct Running {
    pub pinned: Pinned,
    socket: PathBuf,
    child: Child,
}

impl Running {
    pub fn start(pinned: Pinned, socket: &Path) -> Result<Self> {
        // A child starts where its parent is.
        pin_to(usize::from(pinned == Pinned::Apart))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_infer_server"));
        command.arg(socket).args(["--root", IMAGES, "--rate", "1000000000"]);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        pin_to(0)?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let server = Self { pinned, socket: socket.to_owned(), child };
        BufReader::new(stdout).lines().next().ok_or("the server ended")??;
        Ok(server)
    }
}

fn pin_to(core: usize) -> Result {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Load {
    client: UnixDatagram,
    requests: Vec<[u8; 275]>,
    expected: u8,
    sent: usize,
    under_way: usize,
    /// When what is under way was sent. With one worker the answers come in that order.
    since: VecDeque<Instant>,
}

impl Load {
    pub fn new(server: &Running, model: &str, under_way: usize) -> Result<Self> {
        let own = SocketAddr::from_abstract_name(format!("infer-bench-{}", std::process::id()))?;
        let client = UnixDatagram::bind_addr(&own)?;
        client.connect(&server.socket)?;
        client.set_read_timeout(Some(Duration::from_secs(10)))?;
        let images = (0..10).flat_map(|digit| (1..=3).map(move |number| format!("{digit}-{number}.png")));
        let requests = images.map(|image| request(&image, model)).collect();
        let expected = if model == "none" { 3 } else { 2 };
        Ok(Self { client, requests, expected, sent: 0, under_way, since: VecDeque::new() })
    }

    /// How long each answer took.
    pub fn run(&mut self, time: Duration) -> Result<(Duration, Vec<Duration>)> {
        let (begin, mut times) = (Instant::now(), Vec::new());
        while begin.elapsed() < time {
            while self.since.len() < self.under_way {
                self.send()?;
            }
            times.push(self.receive()?);
        }
        let whole = begin.elapsed();
        while !self.since.is_empty() {
            self.receive()?;
        }
        Ok((whole, times))
    }

    fn send(&mut self) -> Result {
        let request = &self.requests[self.sent % self.requests.len()];
        self.since.push_back(Instant::now());
        self.client.send(request)?;
        self.sent += 1;
        Ok(())
    }

    fn receive(&mut self) -> Result<Duration> {
        let mut answer = [0; 275];
        let size = self.client.recv(&mut answer)?;
        if size != answer.len() || answer[2] != self.expected {
            return Err(format!("an answer of {size} bytes and type {}", answer[2]).into());
        }
        Ok(self.since.pop_front().ok_or("an answer too many")?.elapsed())
    }
}

fn request(image: &str, model: &str) -> [u8; 275] {
    let mut message = [0; 275];
    message[2] = 1;
    for (at, text) in [(3, image), (259, model)] {
        message[at] = text.len() as u8;
        message[at + 1..=at + text.len()].copy_from_slice(text.as_bytes());
    }
    message
}
