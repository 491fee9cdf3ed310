//! The key: a file that only its owner can read, and the codes that are made with it.

use std::{
    fmt, fs,
    io::{self, Read},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::Path,
};

use hmac::{Hmac, KeyInit, Mac};
use ipc_core::{
    Access, Config, Entry, Error, ErrorKind, Folder, Kind, Nonce, Result, look_at, random_nonces, strange,
};
use sha2::Sha256;

/// The key's file in a server's folder.
pub(crate) const KEY: &str = "key";

const MODE: u32 = 0o600;
/// In bytes.
const SHORTEST: usize = 32;
const LONGEST: usize = 256;

/// A key, ready to make codes with.
#[derive(Clone)]
pub(crate) struct Key {
    mac: Hmac<Sha256>,
    /// Who owns its file.
    pub(crate) owner: u32,
}

/// Shows that its maker has the key: HMAC-SHA256 (RFC 2104, FIPS 180-4).
pub(crate) type Code = [u8; 32];

/// Whose code it is. One side's is never good for the other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

/// What a code is for: this one handshake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    /// The server's port: what was said to another server is of no use here.
    pub(crate) port: u16,
    pub(crate) client: Nonce,
    pub(crate) server: Nonce,
}

impl Key {
    /// Makes a new key in a server's folder, in place of what a dead server left.
    pub(crate) fn make(folder: &Folder) -> Result<Self> {
        let key = random_nonces::<2>()?;
        folder.write_whole(KEY, key.as_flattened(), MODE)?;
        Self::new(key.as_flattened(), nix::unistd::geteuid().as_raw())
    }

    /// Reads the key in a server's folder.
    pub(crate) fn of_server(folder: &Folder, config: &Config) -> Result<Self> {
        let path = folder.path().join(KEY);
        let file = folder.open_file(KEY, Access::Read).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NoSuchServer { searched: vec![path.clone()] }.into(),
            io::ErrorKind::PermissionDenied => unreadable(&path, error),
            _ => strange(folder, KEY, error),
        })?;
        Self::read(file.into(), &path, config)
    }

    /// Reads the key that the user has named.
    pub(crate) fn of_user(path: &Path, config: &Config) -> Result<Self> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file =
            fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| match error
                .kind()
            {
                io::ErrorKind::PermissionDenied => unreadable(path, error),
                _ => Error::caused(
                    ErrorKind::Denied { why: format!("no key can be read from {}", path.display()) },
                    error,
                ),
            })?;
        Self::read(file, path, config)
    }

    fn read(mut file: fs::File, path: &Path, config: &Config) -> Result<Self> {
        let found = look_at(file.as_fd())?;
        check(&found, path, config)?;
        let mut bytes = [0; LONGEST + 1];
        let count = fill(&mut file, &mut bytes)?;
        if !(SHORTEST..=LONGEST).contains(&count) {
            let more = if count > LONGEST { "more than " } else { "" };
            return Err(Error::denied(format!(
                "the key file {} has {more}{} bytes; expected {SHORTEST} to {LONGEST}",
                path.display(),
                count.min(LONGEST)
            )));
        }
        Self::new(&bytes[..count], found.uid)
    }

    fn new(bytes: &[u8], owner: u32) -> Result<Self> {
        let mac = Hmac::new_from_slice(bytes).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self { mac, owner })
    }

    /// The code of `role` in this handshake, for what it says of itself.
    pub(crate) fn code(&self, role: Role, exchange: &Exchange, said: &[u8]) -> Code {
        self.over(role, exchange, said).finalize().into_bytes().into()
    }

    /// Whether it is the right code. Takes equally long wherever it differs.
    pub(crate) fn is_right(&self, code: &Code, role: Role, exchange: &Exchange, said: &[u8]) -> bool {
        self.over(role, exchange, said).verify_slice(code).is_ok()
    }

    /// Every part has a fixed length, so that no two handshakes give the same bytes.
    fn over(&self, role: Role, exchange: &Exchange, said: &[u8]) -> Hmac<Sha256> {
        let label: &[u8; 16] = match role {
            Role::Client => b"hobnob 1 client\0",
            Role::Server => b"hobnob 1 server\0",
        };
        let port = exchange.port.to_le_bytes();
        [&label[..], &port, &exchange.client, &exchange.server, said]
            .into_iter()
            .fold(self.mac.clone(), |mac, part| mac.chain_update(part))
    }
}

fn check(found: &Entry, path: &Path, config: &Config) -> Result<()> {
    let wrong = |what: String, expected: &str| {
        Err(Error::denied(format!("the key file {} {what}; expected {expected}", path.display())))
    };
    if found.kind != Kind::File {
        return wrong(format!("is of another type ({:?})", found.kind), "a plain file");
    }
    if found.mode != MODE {
        return wrong(format!("has mode {:04o}", found.mode), "0600: nobody but its owner may read it");
    }
    if found.links != 1 {
        return wrong(format!("has {} names", found.links), "one");
    }
    if !config.trusts(found.uid) {
        return wrong(format!("belongs to uid {}", found.uid), "ours, root's or that of a trusted user");
    }
    Ok(())
}

/// Reads as much as there is, up to all of `bytes`.
fn fill(file: &mut fs::File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < bytes.len() {
        match file.read(&mut bytes[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    let why = format!(
        "uid {} may not read the key {}; only who may can connect",
        nix::unistd::geteuid(),
        path.display()
    );
    Error::caused(ErrorKind::Denied { why }, error)
}

/// Without the key.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("owner", &self.owner).finish_non_exhaustive()
    }
}
