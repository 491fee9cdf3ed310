//! What is refused: requests that are none, names that lead elsewhere, files that lie. Each has one answer that tells
//! nothing, and the next request is served.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../tests/house/mod.rs"]
mod house;
mod stage;

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixDatagram},
};

use conformance::watched;
use nix::{sys::stat::Mode, unistd::mkfifo};
use png::{BitDepth, ColorType};
use stage::{Answer, Client, Stage, encode, error, image, log_of, request};

fn is_served(client: &Client) {
    assert!(matches!(client.ask("7-1.png"), Answer::Digit(7, _)));
}

#[test]
fn what_is_no_request_is_answered_with_its_id() {
    watched("what_is_no_request_is_answered_with_its_id", || {
        let stage = Stage::new();
        let _server = stage.serve(&[]);
        let client = stage.client();
        let good = request(0x0102, b"7-1.png", b"");
        let longer = |by: usize| [&good[..], &vec![0; by]].concat();
        let with = |at: usize, value: u8| {
            let mut message = good.clone();
            message[at] = value;
            message
        };
        let mut none = vec![good[..274].to_vec(), good[..3].to_vec(), good[..2].to_vec()];
        none.extend([longer(1), longer(725), longer(100_000)]);
        none.extend([0, 2, 3, 0x81, 255].map(|kind| with(2, kind)));
        none.extend([16, 17, 255].map(|length| with(259, length)));
        for message in none {
            client.send(&message);
            assert_eq!(client.next(), (0x0102, error("malformed request")), "{} bytes", message.len());
        }
        for short in [&[][..], &[9]] {
            client.send(short);
            assert_eq!(client.next(), (0, error("malformed request")), "too short for an id");
        }
        client.send(&[0xff; 275]);
        assert_eq!(client.next(), (0xffff, error("malformed request")));
        is_served(&client);
    });
}

/// Beside the root is an image; a server that is led to it would say that it is a 7.
#[test]
fn a_name_that_leads_out_of_the_root_or_to_no_file_is_as_one_that_is_not_there() {
    watched("a_name_that_leads_out_of_the_root_or_to_no_file_is_as_one_that_is_not_there", || {
        let stage = Stage::new();
        let (root, secret) = (stage.root(), stage.house.place("secret.png"));
        fs::create_dir_all(root.join("folder/inner")).unwrap();
        fs::write(root.join("folder/inner/ok.png"), image("7-1.png")).unwrap();
        symlink(&secret, root.join("link-out.png")).unwrap();
        symlink("7-1.png", root.join("link-in.png")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("/", root.join("slash")).unwrap();
        symlink("folder", root.join("link-to-folder")).unwrap();
        symlink("/dev/zero", root.join("zero.png")).unwrap();
        symlink("/proc/self/cwd", root.join("magic")).unwrap();
        mkfifo(&root.join("fifo.png"), Mode::S_IRWXU).unwrap();
        let _socket = UnixDatagram::bind(root.join("socket.png")).unwrap();
        let absolute = secret.to_str().unwrap();
        let through_slash = format!("slash{absolute}");
        let names = [
            "missing.png",
            "missing/7-1.png",
            "",
            ".",
            "..",
            "/",
            "folder",
            "folder/",
            "7-1.png/",
            "7-1.png/x",
            "../secret.png",
            "folder/../../secret.png",
            "folder/../7-1.png",
            "./7-1.png",
            "folder//inner/ok.png",
            "/7-1.png",
            absolute,
            "/etc/passwd",
            "link-out.png",
            "link-in.png",
            "up/secret.png",
            &through_slash,
            "link-to-folder/inner/ok.png",
            "zero.png",
            "magic/7-1.png",
            "fifo.png",
            "socket.png",
            "7-1.png\0",
            "7-1.png\0.png",
            "7-1.PNG",
            " 7-1.png",
            "~/7-1.png",
            "*",
            "\u{2025}/secret.png",
        ];
        let mut server = stage.serve_and_log(&[]);
        let client = stage.client();
        for name in names {
            assert_eq!(client.ask(name), error("no such image"), "{name:?}");
        }
        for name in [&[0xff; 255][..], b"\xc0\xae\xc0\xae/secret.png", b"..\\secret.png"] {
            client.send(&request(1, name, b""));
            assert_eq!(client.next(), (1, error("no such image")), "{name:?}");
        }
        assert!(matches!(client.ask("folder/inner/ok.png"), Answer::Digit(7, _)));
        let log = log_of(&mut server);
        for detail in
            ["../secret.png: EACCES", "link-out.png: ELOOP", "missing.png: ENOENT", "fifo.png: no plain"]
        {
            assert!(log.contains(detail), "{detail:?} is not in the log: {log}");
        }
    });
}

#[test]
fn a_root_that_is_moved_stays_the_root() {
    watched("a_root_that_is_moved_stays_the_root", || {
        let stage = Stage::new();
        let _server = stage.serve(&[]);
        fs::rename(stage.root(), stage.house.place("moved")).unwrap();
        symlink("/", stage.root()).unwrap();
        is_served(&stage.client());
    });
}

/// A chunk of a PNG, its checksum right.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&kind[..], data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc(&body).to_be_bytes()].concat()
}

fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    };
    !bytes.iter().fold(!0, step)
}

fn header(width: u32, height: u32, depth: u8, color: u8, interlaced: u8) -> Vec<u8> {
    let sizes = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let ihdr = chunk(b"IHDR", &[&sizes[..], &[depth, color, 0, 0, interlaced]].concat());
    [b"\x89PNG\r\n\x1a\n", &ihdr[..]].concat()
}

/// An image whose header says something else than its pixels.
fn lying(width: u32, height: u32) -> Vec<u8> {
    let honest = image("7-1.png");
    [&header(width, height, 8, 0, 0), &honest[33..]].concat()
}

#[test]
fn a_file_that_is_no_image_or_lies_about_itself_is_refused_and_costs_little() {
    watched("a_file_that_is_no_image_or_lies_about_itself_is_refused_and_costs_little", || {
        let stage = Stage::new();
        let good = image("7-1.png");
        let black = |side: u32| stage::png(side, &vec![0; (side * side) as usize]);
        let mut corrupt = good.clone();
        corrupt[60] ^= 0x10;
        // More than enough pixels for a black one, in whatever order.
        let interlaced = [&header(28, 28, 8, 0, 1), &black(64)[33..]].concat();
        let end = chunk(b"IEND", b"");
        // A profile that says it is compressed, of a gigabyte; and a palette that is not there.
        let profile = chunk(b"iCCP", &[&b"x\0\0"[..], &[0x78, 0x9c], &[0xff; 2000]].concat());
        let files = [
            ("empty.png", vec![]),
            ("text.png", b"GIF89a and so on".to_vec()),
            ("signature.png", good[..8].to_vec()),
            ("header.png", good[..33].to_vec()),
            ("cut.png", good[..good.len() / 2].to_vec()),
            ("corrupt.png", corrupt),
            ("taller.png", lying(28, 29)),
            ("wider.png", lying(200, 28)),
            ("much-larger.png", lying(2048, 2048)),
            ("bomb.png", lying(0x7fff_ffff, 0x7fff_ffff)),
            ("nothing.png", lying(0, 28)),
            ("negative.png", lying(u32::MAX, u32::MAX)),
            ("over-the-cap.png", black(2049)),
            ("one-row.png", encode(100_000, 1, ColorType::Grayscale, BitDepth::Eight, &[0; 100_000])),
            ("interlaced.png", interlaced),
            ("no-palette.png", [&header(28, 28, 8, 3, 0), &good[33..]].concat()),
            ("bad-depth.png", [&header(28, 28, 3, 0, 0), &good[33..]].concat()),
            ("no-pixels.png", [&header(28, 28, 8, 0, 0), &profile[..], &end].concat()),
            (
                "long-chunk.png",
                [&header(28, 28, 8, 0, 0)[..], &[0x7f, 0xff, 0xff, 0xff], b"IDATxxxx"].concat(),
            ),
        ];
        let server = stage.serve(&[]);
        let client = stage.client();
        for (name, bytes) in files {
            stage.hang(name, &bytes);
            assert_eq!(client.ask(name), error("unreadable image"), "{name}");
        }
        fs::File::create(stage.root().join("sparse.png")).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(client.ask("sparse.png"), error("unreadable image"));
        stage.hang("black.png", &black(2048));
        assert!(matches!(client.ask("black.png"), Answer::Digit(..)), "the largest that there may be");
        // Nobody looks at what is behind the last row.
        stage.hang("bomb.png", &[&header(28, 28, 8, 0, 0), &black(4096)[33..]].concat());
        assert!(matches!(client.ask("bomb.png"), Answer::Digit(..)));
        is_served(&client);
        let most = peak_memory(server.child.id());
        assert!(most < 24 << 10, "{most} KiB for images of a few bytes");
    });
}

/// In KiB.
fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn an_image_that_is_broken_anywhere_is_answered() {
    watched("an_image_that_is_broken_anywhere_is_answered", || {
        let stage = Stage::new();
        let _server = stage.serve(&["--rate", "1000000"]);
        let client = stage.client();
        let good = image("7-1.png");
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 1 << (i % 8);
            stage.hang("bad.png", &bad);
            assert_ne!(client.ask("bad.png"), error("no such image"), "byte {i}");
            stage.hang("bad.png", &good[..i]);
            // All that is missing at the end is what nobody needs: the checksum of all, and the end.
            let answer = client.ask("bad.png");
            assert!(answer == error("unreadable image") || i > good.len() - 20, "{i} bytes: {answer:?}");
        }
        is_served(&client);
    });
}
