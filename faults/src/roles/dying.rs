//! Clients made by hand that end themselves with SIGKILL at a chosen place of the handshake.

use std::{
    fs::{self, File},
    io::Write,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::{Path, PathBuf},
};

use hobnob::Result;
use nix::{
    sys::{
        signal::{Signal, kill},
        socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket},
        stat::Mode,
    },
    unistd::{Pid, mkfifo},
};

use crate::{NAME, wire};

/// Where a client can die, in the order in which it comes there.
pub const PLACES: [&str; 8] = [
    "before its files are whole",
    "before the knock",
    "inside the knock",
    "after the knock",
    "before the hello",
    "inside the hello",
    "after the verdict",
    "inside the ready",
];

pub(super) fn die(scheme: &str, place: &str) -> Result<()> {
    let folder = PathBuf::from(std::env::var_os(hobnob::VARIABLE).unwrap()).join(NAME);
    match PLACES.iter().position(|known| *known == place).unwrap() {
        early @ 0..=3 if scheme == "fifo" => knock_by_fifo(&folder, early)?,
        0..=2 => bind_file(&folder)?,
        late => shake(wire::Road::knock(&folder, scheme)?, late)?,
    }
    end()
}

/// Everything that was written stays in the kernel's hands.
pub(super) fn end() -> ! {
    kill(Pid::this(), Signal::SIGKILL).unwrap();
    unreachable!("SIGKILL cannot be held back")
}

fn bind_file(folder: &Path) -> Result<()> {
    let clients = File::open(folder.join("clients"))?;
    let socket: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let name = wire::stem(std::process::id(), wire::fresh());
    let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", clients.as_raw_fd()));
    bind(socket.as_raw_fd(), &UnixAddr::new(&path)?)?;
    end()
}

/// One FIFO of the pair; both; and half a record; or all of it, without waiting to be picked up.
fn knock_by_fifo(folder: &Path, place: usize) -> Result<()> {
    let (id, nonce) = (wire::fresh(), wire::fresh());
    let path = |end: &str| folder.join(format!("clients/{}.{end}", wire::stem(std::process::id(), id)));
    let ends = if place == 0 { &["c2s"][..] } else { &["c2s", "s2c"] };
    for end in ends {
        mkfifo(&path(end), Mode::S_IRUSR | Mode::S_IWUSR)?;
        fs::set_permissions(path(end), fs::Permissions::from_mode(0o600))?;
    }
    if place > 1 {
        let _held = (wire::open(&path("s2c"), false)?, wire::open(&path("c2s"), false)?);
        let record = wire::knock_record(std::process::id(), id, nonce);
        let part = if place == 2 { &record[..40] } else { &record[..] };
        wire::open(&folder.join("fifo"), true)?.write_all(part)?;
        end()
    }
    Ok(())
}

fn shake(mut road: wire::Road, place: usize) -> Result<()> {
    let hello = road.hello();
    match place {
        3 | 4 => {}
        5 => road.write_all(&hello[..hello.len() / 2])?,
        _ => {
            road.write_all(&hello)?;
            let (_, body) = road.read_frame()?;
            let (_, _, nonce) = wire::verdict(&body);
            let ready = wire::frame(wire::READY, &nonce);
            road.write_all(if place == 7 { &ready[..ready.len() / 2] } else { &[] })?;
        }
    }
    end()
}
