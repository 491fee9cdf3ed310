//! The protocol by hand, from its description and not from hobnob's code: what hostile clients are made of.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{
            fs::{OpenOptionsExt, PermissionsExt},
            net::UnixStream,
        },
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, connect, socket},
    sys::stat::Mode,
    unistd::mkfifo,
};

use crate::sockets;

/// The kinds of frame.
pub const DATA: u8 = 1;
pub const GOODBYE: u8 = 2;
pub const HELLO: u8 = 7;
pub const VERDICT: u8 = 8;
pub const READY: u8 = 9;

/// A frame: u32 length, u8 kind, u8 flags, u16 zero, then the bytes; little-endian.
#[must_use]
pub fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = header(kind, u32::try_from(body.len()).unwrap()).to_vec();
    out.extend(body);
    out
}

/// A frame's header alone; it may lie.
#[must_use]
pub fn header(kind: u8, length: u32) -> [u8; 8] {
    let [a, b, c, d] = length.to_le_bytes();
    [a, b, c, d, kind, 0, 0, 0]
}

/// The body of a hello: magic, version, scheme, limit, schema flag and fingerprint, nonce.
#[must_use]
pub fn hello_body(scheme: &str, nonce: [u8; 16]) -> Vec<u8> {
    let mut out = b"hobnob".to_vec();
    out.extend(1u16.to_le_bytes());
    let mut padded = [0; 16];
    padded[..scheme.len()].copy_from_slice(scheme.as_bytes());
    out.extend(padded);
    out.extend((16u32 << 20).to_le_bytes());
    out.extend([0; 9]);
    out.extend(nonce);
    out
}

/// A verdict taken apart: its code (0 is yes), the nonce echoed, the nonce to send back.
#[must_use]
pub fn verdict(body: &[u8]) -> (u8, [u8; 16], [u8; 16]) {
    let at = 6 + 2 + 16 + 4 + 9;
    (body[at], body[at + 1..at + 17].try_into().unwrap(), body[at + 17..at + 33].try_into().unwrap())
}

/// A verdict that says yes, whole: magic, version, scheme, limit, schema, code, the client's nonce, one to send back.
#[must_use]
pub fn yes(scheme: &str, echo: [u8; 16]) -> Vec<u8> {
    let hello = hello_body(scheme, echo);
    let mut body = hello[..hello.len() - 16].to_vec();
    body.push(0);
    body.extend(echo);
    body.extend(fresh());
    frame(VERDICT, &body)
}

/// The 64 bytes that a FIFO client writes to the rendezvous.
#[must_use]
pub fn knock_record(pid: u32, id: [u8; 16], nonce: [u8; 16]) -> [u8; 64] {
    let mut record = [0; 64];
    record[..8].copy_from_slice(b"hobnobF1");
    record[8..12].copy_from_slice(&pid.to_le_bytes());
    record[12..28].copy_from_slice(&id);
    record[28..44].copy_from_slice(&nonce);
    let sum = crc32(&record[..60]);
    record[60..].copy_from_slice(&sum.to_le_bytes());
    record
}

/// CRC-32 as in IEEE 802.3.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 };
        }
    }
    !sum
}

/// The name of a client's file, or of a pair of FIFOs without `.c2s` and `.s2c`.
#[must_use]
pub fn stem(pid: u32, id: [u8; 16]) -> String {
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{pid}-{hex}")
}

