//! The paths, and what must come of each.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use faults::{House, wire};

/// What is done with the directories and the name that would be right.
pub type Then = fn(&Places, &str);

/// One path that a socket is bound to.
pub struct Case {
    pub what: &'static str,
    /// A name that would be right: `<pid>-<32 hex>`.
    pub stem: String,
    pub path: Vec<u8>,
    /// What else is done before the client connects.
    pub then: Then,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Refused,
    Accepted,
    /// The kernel itself binds no socket to it.
    Impossible,
}

use Outcome::{Accepted, Impossible, Refused};

/// The directories that play a part.
pub struct Places {
    pub clients: PathBuf,
    pub canary: PathBuf,
    pub beside: PathBuf,
}

impl Places {
    pub fn of(house: &House) -> Self {
        let at = |name: &str| house.path().join(name);
        Self { clients: house.folder().join("clients"), canary: at("canary"), beside: at("beside") }
    }
}

/// Every case once, for a client of this pid that is of another user than the server, or not. `%` is a name that would
/// be right in `clients/`.
pub fn cases(house: &House, pid: u32, other: bool) -> Vec<Case> {
    let folder = house.folder().display().to_string();
    let absolute = format!("{folder}/clients/%");
    let mut cases = Vec::new();
    let mut add = |what, path: &[u8], then: Then, outcome| {
        let stem = wire::stem(pid, wire::fresh());
        let path = filled(path, &stem);
        cases.push(Case { what, stem, path, then, outcome });
    };
    for (what, path, outcome) in PATHS {
        add(what, path, |_, _| (), *outcome);
    }
    for (what, then) in IN_THE_WAY {
        add(what, b"../../beside/%", *then, Refused);
    }
    if other {
        FOREIGN.iter().for_each(|(what, path)| add(what, path, |_, _| (), Impossible));
        add("the server's own socket of that name", b"../../beside/%", socket_of_the_servers_user, Refused);
    }
    let beside = house.path().join("beside/%").display().to_string();
    add("an absolute path to its own directory", beside.as_bytes(), |_, _| (), Refused);
    add("an absolute path", absolute.as_bytes(), |_, _| (), Accepted);
    for (what, length) in [("107 bytes", 107), ("108 bytes, the most, without an end", 108)] {
        add(what, &padded(length, pid), |_, _| (), Accepted);
    }
    cases
}

/// `clients/././.../%` of so many bytes.
fn padded(length: usize, pid: u32) -> Vec<u8> {
    let stem = wire::stem(pid, [0; 16]).len();
    let (dots, odd) = ((length - "clients/".len() - stem) / 2, (length - "clients/".len() - stem) % 2);
    let path = format!("clients/{}{}%", "./".repeat(dots), "/".repeat(odd));
    path.into_bytes()
}

fn filled(path: &[u8], stem: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in path {
        if *byte == b'%' { out.extend(stem.as_bytes()) } else { out.push(*byte) }
    }
    out
}

