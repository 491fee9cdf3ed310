//! What the program does not start with, and what a board does not take.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod board;

use std::{fs, path::Path, process::Command};

use board::{
    Board, arguments, binary,
    house::{House, complaint},
    over_each, texts,
};
use conformance::watched;
use nix::sys::signal::Signal;
use rusqlite::Connection;

const POSTED: &str = "MSGPosting Message!%";

/// What the program says of a database that it cannot use.
fn complaint_about(house: &House, database: &Path) -> String {
    let [address, db, _] = arguments(house, "unix");
    let complaint = complaint(&house.inside(binary(), &[&address, &db]).arg(database).output().unwrap());
    let begins = format!("board_server: the database {}: ", database.display());
    assert!(complaint.starts_with(&begins) && complaint.contains("expected"), "{complaint}");
    assert!(!house.place("board.sock").exists(), "nobody could have connected");
    complaint
}

#[test]
fn what_is_no_board_is_refused_and_left_as_it_is() {
    watched("what_is_no_board_is_refused_and_left_as_it_is", || {
        let house = House::new();
        let text = house.place("text");
        fs::write(&text, "this is no database, ".repeat(1000)).unwrap();
        assert!(complaint_about(&house, &text).contains("no SQLite database"));
        assert_eq!(fs::read_to_string(&text).unwrap(), "this is no database, ".repeat(1000));
        let others = house.place("others.db");
        Connection::open(&others).unwrap().execute_batch("CREATE TABLE messages (id, text)").unwrap();
        let before = fs::read(&others).unwrap();
        assert!(complaint_about(&house, &others).contains("another program's"));
        assert_eq!(fs::read(&others).unwrap(), before);
        let newer = house.place("newer.db");
        let pragmas = "PRAGMA application_id = 0x686f6262; PRAGMA user_version = 7";
        Connection::open(&newer).unwrap().execute_batch(pragmas).unwrap();
        assert!(complaint_about(&house, &newer).contains("version 7"));
        assert!(
            complaint_about(&house, &house.place("no/such/directory")).contains("No such file or directory")
        );
        assert!(complaint_about(&house, &house.place("")).contains("Is a directory"));
    });
}

#[test]
fn a_database_has_one_server() {
    over_each("a_database_has_one_server", |scheme| {
        let board = Board::open(scheme, &[]);
        assert!(complaint_about(&House::new(), &board.file()).contains("another process has it open"));
        assert_eq!(board.ask("POSTstill mine%GET%"), format!("{POSTED}MSG[(1, 'still mine')]%"));
    });
}

#[test]
fn a_name_that_sqlite_takes_for_memory_is_a_file() {
    watched("a_name_that_sqlite_takes_for_memory_is_a_file", || {
        let house = House::new();
        let mut command = Command::new("sh");
        command.args(["-c", "cd \"$0\" && exec \"$@\""]).arg(house.place("")).arg(binary().get_program());
        let [address, ..] = arguments(&house, "unix");
        let mut server = board::house::Program::start(command.args([&address, "--db", ":memory:"]));
        server.wait_for("listening on");
        server.signal(Signal::SIGTERM);
        server.ended();
        assert!(fs::metadata(house.place(":memory:")).unwrap().len() > 0);
    });
}

#[test]
fn addresses_and_users_that_do_not_go_together_are_refused() {
    watched("addresses_and_users_that_do_not_go_together_are_refused", || {
        let house = House::new();
        let db = house.place("board.db").display().to_string();
        for (arguments, words) in [
            (vec!["board", "--db", &db], "unix:/PATH"),
            (vec!["fifo:board", "--db", &db], "unix:/PATH"),
            (vec!["tcp:127.0.0.1:0", "--db", &db, "--allow", "own"], "nobody knows"),
        ] {
            let complaint = complaint(&house.inside(binary(), &arguments).output().unwrap());
            assert!(complaint.contains(words) && complaint.contains("expected"), "{complaint}");
        }
        for wrong in [["--timeout", "0"], ["--timeout", "soon"], ["--recent", "0"], ["--per-author", "0"]] {
            let command = &mut house.inside(binary(), &["unix:/tmp/never", "--db", &db]);
            assert_eq!(command.args(wrong).output().unwrap().status.code(), Some(2), "{wrong:?}");
        }
    });
}

/// Posts until that is refused, and gives the answer then and how many were taken.
fn fill(board: &Board, message: &str) -> (String, usize) {
    for taken in 0..2000 {
        let answer = board.ask(format!("POST{message}%"));
        if answer != POSTED {
            return (answer, taken);
        }
    }
    panic!("there was always room");
}

#[test]
fn a_full_board_refuses_posts_and_is_read() {
    over_each("a_full_board_refuses_posts_and_is_read", |scheme| {
        let board = Board::open(scheme, &["--max-size", "1", "--recent", "2"]);
        let message = "x".repeat(3900);
        let (answer, taken) = fill(&board, &message);
        assert_eq!(answer, "ERRBoard Full%");
        assert!((200..256).contains(&taken), "{taken} messages of nearly a page each in 256 pages");
        assert_eq!(board.ask(format!("POST{message}%")), "ERRBoard Full%");
        assert_eq!(board.listed().last().unwrap(), &(taken as i64, message.clone()));
        assert!(fs::metadata(board.file()).unwrap().len() <= 1 << 20);
        let board = board.reopen_after(Signal::SIGTERM, &["--max-size", "2", "--recent", "2"]);
        assert_eq!(board.ask(format!("POST{message}%")), POSTED);
        assert_eq!(texts(&board.close()).len(), taken + 1);
    });
}

/// Files may not grow beyond a limit of the process. The signal that comes with it is ignored, as on a full disk there
/// is none.
#[test]
fn a_disk_that_takes_no_more_ends_neither_the_server_nor_what_was_acknowledged() {
    let name = "a_disk_that_takes_no_more_ends_neither_the_server_nor_what_was_acknowledged";
    over_each(name, |scheme| {
        let house = House::new();
        let mut command = house.inside(Command::new("sh"), &["-c"]);
        command.args(["trap '' XFSZ; ulimit -f 400; exec \"$0\" \"$@\""]).arg(binary().get_program());
        let board = Board::open_by(command, house, scheme, &["--recent", "2"]);
        let message = "x".repeat(3900);
        let (answer, taken) = fill(&board, &message);
        assert_eq!(answer, "ERRBoard Unavailable%");
        assert!(taken > 0);
        assert_eq!(board.ask(format!("POST{message}%")), "ERRBoard Unavailable%");
        assert_eq!(board.listed().last().unwrap(), &(taken as i64, message.clone()));
        let board = board.reopen_after(Signal::SIGKILL, &["--recent", "2"]);
        assert_eq!(board.ask("POSTthere is room again%"), POSTED);
        assert_eq!(texts(&board.close()).len(), taken + 1);
    });
}

/// No client can post it, for it would have ended the command.
#[test]
fn an_end_of_command_put_into_the_database_by_hand_does_not_end_the_list() {
    watched("an_end_of_command_put_into_the_database_by_hand_does_not_end_the_list", || {
        let board = Board::open("unix", &[]);
        assert_eq!(board.ask("POSTbefore%"), POSTED);
        let house = board.close();
        board::database(&house).execute_batch("UPDATE messages SET text = '100%'").unwrap();
        let board = Board::open_in(house, "unix", &[]);
        assert_eq!(board.ask("GET%"), "MSG[(1, '100\\x25')]%");
    });
}
