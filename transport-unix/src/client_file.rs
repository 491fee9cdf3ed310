//! The client's own socket file: hygiene from the original design, made sound. The file alone proves nothing (its
//! name can be taken over while the socket lives on); it must agree with what the kernel says of the peer.

use std::{
    os::fd::OwnedFd,
    time::{Duration, SystemTime},
};

use ipc_core::{Entry, Folder, Kind, Peer, Refusal};

use nix::{
    errno::Errno,
    sys::{
        socket::UnixAddr,
        stat::{Mode, fchmod},
    },
};

use crate::listen::too_long;

/// A file older than this is a leftover.
const FRESH: Duration = Duration::from_secs(10);
/// File times come from a coarser clock than the wall clock: a new file may seem to be from the past or future.
const SLACK: Duration = Duration::from_secs(2);
const MODE: u32 = 0o700;

/// `<pid>-<32 hex>`: the pid is for people, the rest is unguessable.
pub(crate) fn name(pid: u32, random: [u8; 16]) -> String {
    format!("{pid}-{:032x}", u128::from_be_bytes(random))
}

/// What a client's socket is bound to.
pub(crate) fn address(clients: &Folder, name: &str) -> ipc_core::Result<UnixAddr> {
    let path = clients.path_to(name);
    UnixAddr::new(&path).map_err(|errno| match errno {
        Errno::ENAMETOOLONG => too_long(&path),
        errno => errno.into(),
    })
}

/// The address that needs most room of all those that clients may come with.
pub(crate) fn longest_address(clients: &Folder) -> ipc_core::Result<UnixAddr> {
    address(clients, &name(u32::MAX, [0; 16]))
}

/// The pid in a client file's name, if it is one.
pub(crate) fn pid_in(name: &str) -> Option<u32> {
    let (pid, random) = name.split_once('-')?;
    let hex = random.len() == 32 && random.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let plain = pid.bytes().all(|b| b.is_ascii_digit()) && !pid.starts_with('0');
    (hex && plain).then(|| pid.parse().ok())?
}

/// Checks the file `name` in `clients` against the kernel's word on the peer, and unlinks it if all is right.
/// On any mismatch nothing is unlinked.
pub(crate) fn check_and_unlink(
    clients: &Folder,
    name: &str,
    peer: &Peer,
    now: SystemTime,
) -> Result<(), Refusal> {
    let pid = pid_in(name).ok_or(Refusal::BadClientFile)?;
    // Gone: swept by a server that has just taken over. The client makes a new one.
    let file = clients.look(name).map_err(|_| Refusal::StaleClientFile)?;
    if !is_of(&file, pid, peer) {
        return Err(Refusal::BadClientFile);
    }
    if !is_fresh(file.modified, now) {
        return Err(Refusal::StaleClientFile);
    }
    clients.remove(name).map_err(|_| Refusal::StaleClientFile)
}

fn is_of(file: &Entry, pid: u32, peer: &Peer) -> bool {
    // In another PID namespace the client knows itself by another number, and the kernel gives none.
    let same_process = peer.pid.number().is_none_or(|kernel| kernel == pid);
    file.kind == Kind::Socket
        && file.mode == MODE
        && file.links == 1
        && Some(file.uid) == peer.uid
        && same_process
}

fn is_fresh(modified: SystemTime, now: SystemTime) -> bool {
    match now.duration_since(modified) {
        Ok(age) => age <= FRESH,
        Err(ahead) => ahead.duration() <= SLACK,
    }
}

/// The file that bind(2) makes has the socket's mode, less the umask; not every system lets it be set.
pub(crate) fn wish_mode(socket: &OwnedFd) {
    let _ = fchmod(socket, Mode::from_bits_truncate(MODE));
}

/// The client's side: its file, unlinked when it is no longer needed.
#[derive(Debug)]
pub(crate) struct Guard {
    clients: Folder,
    name: String,
}

impl Guard {
    pub(crate) fn new(clients: Folder, name: String) -> Self {
        Self { clients, name }
    }

    /// The file is gone.
    pub(crate) fn forget(mut self) {
        self.name.clear();
    }

    /// Makes sure that the file has the mode that the server expects, whatever the umask was at bind(2).
    pub(crate) fn set_mode(&self) -> std::io::Result<()> {
        let file = self.clients.look(&self.name)?;
        if file.kind == Kind::Socket && file.mode == MODE {
            return Ok(());
        }
        self.clients.set_mode(&self.name, MODE)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            // The server may have taken it.
            let _ = self.clients.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_form_is_a_client_file() {
        let good = name(4711, [0xab; 16]);
        assert_eq!(pid_in(&good), Some(4711));
        for bad in ["", "-", "4711", "4711-", "04-", "x-00", "../4711-00", "4711-zz"] {
            assert_eq!(pid_in(bad), None, "{bad}");
            assert_eq!(pid_in(&good.replace("4711-", bad).replace("ab", "AB")), None, "{bad}");
        }
        assert_eq!(pid_in(&format!("{good}0")), None);
        assert_eq!(pid_in(&good.replace("4711", "99999999999")), None);
    }

    #[test]
    fn fresh_is_ten_seconds_and_the_slack_of_the_file_clock() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let at = |s: f64| SystemTime::UNIX_EPOCH + Duration::from_secs_f64(s);
        for (modified, fresh) in
            [(1000.0, true), (990.0, true), (989.9, false), (1001.9, true), (1002.1, false)]
        {
            assert_eq!(is_fresh(at(modified), now), fresh, "{modified}");
        }
    }
}