const PATHS: &[(&str, &[u8], Outcome)] = &[
    ("the plain one", b"clients/%", Accepted),
    ("two slashes", b"clients//%", Accepted),
    ("a dot before it", b"./clients/./%", Accepted),
    ("there and back", b"clients/../clients/%", Accepted),
    ("through its own descriptors", b"/proc/self/cwd/clients/%", Accepted),
    ("a NUL after it", b"clients/%\0/../../canary/letter", Accepted),
    ("no bytes: the kernel chooses an abstract name", b"", Refused),
    ("abstract, one letter", b"\0x", Refused),
    ("abstract, the right name", b"\0%", Refused),
    ("abstract, the right path", b"\0clients/%", Refused),
    ("abstract, a slash and the right name", b"\0/%", Refused),
    ("abstract, only a NUL", b"\0\0", Refused),
    ("abstract, not UTF-8", b"\0\xff\xfe\xfd", Refused),
    ("abstract, 108 bytes", &[0; 108], Refused),
    ("the right name in its own directory", b"../../beside/%", Refused),
    ("the right name below clients", b"clients/../../../beside/../beside/%", Refused),
    ("one letter", b"clients/x", Refused),
    ("a file of the server's by name", b"clients/sock", Refused),
    ("the record by name", b"clients/record", Refused),
    ("a temporary file by name", b"clients/.tmp-sock", Refused),
    ("the folder by name", b"clients/clients", Refused),
    ("a space", b"clients/ ", Refused),
    ("a newline", b"clients/\n", Refused),
    ("a newline after the right name", b"clients/%\n", Refused),
    ("a newline before the right name", b"clients/\n%", Refused),
    ("a carriage return after the right name", b"clients/%\r", Refused),
    ("a bell", b"clients/\x07%", Refused),
    ("an escape sequence", b"clients/\x1b[2J%", Refused),
    ("not UTF-8", b"clients/\xff\xfe", Refused),
    ("not UTF-8 after the right name", b"clients/%\xff", Refused),
    ("digits that are not ASCII", "clients/１２-%".as_bytes(), Refused),
    ("the right name and a letter", b"clients/%0", Refused),
    ("the right name twice", b"clients/%%", Refused),
    ("the right name and a FIFO's end", b"clients/%.c2s", Refused),
    ("a zero before the pid", b"clients/0%", Refused),
    ("a plus before the pid", b"clients/+%", Refused),
    ("a minus before the pid", b"clients/-%", Refused),
    ("no pid", b"clients/-0123456789abcdef0123456789abcdef", Refused),
    ("a pid alone", b"clients/1", Refused),
    ("a pid and a minus", b"clients/1-", Refused),
    ("process 1", b"clients/1-0123456789abcdef0123456789abcdef", Refused),
    ("process 0", b"clients/0-0123456789abcdef0123456789abcdef", Refused),
    ("a pid over 32 bits", b"clients/4294967297-0123456789abcdef0123456789abcdef", Refused),
    ("a pid over 64 bits", b"clients/99999999999999999999-0123456789abcdef0123456789abcdef", Refused),
    ("capital letters", b"clients/1-0123456789ABCDEF0123456789ABCDEF", Refused),
    ("31 digits", b"clients/1-0123456789abcdef0123456789abcde", Refused),
    ("33 digits", b"clients/1-0123456789abcdef0123456789abcdef0", Refused),
    ("percent signs", b"clients/\x25s\x25n", Refused),
    ("two dots at the end", b"clients/%..", Refused),
    ("three dots", b"clients/...", Refused),
    ("a relative path to nowhere", b"nowhere/%", Impossible),
    ("two dots", b"..", Impossible),
    ("a directory", b"clients", Impossible),
    ("a directory and two dots", b"/etc/..", Impossible),
    ("the root", b"/", Impossible),
    ("a slash after the right name", b"clients/%/", Impossible),
    ("standard input", b"/proc/self/fd/0", Impossible),
    ("the rendezvous", b"sock", Impossible),
    ("the canary", b"../../canary/letter", Impossible),
    ("a symlink to the canary", b"../../canary/link", Impossible),
];

/// Where only another user than the server's may not write.
const FOREIGN: &[(&str, &[u8])] =
    &[("a file in the canary that is not there", b"../../canary/%"), ("beside clients", b"%")];

/// What lies under the right name in `clients/` while the client's own socket lies elsewhere. It is not the client's
/// (the test makes it), and must stay.
const IN_THE_WAY: &[(&str, Then)] = &[
    ("a directory of that name", |at, stem| fs::create_dir(at.clients.join(stem)).unwrap()),
    ("a plain file of that name", |at, stem| fs::write(at.clients.join(stem), "x").unwrap()),
    ("a FIFO of that name", |at, stem| {
        nix::unistd::mkfifo(&at.clients.join(stem), nix::sys::stat::Mode::S_IRWXU).unwrap();
    }),
    ("a symlink of that name to the canary", |at, stem| {
        symlink(at.canary.join("letter"), at.clients.join(stem)).unwrap();
    }),
    ("a symlink of that name to its own socket", |at, stem| {
        symlink(at.beside.join(stem), at.clients.join(stem)).unwrap();
    }),
    ("a symlink of that name to nothing", |at, stem| symlink("nowhere", at.clients.join(stem)).unwrap()),
    ("a symlink of that name to a directory", |at, stem| symlink(&at.canary, at.clients.join(stem)).unwrap()),
    ("a hard link of that name to the canary", |at, stem| {
        fs::hard_link(at.canary.join("letter"), at.clients.join(stem)).unwrap();
    }),
    ("a hard link of that name to its own socket", |at, stem| {
        fs::hard_link(at.beside.join(stem), at.clients.join(stem)).unwrap();
    }),
];

fn socket_of_the_servers_user(at: &Places, stem: &str) {
    let path = at.clients.join(stem);
    std::os::unix::net::UnixListener::bind(&path).unwrap();
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
}
