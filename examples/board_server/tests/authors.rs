//! Who posted what, and how much of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod board;

use std::{
    fs::{self, Permissions},
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    process::{Command, Output},
    time::{SystemTime, UNIX_EPOCH},
};

use board::{
    Board, Client, database,
    house::{House, said, skipped},
    over_each, texts,
};
use conformance::watched;
use nix::{
    sys::{
        signal::Signal,
        socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket},
    },
    unistd::geteuid,
};

const POSTED: &str = "MSGPosting Message!%";

type Row = (String, Option<u32>, Option<u32>, Option<String>, f64);

fn rows(house: &House) -> Vec<Row> {
    let database = database(house);
    let mut query =
        database.prepare("SELECT text, uid, pid, address, posted_at FROM messages ORDER BY id").unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
    query.query_map([], row).unwrap().map(Result::unwrap).collect()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

#[test]
fn the_author_and_the_time_are_kept_with_each_message() {
    over_each("the_author_and_the_time_are_kept_with_each_message", |scheme| {
        let board = Board::open(scheme, &[]);
        // SQLite's clock has milliseconds.
        let before = now() - 0.001;
        let mut client = board.connect();
        let expected = match &client {
            Client::Unix(_) => (Some(geteuid().as_raw()), Some(std::process::id()), None),
            Client::Tcp(stream) => (None, None, Some(stream.local_addr().unwrap().to_string())),
        };
        client.says("POSTmine%");
        assert_eq!(client.rest(), POSTED);
        let after = now();
        let rows = rows(&board.close());
        let [(text, uid, pid, address, posted_at)] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((text.as_str(), (*uid, *pid, address.clone())), ("mine", expected));
        assert!((before..=after).contains(posted_at), "{posted_at} is not from {before} to {after}");
    });
}

#[test]
fn an_author_who_has_posted_enough_is_refused_after_a_restart_too_and_reads_on() {
    over_each("an_author_who_has_posted_enough_is_refused_after_a_restart_too_and_reads_on", |scheme| {
        let board = Board::open(scheme, &["--per-author", "3"]);
        let answers = board.ask("POSTa%POSTb%POSTc%POSTd%");
        assert_eq!(answers, format!("{}ERRToo Many Messages%", POSTED.repeat(3)));
        let board = board.reopen_after(Signal::SIGKILL, &["--per-author", "3"]);
        assert_eq!(board.ask("POSTe%GET%"), "ERRToo Many Messages%MSG[(1, 'a'), (2, 'b'), (3, 'c')]%");
        let board = board.reopen_after(Signal::SIGTERM, &["--per-author", "4"]);
        assert_eq!(board.ask("POSTf%POSTg%"), format!("{POSTED}ERRToo Many Messages%"));
        assert_eq!(texts(&board.close()), ["a", "b", "c", "f"]);
    });
}

/// There are 16 million addresses to connect from.
#[test]
fn at_a_port_all_of_this_machine_is_one_author() {
    watched("at_a_port_all_of_this_machine_is_one_author", || {
        let board = Board::open("tcp", &["--per-author", "1"]);
        assert_eq!(board.ask("POSTfirst%"), POSTED);
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 2, 0)).unwrap();
        let server: SockaddrIn = board.address.strip_prefix("tcp:").unwrap().parse().unwrap();
        connect(socket.as_raw_fd(), &server).unwrap();
        let mut client = Client::Tcp(socket.into());
        client.says("POSTsecond%");
        assert_eq!(client.rest(), "ERRToo Many Messages%");
    });
}

const NOBODY: u32 = 65534;

/// What another user's process gets for this command, to the end of file.
const ASK: &str = "import os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
try:
    s.connect(sys.argv[1])
    s.sendall(sys.argv[2].encode())
    while piece := s.recv(1000):
        print(piece.decode(), end='')
except OSError as error:
    print(type(error).__name__, end='')
";

/// None: it cannot be tried here.
fn ask_as_nobody(board: &Board, command: &str) -> Option<String> {
    fs::set_permissions(board.house.place(""), Permissions::from_mode(0o755)).unwrap();
    let path = board.house.place("board.sock");
    let ran: Option<Output> = Command::new("python3").args(["-c", ASK]).arg(path).arg(command).output().ok();
    ran.map(|ended| said(&ended))
}

#[test]
fn other_users_are_admitted_only_if_the_operator_says_so_and_have_a_number_of_their_own() {
    let name = "other_users_are_admitted_only_if_the_operator_says_so_and_have_a_number_of_their_own";
    watched(name, || {
        if !geteuid().is_root() {
            return skipped("another user can be tried by root only");
        }
        let board = Board::open("unix", &[]);
        let Some(refused) = ask_as_nobody(&board, "POSTby nobody%") else {
            return skipped("there is no python3");
        };
        assert_eq!(refused, "PermissionError");
        assert_eq!(board.ask("POSTby us%"), POSTED);
        let board = board.reopen_after(Signal::SIGTERM, &["--allow", "any", "--per-author", "1"]);
        let answers = ask_as_nobody(&board, "POSTby nobody%POSTagain%").unwrap();
        assert_eq!(answers, format!("{POSTED}ERRToo Many Messages%"));
        assert_eq!(board.ask("POSTagain%"), "ERRToo Many Messages%");
        let authors: Vec<_> = rows(&board.close()).into_iter().map(|(text, uid, ..)| (text, uid)).collect();
        assert_eq!(authors, [("by us".to_owned(), Some(0)), ("by nobody".to_owned(), Some(NOBODY))]);
    });
}