/// Sixteen bytes that no other call gave; unguessable they need not be here.
#[must_use]
pub fn fresh() -> [u8; 16] {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mix = time ^ (u64::from(std::process::id()) << 32);
    let mut out = [0; 16];
    out[..8].copy_from_slice(&mix.to_be_bytes());
    out[8..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    out
}

/// The longest record.
const RECORD: usize = 80 * 1024;

/// A road by hand: what is written and read on it is the caller's affair.
pub struct Road {
    scheme: &'static str,
    to: File,
    from: File,
    /// What came of a record and was not read yet.
    unread: Vec<u8>,
    /// The connection that tells each side of the other's end, where that is not the road.
    connection: Option<UnixStream>,
    pub nonce: [u8; 16],
    /// What holds a FIFO client's rendezvous together until it is welcome.
    _held: Vec<File>,
}

impl Road {
    /// Connects to the server whose folder this is, as an honest client does, and says nothing.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn knock(folder: &Path, scheme: &str) -> io::Result<Self> {
        Self::knock_with(folder, scheme, std::process::id(), |_| ())
    }

    /// The same with another pid in the names of the files, and with something done to each of them before the
    /// server looks.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn knock_with(folder: &Path, scheme: &str, pid: u32, touch: impl Fn(&Path)) -> io::Result<Self> {
        match scheme {
            "fifo" => knock_fifo(folder, pid, &touch),
            "seqpacket" => {
                Ok(Self { scheme: "seqpacket", ..knock_sock(folder, SockType::SeqPacket, pid, &touch)? })
            }
            "dgram" => by_datagrams(knock_sock(folder, SockType::Stream, pid, &touch)?),
            _ => knock_sock(folder, SockType::Stream, pid, &touch),
        }
    }

    /// A road over a socket that the caller has connected.
    #[must_use]
    pub fn over(socket: UnixStream) -> Self {
        let to = File::from(OwnedFd::from(socket));
        let from = to.try_clone().unwrap();
        Self { scheme: "unix", nonce: fresh(), ..Self::over_fifos(to, from, Vec::new()) }
    }

    /// A road over the client's ends of a pair of FIFOs, with what is held until it is welcome.
    #[must_use]
    pub fn over_fifos(to: File, from: File, held: Vec<File>) -> Self {
        let (unread, nonce) = (Vec::new(), fresh());
        Self { scheme: "fifo", to, from, unread, connection: None, nonce, _held: held }
    }

    /// The hello that an honest client says.
    #[must_use]
    pub fn hello(&self) -> Vec<u8> {
        frame(HELLO, &hello_body(self.scheme, self.nonce))
    }

    /// The whole handshake; the server must be accepting meanwhile. Gives the verdict's code.
    ///
    /// # Errors
    /// The server hung up.
    pub fn shake(&mut self) -> io::Result<u8> {
        let hello = self.hello();
        // A server that says no without reading may be gone already; its verdict can still be read.
        let _ = self.write_all(&hello);
        let (kind, body) = self.read_frame()?;
        assert_eq!(kind, VERDICT);
        let (code, echo, nonce) = verdict(&body);
        if code == 0 {
            assert_eq!(echo, self.nonce);
            self.write_all(&frame(READY, &nonce))?;
            self._held.clear();
        }
        Ok(code)
    }

    /// The next frame, waited for.
    ///
    /// # Errors
    /// The server hung up.
    pub fn read_frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut header = [0; 8];
        self.read_exact(&mut header)?;
        let mut body = vec![0; u32::from_le_bytes(header[..4].try_into().unwrap()) as usize];
        self.read_exact(&mut body)?;
        Ok((header[4], body))
    }

    /// The descriptor that it reads from.
    #[must_use]
    pub fn reader(&self) -> &File {
        &self.from
    }

    /// The descriptor that it writes to.
    #[must_use]
    pub fn writer(&self) -> &File {
        &self.to
    }
}

impl Read for Road {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if !matches!(self.scheme, "seqpacket" | "dgram") {
            return self.from.read(room);
        }
        if self.unread.is_empty() {
            if let Some(connection) = &self.connection {
                // Of the end only the connection tells.
                let mut both = [
                    PollFd::new(self.from.as_fd(), PollFlags::POLLIN),
                    PollFd::new(connection.as_fd(), PollFlags::POLLIN),
                ];
                poll(&mut both, PollTimeout::NONE)?;
                if both[0].any() == Some(false) {
                    return Ok(0);
                }
            }
            self.unread.resize(RECORD, 0);
            let count = self.from.read(&mut self.unread);
            self.unread.truncate(*count.as_ref().unwrap_or(&0));
            count?;
        }
        let count = room.len().min(self.unread.len());
        room[..count].copy_from_slice(&self.unread[..count]);
        self.unread.drain(..count);
        Ok(count)
    }
}

