//! Puts one entry in another's place, all the time.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    thread,
};

use faults::House;
use nix::{
    fcntl::{AT_FDCWD, RenameFlags, renameat2},
    sys::stat::Mode,
    unistd::mkfifo,
};

pub struct Swapper {
    decoys: PathBuf,
    canary: PathBuf,
    random: u64,
    of_clients: u64,
    of_server: u64,
    /// What is not accepted from, and stays bound.
    sockets: Vec<UnixListener>,
}

/// What takes the place of an entry.
const DECOYS: [&str; 10] = [
    "file",
    "directory",
    "fifo",
    "socket",
    "dead-socket",
    "link-to-file",
    "link-to-fifo",
    "link-to-socket",
    "link-to-directory",
    "link-to-nothing",
];

impl Swapper {
    pub fn new(house: &House, canary: &Path) -> Self {
        let mut swapper = Self {
            decoys: house.path().join("decoys"),
            canary: canary.to_owned(),
            random: 0x9E37_79B9_7F4A_7C15,
            of_clients: 0,
            of_server: 0,
            sockets: Vec::new(),
        };
        fs::create_dir(&swapper.decoys).unwrap();
        swapper.make_decoys();
        swapper
    }

    /// How many swaps there were.
    pub fn done(&self) -> u64 {
        self.of_clients + self.of_server
    }

    pub fn of_clients(&self) -> u64 {
        self.of_clients
    }

    /// A turn at whatever lies in `clients/` just now, and now and then one at the server's names.
    pub fn swap(&mut self, house: &House, rendezvous: &str) {
        let folder = house.folder();
        let names = [folder.join(rendezvous), folder.join("record"), folder.join("clients"), folder];
        self.swap_clients(&names[2]);
        // In between clients shall get through.
        if self.any(RARELY) == 0 {
            let (name, decoy) = (self.any(names.len()), self.any_decoy());
            self.there_and_back(&names[name], &self.decoys.join(decoy));
        }
    }

    /// A number below `limit`; the same ones in each run (xorshift64).
    fn any(&mut self, limit: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % limit as u64) as usize
    }

    fn any_decoy(&mut self) -> &'static str {
        DECOYS[self.any(DECOYS.len())]
    }

    fn there_and_back(&mut self, name: &Path, decoy: &Path) {
        exchange(name, decoy).unwrap();
        for _ in 0..self.any(8) {
            thread::yield_now();
        }
        exchange(name, decoy).unwrap();
        self.of_server += 2;
    }

    fn swap_clients(&mut self, clients: &Path) {
        let entries = fs::read_dir(clients).unwrap().filter_map(|entry| Some(entry.ok()?.path()));
        let entries: Vec<PathBuf> = entries.collect();
        for entry in &entries {
            let (other, decoy) = (&entries[self.any(entries.len())], self.any_decoy());
            let swapped = match self.any(5) {
                0 => exchange(entry, &self.decoys.join(decoy)).is_ok(),
                1 => entry != other && exchange(entry, other).is_ok(),
                2 => fs::remove_file(entry).is_ok() && self.make(decoy, entry),
                3 => fs::remove_file(entry).is_ok(),
                _ => fs::hard_link(entry, entry.with_extension("link")).is_ok(),
            };
            self.of_clients += u64::from(swapped);
        }
        // What was put there is nobody's, and would only be swapped among itself.
        if entries.len() > CROWD {
            entries.iter().for_each(|entry| remove(entry));
            self.make_decoys();
        }
    }

    fn make_decoys(&mut self) {
        for decoy in DECOYS {
            let path = self.decoys.join(decoy);
            remove(&path);
            self.make(decoy, &path);
        }
    }

    fn make(&mut self, decoy: &str, at: &Path) -> bool {
        let to = |name: &str| self.canary.join(name);
        match decoy {
            "file" => fs::write(at, "x").is_ok(),
            "directory" => fs::create_dir(at).is_ok(),
            "fifo" => mkfifo(at, Mode::S_IRUSR | Mode::S_IWUSR).is_ok(),
            "socket" => UnixListener::bind(at).map(|socket| self.sockets.push(socket)).is_ok(),
            "dead-socket" => UnixListener::bind(at).is_ok(),
            "link-to-file" => symlink(to("letter"), at).is_ok(),
            "link-to-fifo" => symlink(to("fifo"), at).is_ok(),
            "link-to-socket" => symlink(to("sock"), at).is_ok(),
            "link-to-directory" => symlink(&self.canary, at).is_ok(),
            _ => symlink("nowhere", at).is_ok(),
        }
    }

    /// Takes away what the swaps have left in `clients/`.
    pub fn tidy(&self, house: &House) {
        fs::read_dir(house.folder().join("clients"))
            .unwrap()
            .for_each(|entry| remove(&entry.unwrap().path()));
    }
}

/// One turn in so many is at the server's names.
const RARELY: usize = 32;
/// How many entries there may be: each client has two at most.
const CROWD: usize = 12;

fn remove(path: &Path) {
    let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
}

fn exchange(one: &Path, other: &Path) -> nix::Result<()> {
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)
}
