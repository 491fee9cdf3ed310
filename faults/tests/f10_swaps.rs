//! F10: while entries are swapped all the time (sockets, FIFOs, directories, files, symlinks that lead outside), in
//! `clients/` and at the server's own names, nobody gets a connection to anything but the server, nothing waits past
//! its deadline, nothing outside is touched, and every failure has a kind. Only the server's own user can swap its
//! names, so that is who does it.
//!
//! `HOBNOB_F10` is how many swaps there are on each transport.
#![allow(clippy::unwrap_used)]

#[path = "f10_swaps/swapper.rs"]
mod swapper;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant, SystemTime},
};

use faults::{House, Tree, budget, each_rendezvous, file, saw, wire};
use hobnob::{AnyConnection, ErrorKind, IpcReceiver, IpcSender, Result};
use nix::{sys::stat::Mode, unistd::mkfifo};
use swapper::Swapper;

const CLIENTS: usize = 4;
const DEADLINE: Duration = Duration::from_millis(100);
/// What a machine that does other things too may add to it.
const MARGIN: Duration = Duration::from_secs(20);

#[test]
fn swapped_entries_lead_nobody_astray() {
    let swaps = budget("HOBNOB_F10", 2000);
    each_rendezvous("swapped_entries_lead_nobody_astray", |house, scheme| {
        let mut server = house.serve(scheme);
        let canary = Canary::new(house);
        talk(house, scheme, 1).unwrap();
        let (before, descriptors) = (names_of_the_server(house, scheme), server.process().descriptors());
        let mut swapper = Swapper::new(house, &canary.path);
        let (over, served) = (AtomicBool::new(false), AtomicU64::new(0));
        let outcomes: Vec<_> = thread::scope(|scope| {
            let clients: Vec<_> =
                (0..CLIENTS).map(|_| scope.spawn(|| talk_until(house, scheme, &over, &served))).collect();
            while swapper.done() < swaps || served.load(Relaxed) == 0 {
                swapper.swap(house, rendezvous(scheme));
            }
            over.store(true, Relaxed);
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        assert_eq!(names_of_the_server(house, scheme), before, "the swapper has put everything back");
        canary.check();
        swapper.tidy(house);
        talk(house, scheme, 1).unwrap();
        assert!(server.child.try_wait().unwrap().is_none(), "the server has ended");
        wait_for_descriptors(&server, descriptors);
        report(scheme, &swapper, &outcomes);
    });
}

/// Those in the handshake may take their time, which the server gives them.
fn wait_for_descriptors(server: &faults::Program, baseline: usize) {
    while server.process().descriptors() > baseline {
        thread::yield_now();
    }
}

fn names_of_the_server(house: &House, scheme: &str) -> Vec<Option<[u64; 5]>> {
    let folder = house.folder();
    [folder.clone(), folder.join(rendezvous(scheme)), folder.join("record")]
        .iter()
        .map(|path| file(path))
        .collect()
}

fn rendezvous(scheme: &str) -> &str {
    if scheme == "unix" { "sock" } else { scheme }
}

type Outcomes = BTreeMap<String, u64>;

fn talk_until(house: &House, scheme: &str, over: &AtomicBool, served: &AtomicU64) -> Outcomes {
    let mut outcomes = Outcomes::new();
    while !over.load(Relaxed) {
        let begin = Instant::now();
        let outcome = match talk(house, scheme, 3) {
            Ok(()) => {
                served.fetch_add(1, Relaxed);
                "served".to_owned()
            }
            Err(error) => {
                let kind = error.kind().clone();
                assert!(kind != ErrorKind::Os, "an error without a kind: {error}");
                format!("{kind:?}").split([' ', '{']).next().unwrap().to_owned()
            }
        };
        assert!(begin.elapsed() < DEADLINE * 4 + MARGIN, "{outcome} took {:?}", begin.elapsed());
        *outcomes.entry(outcome).or_default() += 1;
        thread::yield_now();
    }
    outcomes
}

/// A connection on which this client's own messages come back, and no others.
fn talk(house: &House, scheme: &str, times: u64) -> Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let options = house.client_options().deadline(DEADLINE);
    let mut server = AnyConnection::connect_with(&House::address(scheme).parse().unwrap(), &options)?;
    server.set_recv_deadline(DEADLINE.into());
    server.set_send_deadline(DEADLINE.into());
    let mut info = Vec::new();
    for _ in 0..times {
        let mine = NEXT.fetch_add(1, Relaxed).to_le_bytes();
        server.send_info(&mine)?;
        server.recv_info(&mut info)?;
        assert_eq!(info, mine, "somebody else's message came back");
    }
    server.disconnect_from()
}

/// What lies outside and must stay as it is: files, and a FIFO and a socket that nobody may come to.
struct Canary {
    path: PathBuf,
    before: Tree,
    /// When something was last made or removed in it.
    entered: [SystemTime; 2],
    fifo: File,
    socket: UnixListener,
}

impl Canary {
    fn new(house: &House) -> Self {
        let path = house.path().join("canary");
        fs::create_dir_all(path.join("clients")).unwrap();
        fs::write(path.join("letter"), "dear").unwrap();
        fs::write(path.join("clients/letter"), "dear").unwrap();
        mkfifo(&path.join("fifo"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        // Whoever comes through a link finds what looks like a server.
        fs::copy(house.folder().join("record"), path.join("record")).unwrap();
        let fifo = wire::open(&path.join("fifo"), false).unwrap();
        let socket = UnixListener::bind(path.join("sock")).unwrap();
        socket.set_nonblocking(true).unwrap();
        let before = Tree::below(&path, "/nothing".as_ref());
        let entered = modified(&path);
        Self { path, before, entered, fifo, socket }
    }

    fn check(mut self) {
        assert_eq!(Tree::below(&self.path, "/nothing".as_ref()), self.before);
        assert_eq!(modified(&self.path), self.entered, "something was made outside, and taken away again");
        let mut byte = [0];
        assert!(!matches!(self.fifo.read(&mut byte), Ok(1)), "somebody has written to the FIFO outside");
        assert!(self.socket.accept().is_err(), "somebody has connected to the socket outside");
    }
}

fn modified(canary: &Path) -> [SystemTime; 2] {
    [canary.to_owned(), canary.join("clients")].map(|path| path.metadata().unwrap().modified().unwrap())
}

fn report(scheme: &str, swapper: &Swapper, outcomes: &[Outcomes]) {
    let mut all = Outcomes::new();
    for (outcome, count) in outcomes.iter().flatten() {
        *all.entry(outcome.clone()).or_default() += count;
    }
    let seen = format!("0 led astray, nothing outside touched; connects: {all:?}");
    saw(
        "F10",
        scheme,
        format!("{} swaps ({} of them clients' entries)", swapper.done(), swapper.of_clients()),
        seen,
    );
}
