//! F13: headers that lie. A length that a peer announces is no reason to allocate, and one that is over the limit
//! ends its own connection only.
//! `cargo test --release -p faults --test f13_giant_lengths -- --nocapture`
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};

use faults::{
    House, Process, Program, each_transport,
    roles::reporting::counts_of,
    saw,
    wire::{DATA, HELLO, Road, VERDICT, frame, header, hello_body, verdict},
};

/// The default of `Limits::message`.
const LIMIT: u32 = 16 << 20;
/// How many announce much at the same time.
const MANY: usize = 60;
/// In KiB: what all of them together may cost in memory, and in address space, which a sixteenth of what they
/// announce would exceed.
const MOST_MEMORY: u64 = 1024;
const MOST_RESERVED: u64 = 60 * 1024;

/// What is sent, and what becomes of the connection in the server's words.
struct Lie(Vec<u8>, &'static str);

#[test]
fn a_length_that_lies_after_the_handshake_costs_its_connection_and_no_memory() {
    each_transport(
        "a_length_that_lies_after_the_handshake_costs_its_connection_and_no_memory",
        |house, scheme| {
            let mut server = reporting(house, scheme);
            let mut honest = shaken(house, scheme);
            let many: Vec<Road> = (0..MANY).map(|_| shaken(house, scheme)).collect();
            // Once to touch the code that refuses and what a connection costs anyway, once to measure.
            let mut each =
                || lies().into_iter().for_each(|lie| told(house, scheme, &mut server, &mut honest, lie));
            each();
            let growth = Growth::of(&server);
            let mut each =
                || lies().into_iter().for_each(|lie| told(house, scheme, &mut server, &mut honest, lie));
            each();
            many.iter().for_each(|road| road.writer().write_all(&header(DATA, LIMIT)).unwrap());
            drop(many);
            (0..MANY).for_each(|_| assert_eq!(server.wait_for("ended"), "ended: Truncated"));
            echoes(&mut honest, b"still here");
            growth.must_be_small(
                scheme,
                format!("{} lies, then {MANY} x 16 MiB announced at once", lies().len()),
            );
        },
    );
}

fn lies() -> Vec<Lie> {
    const VIOLATED: &str = "Protocol";
    let mut lies = Vec::new();
    for length in [i32::MAX as u32, u32::MAX, LIMIT + 1, 1 << 31] {
        lies.push(Lie(header(DATA, length).to_vec(), VIOLATED));
    }
    // Unknown, reserved, and out of place.
    for kind in [0, 10, 255, 3, 4, 5, 6, HELLO, VERDICT, 9] {
        lies.push(Lie(header(kind, 0).to_vec(), VIOLATED));
    }
    for reserved in 5..8 {
        let mut flagged = header(DATA, 0);
        flagged[reserved] = 1;
        lies.push(Lie(flagged.to_vec(), VIOLATED));
    }
    lies.push(Lie([frame(DATA, b"a whole message, then garbage"), vec![0xff; 100]].concat(), VIOLATED));
    lies.push(Lie(frame(DATA, b""), "PeerGone"));
    lies.push(Lie(header(DATA, 1)[..5].to_vec(), "Truncated"));
    lies.push(Lie(header(DATA, LIMIT).to_vec(), "Truncated"));
    lies.push(Lie([&header(DATA, LIMIT)[..], &[7; 20_000]].concat(), "Truncated"));
    lies.push(Lie(header(DATA, u32::MAX)[..4].to_vec(), "Truncated"));
    lies
}

/// Tells a lie on a road of its own; it ends as it should, and another client does not notice.
fn told(house: &House, scheme: &str, server: &mut Program, honest: &mut Road, Lie(bytes, ends): Lie) {
    let mut road = shaken(house, scheme);
    road.write_all(&bytes).unwrap();
    if ends == "Protocol" {
        // The server hangs up by itself.
        to_its_end(&mut road);
    }
    drop(road);
    let said = server.wait_for("ended");
    assert!(said.starts_with(&format!("ended: {ends}")), "{said} after {:?}", &bytes[..bytes.len().min(16)]);
    echoes(honest, b"meanwhile");
}

#[test]
fn a_length_that_lies_in_the_handshake_is_refused_and_costs_no_memory() {
    each_transport("a_length_that_lies_in_the_handshake_is_refused_and_costs_no_memory", |house, scheme| {
        let mut server = reporting(house, scheme);
        let mut honest = shaken(house, scheme);
        let hellos = false_hellos(scheme);
        hellos.iter().for_each(|hello| refused(house, scheme, &mut honest, hello));
        drop(half_open(house, scheme));
        echoes(&mut honest, b"before");
        let growth = Growth::of(&server);
        hellos.iter().for_each(|hello| refused(house, scheme, &mut honest, hello));
        let silent = half_open(house, scheme);
        echoes(&mut honest, b"meanwhile");
        drop(silent);
        // All of the silent have been dropped before this one is let in.
        drop(shaken(house, scheme));
        growth.must_be_small(scheme, format!("{} false hellos, {MANY} silent ones at once", hellos.len()));
        welcome_then_hung_up_on(house, scheme);
        let counts = counts_of(&mut server);
        assert_eq!(counts["Malformed"], 2 * hellos.len() as u64 + 1, "{counts:?}");
        // On a machine that is very busy some are silent for too long before they go.
        let gone = counts["Gone"] + counts["Silent"];
        assert_eq!((gone, counts["ready"]), (2 * MANY as u64, 2), "{counts:?}");
    });
}

/// First words that are no hello.
fn false_hellos(scheme: &str) -> Vec<Vec<u8>> {
    let body = hello_body(scheme, [0; 16]);
    let mut flagged = frame(HELLO, &body);
    flagged[5] = 1;
    let lengths = [i32::MAX as u32, u32::MAX, 1 << 31, LIMIT, LIMIT + 1, 4096, 0];
    let lied = lengths.iter().map(|length| [&header(HELLO, *length)[..], &body].concat());
    let other_kinds = [0, DATA, VERDICT, 9, 10, 255].map(|kind| frame(kind, &body));
    // A longer one is none: what follows the known fields is left for later versions.
    let shorter = frame(HELLO, &body[..body.len() - 1]);
    lied.chain(other_kinds).chain([flagged, shorter]).collect()
}

/// Says something that is no hello, is told so, and is hung up on.
fn refused(house: &House, scheme: &str, honest: &mut Road, hello: &[u8]) {
    let mut road = house.knock(scheme);
    road.write_all(hello).unwrap();
    let (kind, body) = road.read_frame().unwrap();
    const MALFORMED: u8 = 9;
    assert_eq!((kind, verdict(&body).0), (VERDICT, MALFORMED), "after {:?}", &hello[..16.min(hello.len())]);
    to_its_end(&mut road);
    echoes(honest, b"meanwhile");
}

/// A right hello with garbage behind it, where the last word of the handshake should be.
fn welcome_then_hung_up_on(house: &House, scheme: &str) {
    let mut road = house.knock(scheme);
    let hello = road.hello();
    road.write_all(&[hello, vec![0xff; 100]].concat()).unwrap();
    let (kind, body) = road.read_frame().unwrap();
    assert_eq!((kind, verdict(&body).0), (VERDICT, 0));
    to_its_end(&mut road);
}

/// Many that announce the longest hello there may be, and say no more.
fn half_open(house: &House, scheme: &str) -> Vec<Road> {
    let announced = |_| {
        let mut road = house.knock(scheme);
        road.write_all(&header(HELLO, 256)).unwrap();
        road
    };
    (0..MANY).map(announced).collect()
}

fn reporting(house: &House, scheme: &str) -> Program {
    let mut actor = house.actor("serve-reporting", &[&House::address(scheme)]);
    // With the usual arenas of malloc a new thread may reserve 128 MiB, whatever it was told.
    let mut server = Program::start(actor.env("MALLOC_ARENA_MAX", "1"));
    server.wait_for("listening");
    server
}

fn shaken(house: &House, scheme: &str) -> Road {
    let mut road = house.knock(scheme);
    assert_eq!(road.shake().unwrap(), 0);
    echoes(&mut road, b"hello");
    road
}

fn echoes(road: &mut Road, info: &[u8]) {
    road.write_all(&frame(DATA, info)).unwrap();
    assert_eq!(road.read_frame().unwrap(), (DATA, info.to_vec()));
}

/// The server has hung up: the end, or a reset if it had not read everything.
fn to_its_end(road: &mut Road) {
    let _ = road.read_to_end(&mut Vec::new());
}

/// What a server's memory was before.
struct Growth(Process, [u64; 2]);

impl Growth {
    fn of(server: &Program) -> Self {
        let process = server.process();
        process.forget_peak();
        let before = [process.memory(), process.reserved_peak()];
        Self(process, before)
    }

    fn must_be_small(self, scheme: &str, tries: String) {
        let Self(process, [memory, reserved]) = self;
        let rise = process.peak().saturating_sub(memory);
        let reserved = process.reserved_peak() - reserved;
        saw("F13", scheme, tries, format!("peak memory rose by {rise} KiB, address space by {reserved} KiB"));
        assert!(rise < MOST_MEMORY, "peak memory rose by {rise} KiB");
        assert!(reserved < MOST_RESERVED, "address space rose by {reserved} KiB");
    }
}
