//! What a server says of itself in its folder, for clients and people: `key=value` lines.

use std::{
    io,
    time::{Duration, SystemTime},
};

use nix::{errno::Errno, sys::signal::kill, unistd::Pid};

use crate::{
    Folder,
    error::{Holder, is_out_of_descriptors},
};

/// A server's record. It says who the server *said* it was; the lease says whether it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The transport it serves on.
    pub transport: String,
    /// Its process.
    pub pid: u32,
    /// The uid it runs as.
    pub uid: u32,
    /// When it took the name, to the second.
    pub since: SystemTime,
}

const FILE: &str = "record";
const LARGEST: usize = 512;

impl Record {
    pub(crate) fn of_this_process(transport: &str, since: SystemTime) -> Self {
        Self {
            transport: transport.to_owned(),
            pid: std::process::id(),
            uid: nix::unistd::geteuid().as_raw(),
            since,
        }
    }

    pub(crate) fn write(&self, folder: &Folder, shared: bool) -> io::Result<()> {
        let since = self.since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let Self { transport, pid, uid, .. } = self;
        let text = format!("hobnob=1\ntransport={transport}\npid={pid}\nuid={uid}\nsince={since}\n");
        folder.write_whole(FILE, text.as_bytes(), if shared { 0o644 } else { 0o600 })
    }

    /// The record in a server's folder, if there is one and it can be understood.
    pub(crate) fn read(folder: &Folder) -> Option<Self> {
        Self::find(folder).ok().flatten()
    }

    /// The same. Without a descriptor to look with nobody can say that there is none.
    pub(crate) fn find(folder: &Folder) -> io::Result<Option<Self>> {
        match folder.read_small(FILE, LARGEST) {
            Err(error) if is_out_of_descriptors(&error) => Err(error),
            read => Ok(read.ok().and_then(|text| Self::parse(&text))),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (mut transport, mut pid, mut uid, mut since) = (None, None, None, None);
        for (key, value) in text.split('\n').filter_map(|line| line.split_once('=')) {
            match key {
                "transport" => {
                    transport = Some(value).filter(|t| t.bytes().all(|b| b.is_ascii_alphanumeric()))
                }
                "pid" => pid = value.parse().ok(),
                "uid" => uid = value.parse().ok(),
                "since" => since = value.parse().ok().map(Duration::from_secs),
                _ => {}
            }
        }
        Some(Self {
            transport: transport?.to_owned(),
            pid: pid?,
            uid: uid?,
            since: SystemTime::UNIX_EPOCH.checked_add(since?)?,
        })
    }

    /// Whether a process with the recorded pid exists. Only good for choosing the better error text: a pid may
    /// have been reused, or belong to another PID namespace.
    #[must_use]
    pub fn seems_alive(&self) -> bool {
        i32::try_from(self.pid)
            .is_ok_and(|pid| pid > 0 && kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH))
    }
}

impl From<Record> for Holder {
    fn from(record: Record) -> Self {
        Self::new(record.pid, record.uid, record.since, record.transport)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_file() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let record =
            Record::of_this_process("unix", SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        record.write(&folder, false).unwrap();
        assert_eq!(Record::read(&folder), Some(record));
        assert_eq!(folder.names(9).unwrap(), ["record"]);
    }

    #[test]
    fn what_is_not_a_record_is_none() {
        for text in [
            "",
            "transport=unix",
            "transport=../x\npid=1\nuid=1\nsince=1",
            "transport=unix\npid=x\nuid=1\nsince=1",
        ] {
            assert_eq!(Record::parse(text), None, "{text:?}");
        }
        let absurd = format!("transport=unix\npid=1\nuid=1\nsince={}", u64::MAX);
        assert_eq!(Record::parse(&absurd), None);
    }

    #[test]
    fn a_record_that_is_a_link_or_a_fifo_is_not_read() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        folder.make_fifo(FILE, 0o600).unwrap();
        assert_eq!(Record::read(&folder), None);
        folder.remove(FILE).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", place.path().join(FILE)).unwrap();
        assert_eq!(Record::read(&folder), None);
    }
}