impl Write for Road {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A record is written whole or not at all.
        self.to.write(&bytes[..bytes.len().min(RECORD)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A path short enough for a socket address, whatever the folder is called.
fn short(folder: &File, rest: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{rest}", folder.as_raw_fd()))
}

/// Opens a directory for its entries' sake only (O_PATH): reading it need not be allowed.
///
/// # Errors
/// What the operating system says.
pub fn enter(folder: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(folder)
}

fn knock_sock(folder: &Path, kind: SockType, pid: u32, touch: &dyn Fn(&Path)) -> io::Result<Road> {
    let dir = enter(folder)?;
    let socket = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)?;
    let name = format!("clients/{}", stem(pid, fresh()));
    bind(socket.as_raw_fd(), &UnixAddr::new(&short(&dir, &name))?)?;
    fs::set_permissions(short(&dir, &name), fs::Permissions::from_mode(0o700))?;
    touch(&short(&dir, &name));
    connect(socket.as_raw_fd(), &UnixAddr::new(&short(&dir, "sock"))?)?;
    Ok(Road::over(UnixStream::from(socket)))
}

/// Waits for the two sockets that the server gives over the connection: to read from, and to write to.
fn by_datagrams(connected: Road) -> io::Result<Road> {
    let connection = UnixStream::from(OwnedFd::from(connected.to.try_clone()?));
    let [from, to] = sockets::take_all(&connection)?;
    let road = Road::over_fifos(File::from(to), File::from(from), Vec::new());
    Ok(Road { scheme: "dgram", connection: Some(connection), ..road })
}

fn knock_fifo(folder: &Path, pid: u32, touch: &dyn Fn(&Path)) -> io::Result<Road> {
    let dir = enter(folder)?;
    let (id, nonce) = (fresh(), fresh());
    let stem = stem(pid, id);
    let path = |end: &str| short(&dir, &format!("clients/{stem}.{end}"));
    // In a shared folder the server's group may open them.
    let shared = fs::metadata(short(&dir, "clients"))?.permissions().mode() & 0o2000 != 0;
    let mode = if shared { 0o660 } else { 0o600 };
    for end in ["c2s", "s2c"] {
        mkfifo(&path(end), Mode::from_bits_truncate(mode))?;
        fs::set_permissions(path(end), fs::Permissions::from_mode(mode))?;
        touch(&path(end));
    }
    let from = open(&path("s2c"), false)?;
    let own_reader = open(&path("c2s"), false)?;
    let to = open(&path("c2s"), true)?;
    let mut rendezvous = open(&short(&dir, "fifo"), true)?;
    blocking(&rendezvous)?;
    rendezvous.write_all(&knock_record(pid, id, nonce))?;
    // From here on it waits; but a FIFO that nobody has opened yet reads as ended.
    while fs::symlink_metadata(path("s2c")).is_ok() {
        std::thread::yield_now();
    }
    blocking(&from)?;
    blocking(&to)?;
    Ok(Road { nonce, ..Road::over_fifos(to, from, vec![rendezvous, own_reader]) })
}

/// Opens without waiting.
///
/// # Errors
/// What the operating system says.
pub fn open(path: &Path, write: bool) -> io::Result<File> {
    OpenOptions::new().read(!write).write(write).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Gives an open description back its waiting.
///
/// # Errors
/// What the operating system says.
pub fn blocking(file: &File) -> io::Result<()> {
    fcntl(file, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(())
}
