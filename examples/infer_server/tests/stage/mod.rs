//! What the tests share: the real server with a root of its own, and clients that are plain sockets.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::house::{House, Program, skipped};

/// A user that is not root.
pub const OTHER: u32 = 1001;

/// So long something may take that takes no time.
pub const SOON: Duration = Duration::from_secs(100);

/// The images that were not trained on.
pub const IMAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/images");

pub const CLIENT: &str = include_str!("../../client.py");

/// A place that no other test has, with a root for images and a secret image beside it.
pub struct Stage {
    pub house: House,
}

impl Stage {
    pub fn new() -> Self {
        let house = House::new();
        let stage = Self { house };
        fs::create_dir(stage.root()).unwrap();
        for name in ["7-1.png", "3-2.png"] {
            stage.hang(name, &image(name));
        }
        fs::write(stage.house.place("secret.png"), image("7-1.png")).unwrap();
        // Other users may pass through, and make their sockets here.
        fs::set_permissions(stage.house.place(""), PermissionsExt::from_mode(0o1777)).unwrap();
        stage
    }

    pub fn root(&self) -> PathBuf {
        self.house.place("root")
    }

    pub fn socket(&self) -> PathBuf {
        self.house.place("infer.sock")
    }

    /// Puts an image into the root.
    pub fn hang(&self, name: &str, bytes: &[u8]) {
        fs::write(self.root().join(name), bytes).unwrap();
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        self.house.inside(Command::new(env!("CARGO_BIN_EXE_infer_server")), arguments)
    }

    /// At the usual place, with one worker and more arguments.
    pub fn at_home(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&[self.socket().to_str().unwrap(), "--workers", "1"]);
        command.arg("--root").arg(self.root()).args(arguments).stderr(Stdio::piped());
        command
    }

    pub fn serve(&self, arguments: &[&str]) -> Program {
        self.started(&mut self.at_home(arguments))
    }

    /// With what it logs, which [`log_of`] gives at its end.
    pub fn serve_and_log(&self, arguments: &[&str]) -> Program {
        self.started(self.at_home(arguments).env("RUST_LOG", "infer_server=debug"))
    }

    pub fn started(&self, command: &mut Command) -> Program {
        let mut server = Program::start(command);
        let expected = format!("listening on dgram:{}", self.socket().display());
        assert_eq!(server.lines().next().unwrap(), expected);
        server
    }

    pub fn client(&self) -> Client {
        Client::of(&self.socket())
    }

    /// client.py as another user, or as ours.
    pub fn python(&self, uid: Option<u32>, script: &str, arguments: &[&str]) -> Command {
        use std::os::unix::process::CommandExt;
        let python = if uid.is_some() { PYTHON } else { "python3" };
        let mut command = self.house.inside(Command::new(python), &["-c", script]);
        command.arg(self.socket()).args(arguments).current_dir("/");
        if let Some(uid) = uid {
            command.uid(uid).gid(uid);
        }
        command
    }
}

/// Ends it by SIGTERM, as it should end.
pub fn end(server: &mut Program) {
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ended(), (Some(0), None));
}

/// Ends it, and gives what it has logged.
pub fn log_of(server: &mut Program) -> String {
    let mut stderr = server.child.stderr.take().unwrap();
    end(server);
    std::io::read_to_string(&mut stderr).unwrap()
}

pub fn image(name: &str) -> Vec<u8> {
    fs::read(Path::new(IMAGES).join(name)).unwrap()
}

/// A client that knows nothing of hobnob.
pub struct Client(pub UnixDatagram);

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Digit(u16, f64),
    Error(String),
}

impl Client {
    /// Bound to a name that is not in the file system, as the kernel chooses it.
    pub fn of(server: &Path) -> Self {
        use std::os::linux::net::SocketAddrExt;
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let name = format!("infer-test-{}-{number}", std::process::id());
        let own = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
        let socket = UnixDatagram::bind_addr(&own).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        Self(socket)
    }

    pub fn ask(&self, image: &str) -> Answer {
        self.ask_model(image, "")
    }

    pub fn ask_model(&self, image: &str, model: &str) -> Answer {
        self.send(&request(7, image.as_bytes(), model.as_bytes()));
        let (id, answer) = self.next();
        assert_eq!(id, 7);
        answer
    }

    pub fn send(&self, datagram: &[u8]) {
        self.0.send(datagram).unwrap();
    }

