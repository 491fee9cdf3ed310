//! What must hold after a death: the name can be taken at once, who takes it is reached, nothing is left when it
//! has stopped, and the server next door has noticed nothing.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use hobnob::{AnyConnection, AnyServer, Deadline, IpcReceiver, IpcSender, IpcServer, StopHandle};

use crate::{House, Program, each_rendezvous, each_transport, roles::echo};

/// Far above what anything here takes on a loaded machine: who waits that long waits in vain.
pub const PATIENCE: Deadline = Deadline::Within(Duration::from_secs(20));

const NEXT_DOOR: &str = "next-door";

/// The directory that a server at a path has its socket or FIFO in.
const PLACE: &str = "place";

/// Runs a test over each transport with a name, and once more with a path.
pub fn each_address(name: &'static str, test: impl Fn(&House, &str)) {
    each_transport(name, &test);
    each_path(name, &test);
}

/// Runs a test at a path, over one transport for each kind of what lies there.
pub fn each_path(name: &'static str, test: impl Fn(&House, &str)) {
    each_rendezvous(name, |house, scheme| {
        let place = house.path().join(PLACE);
        fs::create_dir(&place).unwrap();
        test(house, &format!("{scheme}:{}", place.join("calc").display()));
    });
}

/// What to call an address in the rows of what was seen.
#[must_use]
pub fn shown(scheme: &str) -> &str {
    match scheme.split_once(':') {
        Some(("unix", _)) => "unix at a path",
        Some(_) => "fifo at a path",
        None => scheme,
    }
}

/// Another server in the same house, in a process of its own.
pub struct Neighbour {
    _server: Program,
    address: String,
    folder: PathBuf,
    was: Vec<(u64, u64)>,
}

impl Neighbour {
    #[must_use]
    pub fn of(house: &House, scheme: &str) -> Self {
        let transport = scheme.split(':').next().unwrap();
        let address = format!("{transport}:{NEXT_DOOR}");
        let mut server = Program::start(&mut house.actor("serve", &[&address]));
        server.wait_for("listening");
        let folder = house.names().join(NEXT_DOOR);
        let was = identities(&folder);
        Self { _server: server, address, folder, was }
    }

    /// Its folder, record and rendezvous are the files that they were.
    pub fn must_be_untouched(&self, after: &str) {
        assert_eq!(identities(&self.folder), self.was, "{after}: the server next door lost a file");
    }

    pub fn must_still_serve(&self, house: &House) {
        let options = house.client_options().deadline(PATIENCE);
        say_and_hear(AnyConnection::connect_with(&self.address.parse().unwrap(), &options).unwrap());
    }
}

/// What the folder of a server and the files in it are, whatever they are called.
#[must_use]
pub fn identities(folder: &Path) -> Vec<(u64, u64)> {
    let inside = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = inside.chain([folder.to_owned()]).collect();
    all.sort();
    all.iter().map(|path| fs::symlink_metadata(path).unwrap()).map(|file| (file.dev(), file.ino())).collect()
}

/// A new server starts at the first try and is reached, and nothing is left when it has stopped. Gives the time
/// that the start took.
pub fn next_start_works(house: &House, scheme: &str, after: &str) -> Duration {
    let began = Instant::now();
    let mut server = house.serve_with(scheme, |options| options);
    let took = began.elapsed();
    let server = server.as_mut().unwrap_or_else(|error| panic!("{after}: the next start failed: {error}"));
    serves_a_client(house, scheme, server, after);
    server.destroy_server().unwrap();
    nothing_is_left(house, after);
    took
}

/// One client connects to this server and is answered.
pub fn serves_a_client(house: &House, scheme: &str, server: &mut AnyServer, after: &str) {
    thread::scope(|scope| {
        let client = scope.spawn(|| reaches_a_server(house, scheme, after));
        let served = server.accept_client_by(PATIENCE).and_then(echo);
        served.unwrap_or_else(|error| panic!("{after}: the next client was not served: {error}"));
        client.join().unwrap();
    });
}

/// A client of the house's name is answered.
pub fn reaches_a_server(house: &House, scheme: &str, after: &str) {
    let options = house.client_options().deadline(PATIENCE);
    let address = House::address(scheme).parse().unwrap();
    let connected = AnyConnection::connect_with(&address, &options);
    say_and_hear(connected.unwrap_or_else(|error| panic!("{after}: the next client: {error}")));
}

fn say_and_hear(mut server: AnyConnection) {
    server.send_info(b"still there?").unwrap();
    assert_eq!(server.recv_borrowed_by(PATIENCE).unwrap(), Some(&b"still there?"[..]));
    server.disconnect_from().unwrap();
}

/// Nothing lies in the directory of names but what the server next door has there, nor where a path leads.
pub fn nothing_is_left(house: &House, after: &str) {
    let mut left = house.left_over();
    left.retain(|path| !path.ends_with(NEXT_DOOR));
    let place = fs::read_dir(house.path().join(PLACE)).into_iter().flatten();
    left.extend(place.map(|entry| entry.unwrap().path()));
    let inside: Vec<_> =
        left.iter().flat_map(fs::read_dir).flatten().map(|file| file.unwrap().path()).collect();
    assert!(left.is_empty(), "{after}: left over {left:?} with {inside:?}");
}

/// Stops a server when a test is done with it, and also when the test panics: the scope of its thread waits for it.
pub struct StopAtEnd(pub StopHandle);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.stop();
    }
}
