//! The server, and a client that keeps so many requests under way.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{BufRead, BufReader},
    os::{linux::net::SocketAddrExt, unix::net::SocketAddr, unix::net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use crate::Result;

const IMAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/images");

const LARGE: &str = "large.png";

/// How long all took, and each.
pub type Times = (Duration, Vec<Duration>);

/// Puts the images where servers find them: ours, and one that is as slow as one may be.
pub fn hang_images(root: &Path) -> Result {
    for image in digits() {
        fs::copy(Path::new(IMAGES).join(&image), root.join(&image))?;
    }
    let mut encoder = png::Encoder::new(File::create(root.join(LARGE))?, 2048, 2048);
    encoder.set_color(png::ColorType::Rgba);
    let noise = (0..4 * 2048 * 2048_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 31) as u8);
    encoder.write_header()?.write_image_data(&noise.collect::<Vec<u8>>())?;
    Ok(())
}

fn digits() -> impl Iterator<Item = String> {
    (0..10).flat_map(|digit| (1..=3).map(move |number| format!("{digit}-{number}.png")))
}

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
    pub fn start(pinned: Pinned, root: &Path, name: &str) -> Result<Self> {
        let socket = root.join(name);
        // A child starts where its parent is.
        pin_to(usize::from(pinned == Pinned::Apart))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_infer_server"));
        command.arg(&socket).arg("--root").arg(root).args(["--rate", "1000000000"]);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        pin_to(0)?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let server = Self { pinned, socket, child };
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
    /// The digits of the repository, in turn.
    pub fn of_digits(server: &Running, model: &str, under_way: usize) -> Result<Self> {
        let requests = digits().map(|image| request(&image, model)).collect();
        Self::new(server, requests, if model == "none" { 3 } else { 2 }, under_way)
    }

    pub fn of_large(server: &Running, under_way: usize) -> Result<Self> {
        Self::new(server, vec![request(LARGE, "")], 2, under_way)
    }

    fn new(server: &Running, requests: Vec<[u8; 275]>, expected: u8, under_way: usize) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Relaxed);
        let own = SocketAddr::from_abstract_name(format!("infer-bench-{}-{number}", std::process::id()))?;
        let client = UnixDatagram::bind_addr(&own)?;
        client.connect(&server.socket)?;
        client.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { client, requests, expected, sent: 0, under_way, since: VecDeque::new() })
    }

    /// How long it took, and each answer.
    pub fn run(&mut self, goes_on: impl Fn() -> bool) -> Result<Times> {
        let (begin, mut times) = (Instant::now(), Vec::new());
        while goes_on() {
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
