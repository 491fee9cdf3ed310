//! Many clients at once: honest ones, slow ones, and those who never come to an end.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod board;

use std::{process::Command, thread};

use board::{
    Board, Client, binary,
    house::{House, skipped},
    over_each, texts,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

const POSTED: &str = "MSGPosting Message!%";
const CROWD: usize = 1000;

/// Whether there can be so many connections in this process, and in another.
fn there_is_room_for(connections: usize) -> bool {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let backlog = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    let backlog: usize = backlog.trim().parse().unwrap_or_default();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    most > connections as u64 + 200 && backlog >= connections
}

#[test]
fn a_thousand_clients_who_post_at_once_lose_nothing() {
    over_each("a_thousand_clients_who_post_at_once_lose_nothing", |scheme| {
        if !there_is_room_for(CROWD) {
            return skipped("too few descriptors, or too short a backlog, for 1,000 clients at once");
        }
        // Where the usual limit of descriptors is low, the server raises it.
        let house = House::new();
        let mut command = house.inside(Command::new("sh"), &["-c", "ulimit -Sn 256; exec \"$0\" \"$@\""]);
        command.arg(binary().get_program());
        let board = Board::open_by(command, house, scheme, &["--timeout", "100"]);
        let mut clients: Vec<Client> = (0..CROWD).map(|_| board.connect()).collect();
        for (i, client) in clients.iter_mut().enumerate() {
            client.says(format!("POST{i}%"));
        }
        for client in &mut clients {
            assert_eq!(client.rest(), POSTED);
        }
        let mut kept: Vec<usize> = texts(&board.close()).iter().map(|text| text.parse().unwrap()).collect();
        kept.sort_unstable();
        assert!(kept.into_iter().eq(0..CROWD), "each once");
    });
}

#[test]
fn two_hundred_who_never_finish_a_command_hold_up_nobody_and_are_told() {
    over_each("two_hundred_who_never_finish_a_command_hold_up_nobody_and_are_told", |scheme| {
        for (timeout, honest) in [("100", 10), ("0.5", 0)] {
            let board = Board::open(scheme, &["--timeout", timeout]);
            let mut unfinished: Vec<Client> = (0..200).map(|_| board.connect()).collect();
            unfinished.iter_mut().for_each(|client| client.says("POSTa command without an e"));
            for _ in 0..honest {
                assert_eq!(board.ask("POSThonest%"), POSTED);
            }
            for client in &mut unfinished {
                if honest > 0 {
                    client.says("nd%");
                }
                let expected = if honest > 0 { POSTED } else { "ERRTimeout!%" };
                assert_eq!(client.rest(), expected);
            }
        }
    });
}

/// How many the server has open.
fn descriptors(board: &Board) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", board.server.child.id())).unwrap().count()
}

/// Each has far more to read than a socket takes.
#[test]
fn those_who_do_not_read_hold_up_nobody_and_are_let_go() {
    over_each("those_who_do_not_read_hold_up_nobody_and_are_let_go", |scheme| {
        let options = ["--timeout", "0.5", "--keep-alive", "100", "--recent", "1000"];
        let board = Board::open(scheme, &options);
        let mut client = board.connect();
        for _ in 0..500 {
            client.says(format!("POST{}%", "\0".repeat(3996)));
            assert_eq!(client.answer(), POSTED);
        }
        let before = descriptors(&board);
        let mut deaf: Vec<Client> = (0..10).map(|_| board.connect()).collect();
        deaf.iter_mut().for_each(|client| client.says("GET%GET%"));
        client.says("POSThonest%");
        assert_eq!(client.answer(), POSTED);
        while descriptors(&board) > before {
            thread::yield_now();
        }
        client.says("POSTstill here%");
        assert_eq!(client.answer(), POSTED);
    });
}
