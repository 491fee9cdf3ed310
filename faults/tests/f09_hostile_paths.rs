//! F9: what a client says its socket is bound to is a name to be looked up in `clients/`, and nothing else: whatever
//! it says, nothing elsewhere is opened or unlinked. It belongs to sockets: a FIFO client names no path.
//!
//! Beside the server's folder lies a canary tree; what is in it, and every file that the hostile client made, must be
//! the same afterwards. Where strace is, the server's own system calls are read too.
//!
//! `HOBNOB_F9` is how often every path is tried.
#![allow(clippy::unwrap_used)]

#[path = "f09_hostile_paths/paths.rs"]
mod paths;
#[path = "f09_hostile_paths/server.rs"]
mod server;

use std::{fs, path::Path};

use faults::{ATTACKER, House, Puppet, Tree, budget, saw, skipped, watched};
use hobnob::{IpcReceiver, IpcSender, Refusal};
use paths::{Case, Outcome, Places};
use server::Server;

#[test]
fn a_path_that_a_client_names_is_never_followed() {
    watched("a_path_that_a_client_names_is_never_followed", || {
        let house = House::new();
        let mut stage = Stage::new(&house);
        let rounds = budget("HOBNOB_F9", 1);
        let (mut seen, pid, other) = ([0; 3], stage.client.pid, stage.uid == ATTACKER);
        for case in (0..rounds).flat_map(|_| paths::cases(&house, pid, other)) {
            stage.play(&case);
            seen[case.outcome as usize] += 1;
        }
        let [refused, accepted, impossible] = seen;
        assert!(refused + accepted >= 40 * rounds, "there should be forty paths at least");
        let calls = stage.server.check_calls(&house.folder());
        let seen = format!(
            "{refused} refused, {accepted} accepted as who it is, {impossible} bound by no kernel; nothing outside \
             clients/ was touched; {calls}"
        );
        saw("F9", "unix", format!("{} paths", refused + accepted + impossible), seen);
    });
}

struct Stage<'a> {
    house: &'a House,
    places: Places,
    server: Server,
    client: Puppet,
    uid: u32,
}

impl<'a> Stage<'a> {
    fn new(house: &'a House) -> Self {
        let server = Server::start(house);
        let uid = nix::unistd::geteuid();
        if !uid.is_root() {
            skipped("F9 as another user: it needs root; it is tried as our own user");
        }
        let uid = if uid.is_root() { ATTACKER } else { uid.as_raw() };
        let places = Places::of(house);
        lay_out(&places, uid);
        Self { house, places, server, client: Puppet::start(house, uid), uid }
    }

    fn play(&mut self, case: &Case) {
        let hex: String = case.path.iter().map(|byte| format!("{byte:02x}")).collect();
        let bound = self.client.tries(&format!("bind-bytes {hex}"));
        assert_eq!(bound.is_err(), case.outcome == Outcome::Impossible, "{}: {bound:?}", case.what);
        (case.then)(&self.places, &case.stem);
        let file = self.places.clients.join(&case.stem);
        // One that is accepted has its file taken away, and that is all.
        let gone = if case.outcome == Outcome::Accepted { &file } else { Path::new("/nothing") };
        let before = Tree::below(self.house.path(), gone);
        match case.outcome {
            Outcome::Refused => self.is_refused(case),
            Outcome::Accepted => self.is_accepted(case, &file),
            Outcome::Impossible => {}
        }
        self.an_honest_client_is_served();
        assert_eq!(Tree::below(self.house.path(), gone), before, "{}", case.what);
        tidy(&self.places.clients);
        tidy(&self.places.beside);
    }

    fn is_refused(&self, case: &Case) {
        let no = [Refusal::BadClientFile, Refusal::StaleClientFile].map(|reason| reason.code().to_string());
        self.client.does("connect");
        let verdict = self.client.does("shake");
        assert!(no.contains(&verdict), "{}: the verdict is {verdict}; expected one of {no:?}", case.what);
        self.client.does("close");
    }

    fn is_accepted(&mut self, case: &Case, file: &Path) {
        self.client.does("connect");
        assert_eq!(self.client.does("shake"), "0", "{}", case.what);
        self.client.does("say hostile");
        let expected = format!("heard {} verified:{} hostile", self.uid, self.client.pid);
        assert_eq!(self.server.program().wait_for("hostile"), expected, "{}", case.what);
        assert!(!file.exists(), "{}: its file is still there", case.what);
        self.client.does("close");
    }

    fn an_honest_client_is_served(&self) {
        let mut client = self.house.connect("unix");
        client.send_info(b"honest").unwrap();
        assert_eq!(client.recv_borrowed().unwrap(), Some(&b"honest"[..]));
    }
}

/// A directory that the client may only look at, and one that it may write to.
fn lay_out(places: &Places, uid: u32) {
    fs::create_dir_all(places.canary.join("inner")).unwrap();
    fs::write(places.canary.join("letter"), "dear").unwrap();
    fs::write(places.canary.join("inner/letter"), "dear").unwrap();
    std::os::unix::fs::symlink("letter", places.canary.join("link")).unwrap();
    fs::create_dir(&places.beside).unwrap();
    std::os::unix::fs::chown(&places.beside, Some(uid), None).unwrap();
}

fn tidy(directory: &Path) {
    for left in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        let directory = left.symlink_metadata().unwrap().is_dir();
        if directory { fs::remove_dir(left).unwrap() } else { fs::remove_file(left).unwrap() }
    }
}
