//! What these tests share: a place for a server, chance that can be repeated, and messages to send.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    io,
    ops::Range,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ipc_core::{
    Address, Arrival, Config, ConnectOptions, Connection, Deadline, ErrorKind, Faults, Folder, Handshake,
    IpcServer, Limits, Link, Listener, Place, Result, Server, ServerOptions, Target, Transport,
};
use tempfile::TempDir;
use transport_faulty::Faulty;

/// A directory and a name that no other test has.
pub struct House {
    dir: TempDir,
    address: Address,
}

impl House {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("house-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Self { dir: tempfile::tempdir().unwrap(), address: name.parse().unwrap() }
    }

    pub fn server<T: Transport>(&self, faults: Faults) -> Server<Faulty<T>> {
        let options = ServerOptions::new().directory(self.dir.path().join("names")).seams(faults);
        Server::new_server_with(&self.address, &options).unwrap()
    }

    pub fn connect<T: Transport>(&self, faults: Faults) -> Result<Connection<Faulty<T>>> {
        let options = ConnectOptions::new().directory(self.dir.path().join("names")).seams(faults);
        Connection::connect_with(&self.address, &options.deadline(Deadline::Forever))
    }

    /// Both ends of a connection without the handshake of the core: then nothing depends on who is quicker.
    pub fn pair<T: Transport>(&self, faults: &Faults) -> (Connection<Faulty<T>>, Connection<Faulty<T>>) {
        let ((near, far), limit) = (self.road::<T>(faults), Limits::default().message);
        (Connection::over(near, "near", limit), Connection::over(far, "far", limit))
    }

    /// Both ends of a road.
    pub fn road<T: Transport>(&self, faults: &Faults) -> (Link<Faulty<T>>, Link<Faulty<T>>) {
        let mut config = Config::default();
        config.seams = faults.clone().into();
        let place = self.place::<T>();
        let mut listener = Faulty::<T>::listen(&place, &config).unwrap();
        // Kept until the server has picked the road up: it holds its names.
        let mut outgoing = Faulty::<T>::dial(&place, &config).unwrap();
        let (mut near, mut incoming, mut far) = (None, None, None);
        // Some roads need the one side first, some the other.
        while near.is_none() || far.is_none() {
            near = near.or_else(|| outgoing.step(Instant::now()).unwrap());
            incoming = incoming.or_else(|| knocked::<T>(&mut listener));
            far = far.or_else(|| incoming.as_mut()?.step(Instant::now()).unwrap());
        }
        (near.unwrap(), far.unwrap())
    }

    fn place<T: Transport>(&self) -> Place {
        match self.address.target() {
            Target::Name(name) if T::CAPABILITIES.one_process => Place::Process(name.clone()),
            _ => Place::Folder(Folder::open(self.dir.path()).unwrap(), None),
        }
    }

    /// What the client and the server have of a connection; none if it died on the way.
    pub fn meet<T: Transport>(&self, server: &mut Server<Faulty<T>>, faults: &Faults) -> Met<T> {
        thread::scope(|scope| {
            let before = server.stats().refused_in_all();
            let client = scope.spawn(|| self.connect::<T>(faults.clone()));
            let served = loop {
                let client_failed = client.is_finished();
                match server.accept_client_by(Deadline::Within(Duration::from_millis(2))) {
                    Ok(served) => break Some(served),
                    // One that is up without us may still be on its way; one that was turned away is not.
                    Err(error) => assert_eq!(*error.kind(), ErrorKind::TimedOut, "{error}"),
                }
                if server.stats().refused_in_all() > before || (client_failed && server.stats().arrived == 0)
                {
                    break None;
                }
            };
            (client.join().unwrap(), served)
        })
    }
}

/// Who has knocked, if somebody has.
fn knocked<T: Transport>(
    listener: &mut <Faulty<T> as Transport>::Listener,
) -> Option<<Faulty<T> as Transport>::Incoming> {
    match listener.try_accept() {
        Ok(Some(Arrival::Incoming(incoming))) => Some(incoming),
        Ok(Some(rejected)) => panic!("{rejected:?}"),
        Ok(None) => None,
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::Interrupted);
            None
        }
    }
}

pub type Met<T> = (Result<Connection<Faulty<T>>>, Option<Connection<Faulty<T>>>);

/// Numbers that look random and are the same for the same seed.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        let mut chance = Self(seed ^ 0x5DEE_CE66);
        chance.below(1);
        chance
    }

    /// A number from 0 to less than `bound`. The generator is splitmix64.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % bound
    }

    pub fn one_of<V: Copy>(&mut self, values: &[V]) -> V {
        values[self.below(values.len() as u64) as usize]
    }
}

/// Any two parts of it differ, so that a shift, a swap, a loss or a repetition shows.
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut chance = Chance::new(1);
    (0..1 << 20).map(|_| chance.below(256) as u8).collect()
});

/// The bytes of a message.
#[derive(Clone, Debug)]
pub struct Message(Range<usize>);

impl Message {
    pub fn new(chance: &mut Chance, size: usize) -> Self {
        let start = chance.below((NOISE.len() - size) as u64) as usize;
        Self(start..start + size)
    }

    pub fn bytes(&self) -> &'static [u8] {
        &NOISE[self.0.clone()]
    }
}
