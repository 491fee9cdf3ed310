//! The test vectors and tables of docs/PROTOCOL.md against the code, in both directions. A vector that is altered,
//! missing, or not known here fails.
#![cfg(all(feature = "unix", feature = "fifo"))]
#![allow(clippy::unwrap_used)]

mod page;

use std::{
    fs,
    io::{Read, Write},
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixListener,
    },
    thread,
    time::SystemTime,
};

use conformance::watched;
use hobnob::{
    AnyConnection, AnyServer, ConnectOptions, IpcReceiver, IpcSender, Limits, Refusal, ServerOptions,
    transport::fifo::record::{Finder, Found, Knock, SIZE},
};
use ipc_core::{
    Nonce,
    frame::{Decoder, FrameKind, frame, parse_header},
    hello::{Hello, LARGEST, Terms, Verdict},
    look_up,
};
use page::{table, texts, vectors};

/// Nonces and the like count up from here.
fn counting(from: u8) -> Nonce {
    std::array::from_fn(|i| from + i as u8)
}

fn terms(version: u16, scheme: &str, limit: u32, schema: Option<u64>) -> Terms {
    Terms { version, scheme: scheme.to_owned(), limit, schema }
}

/// A frame as the page has it, under this limit: its kind and its body.
fn read(bytes: &[u8], limit: u32) -> Result<Option<(FrameKind, Vec<u8>)>, &'static str> {
    let mut decoder = Decoder::new(limit);
    let mut rest = bytes;
    loop {
        if let Some(found) = decoder.next_frame()? {
            assert!(rest.is_empty() && !decoder.has_buffered(), "bytes behind the frame");
            return Ok(Some((found.kind, decoder.bytes(&found).to_vec())));
        }
        if rest.is_empty() {
            return Ok(None);
        }
        let mut rooms = decoder.rooms();
        let room = &mut rooms.slices()[0];
        let count = room.len().min(rest.len());
        room[..count].copy_from_slice(&rest[..count]);
        decoder.filled(count);
        rest = &rest[count..];
    }
}

#[test]
fn every_hex_vector_is_what_the_code_writes_and_reads() {
    let mut vectors = vectors();
    let mut take = |name: &str| vectors.remove(name).unwrap_or_else(|| panic!("no vector {name:?}"));
    let limit = Limits::default().message;

    for (name, kind, body) in [
        ("message", FrameKind::Data, &b"hello"[..]),
        ("empty-message", FrameKind::Data, b""),
        ("goodbye", FrameKind::Goodbye, b""),
        ("ready", FrameKind::Ready, &counting(0xa0)),
    ] {
        let bytes = take(name);
        assert_eq!(frame(kind, body), bytes, "{name}");
        assert_eq!(read(&bytes, limit), Ok(Some((kind, body.to_vec()))), "{name}");
    }
    for (name, why) in [
        ("refused-kind-0", "unknown frame kind"),
        ("refused-kind-10", "unknown frame kind"),
        ("refused-flags", "reserved header bytes are not zero"),
        ("refused-byte-6", "reserved header bytes are not zero"),
        ("refused-length", "frame over the limit"),
    ] {
        assert_eq!(read(&take(name), LARGEST), Err(why), "{name}");
    }

    let nonce = counting(0x10);
    for (name, terms) in [
        ("hello-unix", terms(1, "unix", limit, None)),
        ("hello-fifo-schema", terms(1, "fifo", 1 << 20, Some(0x0123_4567_89ab_cdef))),
    ] {
        let (bytes, hello) = (take(name), Hello { terms, nonce });
        assert_eq!(frame(FrameKind::Hello, &hello.encode()), bytes, "{name}");
        let (kind, body) = read(&bytes, LARGEST).unwrap().unwrap();
        assert_eq!((kind, Hello::decode(&body)), (FrameKind::Hello, Ok(hello)), "{name}");
    }

    let none = Nonce::default();
    for (name, version, refusal, echo, later) in [
        ("verdict-yes", 1, None, nonce, &b""[..]),
        ("verdict-no-unread", 1, Some(Refusal::NotAdmitted), none, b""),
        ("verdict-version-2", 2, Some(Refusal::WrongVersion), nonce, b"later"),
    ] {
        let terms = terms(version, "unix", limit, None);
        let (bytes, verdict) = (take(name), Verdict { terms, refusal, echo, nonce: counting(0xa0) });
        assert_eq!(frame(FrameKind::Verdict, &[&verdict.encode()[..], later].concat()), bytes, "{name}");
        let (kind, body) = read(&bytes, LARGEST).unwrap().unwrap();
        assert_eq!((kind, Verdict::decode(&body)), (FrameKind::Verdict, Ok(verdict)), "{name}");
    }
    let (_, unknown) = read(&take("verdict-reason-200"), LARGEST).unwrap().unwrap();
    assert_eq!(unknown[37], 200);
    assert_eq!(Verdict::decode(&unknown).unwrap().refusal, Some(Refusal::NotAdmitted), "it is a no");

    let (bytes, knock) = (take("knock"), Knock { pid: 4711, id: counting(0xe0), nonce });
    assert_eq!(knock.encode()[..], bytes);
    assert_eq!(bytes.len(), SIZE);
    let mut finder = Finder::default();
    finder.feed(&bytes);
    assert_eq!(finder.next_found(), Some(Found::Knock(knock)));

    assert_eq!(vectors.keys().collect::<Vec<_>>(), [""; 0], "vectors that nothing is compared with");
}

