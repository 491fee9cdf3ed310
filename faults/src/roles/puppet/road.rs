//! What a puppet does towards the server: each step of a client's way in by itself, right or wrong.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{Read, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
};

use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket},
    sys::stat::Mode,
    unistd::mkfifo,
};

use super::{Done, bytes, done, errno, hex, links, octal, parts};
use crate::{sockets, wire};

/// How far it has come.
#[derive(Default)]
pub(super) struct State {
    socket: Option<OwnedFd>,
    road: Option<wire::Road>,
    /// Where another puppet's descriptor is awaited.
    counter: Option<UnixListener>,
    handed: Option<File>,
}

impl State {
    pub(super) fn command(&mut self, words: &[&str]) -> Done {
        match *words {
            ["bind", path] => self.bind(path.as_bytes(), 0o700),
            ["bind", path, mode] => self.bind(path.as_bytes(), octal(mode)),
            ["bind-bytes", hex] => self.bind(&bytes(hex), 0o700),
            ["bind-nothing"] => self.bind_nothing(),
            ["connect"] => self.connect("sock"),
            ["pair", stem] => self.pair(stem, "600"),
            ["pair", stem, mode] => self.pair(stem, mode),
            ["open-pair", stem] => self.open_pair(stem),
            ["knock", stem] => {
                self.knock(stem, self.road.as_ref().map_or_else(wire::fresh, |road| road.nonce))
            }
            ["knock", stem, nonce] => self.knock(stem, bytes(nonce).try_into().unwrap()),
            ["nonce"] => Ok(hex(&self.road.as_ref().unwrap().nonce)),
            ["shake"] => self.shake(),
            ["say", text] => self.say(text),
            ["hear"] => self.hear(),
            ["links"] => self.links(),
            ["close"] => self.close(),
            ["await-hand", path] => self.await_hand(path),
            ["hand-road", path] => self.hand(path, self.road.as_ref().unwrap().writer().as_fd()),
            ["hand-socket", path] => self.hand(path, self.socket.as_ref().unwrap().as_fd()),
            ["take-hand"] => self.take_hand(),
            ["take-socket"] => self.take_socket(),
            ["say-through", text] => self.say_through(text),
            ref other => panic!("no such command: {other:?}"),
        }
    }

    /// A socket bound to these bytes, whatever they are; the mode is for the file, if it is one.
    fn bind(&mut self, path: &[u8], mode: u32) -> Done {
        let socket = fresh_socket()?;
        sockets::bind_bytes(socket.as_fd(), path)?;
        self.socket = Some(socket);
        // To the kernel too a path ends at its first NUL.
        match path.split(|byte| *byte == 0).next() {
            None | Some([]) => Ok(String::new()),
            Some(file) => {
                done(fs::set_permissions(OsStr::from_bytes(file), fs::Permissions::from_mode(mode)))
            }
        }
    }

    fn bind_nothing(&mut self) -> Done {
        self.socket = Some(fresh_socket()?);
        Ok(String::new())
    }

    fn connect(&mut self, rendezvous: &str) -> Done {
        let socket = self.socket.take().unwrap();
        connect(socket.as_raw_fd(), &UnixAddr::new(rendezvous)?)?;
        self.road = Some(wire::Road::over(UnixStream::from(socket)));
        Ok(String::new())
    }

    fn pair(&mut self, stem: &str, mode: &str) -> Done {
        for end in ["c2s", "s2c"] {
            let path = format!("{stem}.{end}");
            mkfifo(path.as_str(), Mode::from_bits_truncate(0o600))?;
            done(fs::set_permissions(path, fs::Permissions::from_mode(octal(mode))))?;
        }
        self.open_pair(stem)
    }

    /// The client's ends of FIFOs that are there, whoever made them.
    fn open_pair(&mut self, stem: &str) -> Done {
        let end = |end: &str, write| {
            wire::open(Path::new(&format!("{stem}.{end}")), write).map_err(|error| errno(&error))
        };
        let (from, own_reader, to) = (end("s2c", false)?, end("c2s", false)?, end("c2s", true)?);
        self.road = Some(wire::Road::over_fifos(to, from, vec![own_reader]));
        Ok(String::new())
    }

    /// Writes the record that names this pair, whosever it is.
    fn knock(&self, stem: &str, nonce: [u8; 16]) -> Done {
        let (pid, id) = parts(stem);
        let opened = wire::open(Path::new("fifo"), true);
        done(opened.and_then(|mut rendezvous| rendezvous.write_all(&wire::knock_record(pid, id, nonce))))
    }

    /// The rest of the handshake; the verdict's code. For FIFOs the server must have looked at the record before:
    /// one that it did not take in reads as ended.
    fn shake(&mut self) -> Done {
        let road = self.road.as_mut().unwrap();
        done(wire::blocking(road.reader()))?;
        Ok(road.shake().map_or_else(|error| format!("nothing: {:?}", error.kind()), |code| code.to_string()))
    }

    /// Says it, and waits for the echo.
    fn say(&mut self, text: &str) -> Done {
        let road = self.road.as_mut().unwrap();
        done(road.write_all(&wire::frame(wire::DATA, text.as_bytes())))?;
        self.hear()
    }

    /// What the server says next.
    fn hear(&mut self) -> Done {
        let (_, body) = self.road.as_mut().unwrap().read_frame().map_err(|error| errno(&error))?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// How many names the two FIFOs have.
    fn links(&self) -> Done {
        let road = self.road.as_ref().unwrap();
        Ok((links(road.reader()) + links(road.writer())).to_string())
    }

    /// Says goodbye; what came in the meantime, to the last byte, is the answer.
    fn close(&mut self) -> Done {
        (self.socket, self.handed, self.counter) = (None, None, None);
        let Some(mut road) = self.road.take() else { return Ok(String::new()) };
        done(wire::blocking(road.reader()))?;
        // The server may be gone already, and may have left our words unread.
        let _ = road.write_all(&wire::frame(wire::GOODBYE, b""));
        let mut rest = Vec::new();
        let _ = road.read_to_end(&mut rest);
        Ok(hex(&rest))
    }

    fn await_hand(&mut self, path: &str) -> Done {
        let _ = fs::remove_file(path);
        self.counter = Some(UnixListener::bind(path).map_err(|error| errno(&error))?);
        done(fs::set_permissions(path, fs::Permissions::from_mode(0o777)))
    }

    fn hand(&self, path: &str, what: std::os::fd::BorrowedFd<'_>) -> Done {
        let to = UnixStream::connect(path).map_err(|error| errno(&error))?;
        sockets::give(&to, what).map(|()| String::new())
    }

    fn take(&self) -> Result<OwnedFd, Errno> {
        let (from, _) = self.counter.as_ref().unwrap().accept().map_err(|error| errno(&error))?;
        sockets::take(&from)
    }

    fn take_hand(&mut self) -> Done {
        self.handed = Some(self.take()?.into());
        Ok(String::new())
    }

    fn take_socket(&mut self) -> Done {
        self.socket = Some(self.take()?);
        Ok(String::new())
    }

    fn say_through(&mut self, text: &str) -> Done {
        let handed = self.handed.as_mut().unwrap();
        done(handed.write_all(&wire::frame(wire::DATA, text.as_bytes())))
    }
}

fn fresh_socket() -> Result<OwnedFd, Errno> {
    socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
}
