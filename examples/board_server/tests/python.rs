//! Clients in Python, which know its sockets and nothing of hobnob.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod board;

use std::process::{Command, Output};

use board::{
    Board,
    house::{said, skipped},
    over_each,
};

/// None: there is no Python.
fn python(board: &Board, script: &str, arguments: &[&str]) -> Option<Output> {
    let path = format!("{}/{script}", env!("CARGO_MANIFEST_DIR"));
    let ran = board.house.inside(Command::new("python3"), &[&path, &board.address]).args(arguments).output();
    if ran.is_err() {
        skipped("there is no python3");
    }
    ran.ok()
}

#[test]
fn an_old_client_posts_and_reads_to_the_end_of_file() {
    over_each("an_old_client_posts_and_reads_to_the_end_of_file", |scheme| {
        let board = Board::open(scheme, &[]);
        let talk = |commands: &str| python(&board, "client.py", &[commands]).map(|ended| said(&ended));
        let Some(posted) = talk("POSThello%") else { return };
        assert_eq!(posted, "MSGPosting Message!\n");
        assert_eq!(talk("POSTit's \"wörld\" \\ 🎉%").unwrap(), "MSGPosting Message!\n");
        assert_eq!(talk("GET%").unwrap(), "1 hello\n2 it's \"wörld\" \\ 🎉\n");
        assert_eq!(talk("GETT%GET%").unwrap(), "ERRUnknown Command\n1 hello\n2 it's \"wörld\" \\ 🎉\n");
        assert_eq!(talk(&"x".repeat(5000)).unwrap(), "ERRBuffer Overloaded\n");
    });
}

/// Random text of every kind of character: what GET answers is what Python would have written, and reads.
#[test]
fn the_list_is_what_python_writes_and_reads() {
    over_each("the_list_is_what_python_writes_and_reads", |scheme| {
        let board = Board::open(scheme, &["--recent", "500", "--keep-alive", "60"]);
        let Some(ended) = python(&board, "tests/literals.py", &[]) else { return };
        assert_eq!(said(&ended), "500 messages\n");
    });
}