#[test]
fn every_text_vector_is_what_the_code_writes_and_reads() {
    let mut texts = texts();
    let mut take = |name: &str| texts.remove(name).unwrap_or_else(|| panic!("no text {name:?}"));
    let names = Knock { pid: 4711, id: counting(0xe0), nonce: counting(0x10) }.names();
    assert_eq!(take("pair"), names.each_ref().map(|name| format!("{name}\n")).concat());
    assert_eq!(Some(take("client-file").trim_end()), names[0].strip_suffix(".c2s"), "one grammar for both");

    let (text, house) = (take("record"), tempfile::tempdir().unwrap());
    fs::create_dir(house.path().join("calc")).unwrap();
    for folder in ["", "calc"] {
        fs::set_permissions(house.path().join(folder), fs::Permissions::from_mode(0o700)).unwrap();
    }
    let file = house.path().join("calc/record");
    fs::write(&file, &text).unwrap();
    let look = || look_up(&"calc".parse().unwrap(), &ConnectOptions::new().directory(house.path())).unwrap();
    let read = look().unwrap();
    assert_eq!((read.transport.as_str(), read.pid, read.uid), ("unix", 4711, 1000));
    assert_eq!(seconds(read.since), 1_800_000_000);

    let options = ServerOptions::new().directory(house.path());
    let _server = AnyServer::new_server_with(&"unix:calc".parse().unwrap(), &options).unwrap();
    let expected = text
        .replace("pid=4711", &format!("pid={}", std::process::id()))
        .replace("uid=1000", &format!("uid={}", nix::unistd::geteuid()))
        .replace("since=1800000000", &format!("since={}", seconds(look().unwrap().since)));
    assert_eq!(fs::read_to_string(file).unwrap(), expected);

    assert_eq!(texts.keys().collect::<Vec<_>>(), [""; 0], "texts that nothing is compared with");
}

fn seconds(since: SystemTime) -> u64 {
    since.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn the_tables_of_refusals_and_kinds_are_complete_and_right() {
    let refusals = table("number");
    assert_eq!(refusals.len(), Refusal::ALL.len());
    for (row, number) in refusals.iter().zip(1..) {
        assert_eq!(row[0], number.to_string());
        if let Some(reason) = Refusal::from_code(number) {
            assert_eq!(row[1], reason.to_string());
        }
    }
    let kinds = table("kind");
    for (row, number) in kinds.iter().zip(1..) {
        assert_eq!(row[0], number.to_string());
        let kind = parse_header([0, 0, 0, 0, number, 0, 0, 0]).unwrap().0;
        assert_eq!(row[1], format!("{kind:?}").to_lowercase());
    }
    assert!(parse_header([0, 0, 0, 0, kinds.len() as u8 + 1, 0, 0, 0]).is_err(), "a kind is missing");
}

/// What a stranger sees who serves a name as the page says.
#[test]
fn a_client_of_ours_knocks_and_greets_as_the_page_says() {
    watched("a_client_of_ours_knocks_and_greets_as_the_page_says", || {
        let house = tempfile::tempdir().unwrap();
        let calc = house.path().join("calc");
        fs::create_dir_all(calc.join("clients")).unwrap();
        for folder in ["", "calc", "calc/clients"] {
            fs::set_permissions(house.path().join(folder), fs::Permissions::from_mode(0o700)).unwrap();
        }
        fs::write(calc.join("record"), texts().remove("record").unwrap()).unwrap();
        let listener = UnixListener::bind(calc.join("sock")).unwrap();
        thread::scope(|scope| {
            let client = scope.spawn(|| {
                let options = ConnectOptions::new().directory(house.path());
                AnyConnection::connect_with(&"calc".parse().unwrap(), &options)
            });
            let (mut stream, from) = listener.accept().unwrap();
            let name = from.as_pathname().unwrap().file_name().unwrap().to_str().unwrap();
            let file = fs::symlink_metadata(calc.join("clients").join(name)).unwrap();
            assert!(file.file_type().is_socket() && file.mode() & 0o7777 == 0o700, "{file:?}");
            let (pid, id) = name.split_once('-').unwrap();
            assert_eq!(pid, std::process::id().to_string());
            assert!(id.len() == 32 && id.bytes().all(|b| b"0123456789abcdef".contains(&b)), "{id}");

            let expected = vectors().remove("hello-unix").unwrap();
            let mut hello = vec![0; expected.len()];
            stream.read_exact(&mut hello).unwrap();
            let nonce = hello.split_off(expected.len() - 16);
            assert_eq!(hello, expected[..expected.len() - 16]);
            assert_ne!(nonce, [0; 16]);

            let mut yes = vectors().remove("verdict-yes").unwrap();
            yes[8 + 38..8 + 54].copy_from_slice(&nonce);
            stream.write_all(&yes).unwrap();
            let mut ready = [0; 24];
            stream.read_exact(&mut ready).unwrap();
            assert_eq!(ready[..], vectors()["ready"]);
            let mut client = client.join().unwrap().unwrap();
            stream.write_all(&vectors()["message"]).unwrap();
            assert_eq!(client.recv_borrowed().unwrap(), Some(&b"hello"[..]));
            client.send_info(b"").unwrap();
            client.disconnect_from().unwrap();
            let mut last = Vec::new();
            drop(client);
            stream.read_to_end(&mut last).unwrap();
            assert_eq!(last, [&vectors()["empty-message"][..], &vectors()["goodbye"]].concat());
        });
    });
}