    /// The next answer and its id; byte for byte what the format says.
    pub fn next(&self) -> (u16, Answer) {
        let mut room = [0; 1000];
        let count = self.0.recv(&mut room).expect("an answer");
        parse(&room[..count])
    }

    pub fn hears_nothing(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let heard = self.0.recv(&mut [0; 16]);
        heard.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

/// As `struct.pack("!HB256p16p", id, 1, image, model)`.
pub fn request(id: u16, image: &[u8], model: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 275];
    message[..2].copy_from_slice(&id.to_be_bytes());
    message[2] = 1;
    message[3] = image.len() as u8;
    message[4..4 + image.len()].copy_from_slice(image);
    message[259] = model.len() as u8;
    message[260..260 + model.len()].copy_from_slice(model);
    message
}

/// What is not said to be something must be zero.
fn parse(message: &[u8]) -> (u16, Answer) {
    assert_eq!(message.len(), 275);
    let id = u16::from_be_bytes([message[0], message[1]]);
    let used = match message[2] {
        2 => {
            assert_eq!((message[3], message[259]), (2, 8));
            let class = u16::from_be_bytes([message[4], message[5]]);
            let confidence = f64::from_be_bytes(message[260..268].try_into().unwrap());
            assert!((0.0..=1.0).contains(&confidence), "{confidence}");
            ([3..6, 259..268], Answer::Digit(class, confidence))
        }
        3 => {
            let end = 4 + usize::from(message[3]);
            let text = String::from_utf8(message[4..end].to_vec()).unwrap();
            assert!(TEXTS.contains(&&*text), "{text:?} tells too much");
            ([3..end, 0..0], Answer::Error(text))
        }
        other => panic!("type {other}"),
    };
    let padding = (3..275).filter(|i| !used.0.iter().any(|range| range.contains(i)));
    assert!(padding.into_iter().all(|i| message[i] == 0), "{message:?}");
    (id, used.1)
}

/// All that a client may ever be told.
pub const TEXTS: [&str; 6] =
    ["malformed request", "unknown model", "no such image", "unreadable image", "too many requests", "busy"];

pub fn error(text: &str) -> Answer {
    Answer::Error(text.to_owned())
}

/// Grey pixels as a PNG.
pub fn png(side: u32, pixels: &[u8]) -> Vec<u8> {
    encode(side, side, png::ColorType::Grayscale, png::BitDepth::Eight, pixels)
}

pub fn encode(width: u32, height: u32, color: png::ColorType, depth: png::BitDepth, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == png::ColorType::Indexed {
        encoder.set_palette((0..=255).flat_map(|i| [255 - i; 3]).collect::<Vec<u8>>());
    }
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    bytes
}

/// The pixels of one of our images.
pub fn pixels(png: &[u8]) -> Vec<u8> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    pixels
}

/// Each pixel `times` by `times`.
pub fn enlarged(pixels: &[u8], side: usize, times: usize) -> Vec<u8> {
    let row = |i: usize| pixels[i * side..][..side].iter().flat_map(move |pixel| vec![*pixel; times]);
    (0..side * times).flat_map(|i| row(i / times)).collect()
}

/// A large image of a seven, with colours and opacity, so many times as wide and high as the small one.
pub fn large(times: u32) -> Vec<u8> {
    let grey = enlarged(&pixels(&image("7-1.png")), 28, times as usize);
    let rgba: Vec<u8> = grey.iter().flat_map(|value| [*value, *value, *value, 255]).collect();
    encode(28 * times, 28 * times, png::ColorType::Rgba, png::BitDepth::Eight, &rgba)
}

/// The Python of the system, which other users can run.
const PYTHON: &str = "/usr/bin/python3";

/// Whether there is a client in Python; as another user, if need be. If not, says loudly what is not tested.
pub fn has_python(test: &str, as_others: bool) -> bool {
    let python = if as_others { PYTHON } else { "python3" };
    let has = Command::new(python).arg("--version").stdout(Stdio::null()).status().is_ok();
    let may = !as_others || nix::unistd::geteuid().is_root();
    if !(has && may) {
        skipped(&format!("{test}: it needs {python}{}", if as_others { " and root" } else { "" }));
    }
    has && may
}

pub fn said(ended: &Output) -> String {
    crate::house::said(ended)
}
