//! A server whose name hobnob took and whose handshake is made by hand: it says so many bytes of its verdict, and
//! ends itself with SIGKILL.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::{Path, PathBuf},
};

use hobnob::{AnyServer, Result};

use super::{dying::end, say};
use crate::{NAME, wire};

pub(super) fn die(address: &str, after: usize) -> Result<()> {
    let _name: AnyServer = hobnob::new_server(address)?;
    let folder = PathBuf::from(std::env::var_os(hobnob::VARIABLE).unwrap()).join(NAME);
    let (scheme, _) = address.split_once(':').unwrap();
    let (mut from, mut to) = if scheme == "unix" { over_unix(&folder)? } else { over_fifo(&folder)? };
    let mut hello = [0; 8 + 53];
    from.read_exact(&mut hello)?;
    let verdict = wire::yes(scheme, hello[hello.len() - 16..].try_into().unwrap());
    to.write_all(&verdict[..after])?;
    end()
}

/// The name is there already, and nobody accepts at it but here.
fn over_unix(folder: &Path) -> io::Result<(File, File)> {
    let ours = UnixListener::bind(folder.join("ours"))?;
    fs::rename(folder.join("ours"), folder.join("sock"))?;
    say("listening");
    let (road, from) = ours.accept()?;
    let file = from.as_pathname().and_then(Path::file_name).unwrap();
    fs::remove_file(folder.join("clients").join(file))?;
    let road = File::from(OwnedFd::from(road));
    Ok((road.try_clone()?, road))
}

/// The record is read here, before the server that has the name would.
fn over_fifo(folder: &Path) -> io::Result<(File, File)> {
    let mut rendezvous = wire::open(&folder.join("fifo"), false)?;
    wire::blocking(&rendezvous)?;
    say("listening");
    let mut record = [0; 64];
    rendezvous.read_exact(&mut record)?;
    let pid = u32::from_le_bytes(record[8..12].try_into().unwrap());
    let stem = wire::stem(pid, record[12..28].try_into().unwrap());
    let path = |end: &str| folder.join(format!("clients/{stem}.{end}"));
    let (from, to) = (wire::open(&path("c2s"), false)?, wire::open(&path("s2c"), true)?);
    ["c2s", "s2c"].iter().try_for_each(|end| fs::remove_file(path(end)))?;
    wire::blocking(&from)?;
    Ok((from, to))
}
