//! A server that lets everybody in, a victim, an attacker, and what must hold after whatever they did.

use std::{
    cell::{Cell, RefCell},
    fs,
    path::PathBuf,
};

use faults::{ATTACKER, House, OTHER, Program, Puppet, UnderStrace, file};
use hobnob::{IpcReceiver, IpcSender, Refusal};

/// One way to be taken for somebody else, and what it is called.
pub type Method = (&'static str, fn(&Stage<'_>));

pub struct Stage<'a> {
    pub house: &'a House,
    pub scheme: &'a str,
    server: RefCell<Server>,
    pub victim: Puppet,
    pub attacker: Puppet,
    /// How many were turned away.
    pub refused: Cell<u64>,
    /// How many messages of others than the honest client were heard.
    pub heard: Cell<u64>,
    /// Files that must still be there, as they were.
    kept: RefCell<Vec<(PathBuf, Option<[u64; 5]>)>>,
}

enum Server {
    Plain(Program),
    Slow(UnderStrace),
}

impl Server {
    fn hears(&mut self) -> String {
        match self {
            Self::Plain(program) => program.wait_for("heard"),
            Self::Slow(traced) => traced.program.wait_for("heard"),
        }
    }
}

impl<'a> Stage<'a> {
    pub fn new(house: &'a House, scheme: &'a str) -> Self {
        let mut server = Program::start(&mut house.actor("witness", &[&House::address(scheme)]));
        server.wait_for("listening");
        Self::with(house, scheme, Server::Plain(server))
    }

    /// The same, with a server that is slow between looking at a file and opening it, and before it unlinks it, so that
    /// others can come between. `None`: there is no strace.
    pub fn slow(house: &'a House, scheme: &'a str) -> Option<Self> {
        let slow = [
            "-e",
            "trace=fstat,newfstatat,unlinkat",
            "-e",
            "inject=fstat,newfstatat:delay_exit=200",
            "-e",
            "inject=unlinkat:delay_enter=200",
        ];
        let server = UnderStrace::start(house, &house.actor("witness", &[&House::address(scheme)]), &slow)?;
        Some(Self::with(house, scheme, Server::Slow(server)))
    }

    fn with(house: &'a House, scheme: &'a str, server: Server) -> Self {
        let (victim, attacker) = (Puppet::start(house, OTHER), Puppet::start(house, ATTACKER));
        let server = RefCell::new(server);
        Self {
            house,
            scheme,
            server,
            victim,
            attacker,
            refused: Cell::default(),
            heard: Cell::default(),
            kept: RefCell::default(),
        }
    }

    /// Another process of this user, for what a process can do only once.
    pub fn another(&self, uid: u32) -> Puppet {
        Puppet::start(self.house, uid)
    }

    /// The whole path of what a puppet calls `clients/x`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.house.folder().join(name)
    }

    /// From now on this file must stay what it is.
    pub fn keep(&self, name: &str) {
        let path = self.path(name);
        let now = file(&path);
        assert!(now.is_some(), "{name} is not there");
        self.kept.borrow_mut().push((path, now));
    }

    pub fn keep_both(&self, one: &str, other: &str) {
        self.keep(one);
        self.keep(other);
    }

    /// The way of an honest client up to the handshake, under this name; the server has looked at it when it ends.
    pub fn knock(&self, puppet: &Puppet, name: &str) {
        if self.scheme == "unix" {
            puppet.does(&format!("bind {name}"));
            puppet.does("connect");
        } else {
            puppet.does(&format!("pair {name}"));
            puppet.does(&format!("knock {name}"));
            self.honest("0");
        }
    }

    /// The same, to a connection that is up.
    pub fn join(&self, puppet: &Puppet) {
        let name = puppet.fresh_name();
        self.knock(puppet, &name);
        assert_eq!(puppet.does("shake"), "0");
    }

    /// Shakes hands and must be told no, for this reason.
    pub fn is_refused(&self, puppet: &Puppet, reason: Refusal) {
        let verdict = puppet.does("shake");
        assert_eq!(verdict, reason.code().to_string(), "0 is yes; it should have been {reason:?}");
        self.refused.update(|count| count + 1);
        puppet.does("close");
    }

    /// Shakes hands and must find nobody at the other end.
    pub fn is_ignored(&self, puppet: &Puppet) {
        self.honest("0");
        let verdict = puppet.does("shake");
        assert!(verdict.starts_with("nothing"), "the verdict is {verdict}; 0 is yes");
        self.refused.update(|count| count + 1);
        puppet.does("close");
    }

    /// Says who opened this connection; `settle` compares.
    pub fn says(&self, puppet: &Puppet, opened_by: u32) {
        let said = opened_by.to_string();
        assert_eq!(puppet.does(&format!("say {said}")), said);
        self.heard.update(|count| count + 1);
    }

    /// Hobnob's own client, as root, is served. Records are looked at in their order, so those before it were.
    pub fn honest(&self, says: &str) {
        let mut client = self.house.connect(self.scheme);
        client.send_info(says.as_bytes()).unwrap();
        assert_eq!(client.recv_borrowed().unwrap(), Some(says.as_bytes()));
    }

    /// After each try: an honest client is served, nobody was taken for somebody else, kept files are kept.
    pub fn settle(&self, method: &str) {
        self.honest("0 and settled");
        loop {
            let line = self.server.borrow_mut().hears();
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(
                words[1], words[3],
                "{method}: taken for uid {}, opened by uid {}",
                words[1], words[3]
            );
            let verified = words[2].starts_with("verified:");
            assert_eq!(verified, self.scheme == "unix", "{method}: whose word is the pid {}", words[2]);
            if line.ends_with("settled") {
                break;
            }
        }
        for (path, before) in self.kept.borrow_mut().drain(..) {
            assert_eq!(file(&path), before, "{method}: {} is not what it was", path.display());
        }
        for puppet in [&self.victim, &self.attacker] {
            puppet.does("close");
        }
        for left in fs::read_dir(self.path("clients")).unwrap().map(|entry| entry.unwrap().path()) {
            let directory = left.symlink_metadata().unwrap().is_dir();
            if directory { fs::remove_dir_all(left).unwrap() } else { fs::remove_file(left).unwrap() }
        }
    }
}
