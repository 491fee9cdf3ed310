//! What clients get, byte for byte, and what becomes of those who send something else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod board;

use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

use board::{Board, over_each};
use nix::sys::signal::Signal;

const POSTED: &str = "MSGPosting Message!%";

#[test]
fn posts_are_listed_to_whoever_asks_and_each_answer_is_followed_by_the_end() {
    over_each("posts_are_listed_to_whoever_asks_and_each_answer_is_followed_by_the_end", |scheme| {
        let board = Board::open(scheme, &[]);
        assert_eq!(board.ask("GET%"), "MSG[]%");
        assert_eq!(board.ask("POSThello%"), POSTED);
        assert_eq!(board.ask("POSTworld%"), POSTED);
        assert_eq!(board.ask("GET%"), "MSG[(1, 'hello'), (2, 'world')]%");
        assert_eq!(board.ask("POST%"), POSTED, "an empty message is one");
        assert_eq!(board.ask("GET%"), "MSG[(1, 'hello'), (2, 'world'), (3, '')]%");
    });
}

#[test]
fn what_is_no_command_is_unknown() {
    over_each("what_is_no_command_is_unknown", |scheme| {
        let board = Board::open(scheme, &[]);
        for command in
            ["%", "get%", "GET %", " GET%", "GETS%", "PUSThello%", "POS%", "hello%", "\0%", "\u{fffd}%"]
        {
            assert_eq!(board.ask(command), "ERRUnknown Command%", "{command:?}");
        }
        assert_eq!(board.ask(b"\xff\xfe%"), "ERRUnknown Command%");
        assert_eq!(board.ask("GET%"), "MSG[]%");
    });
}

#[test]
fn all_commands_that_came_together_are_answered_in_their_order() {
    over_each("all_commands_that_came_together_are_answered_in_their_order", |scheme| {
        let board = Board::open(scheme, &[]);
        let answers = board.ask("POSTone%?%GET%POSTtwo%GET%");
        let expected = "MSGPosting Message!%ERRUnknown Command%MSG[(1, 'one')]%MSGPosting Message!%\
                        MSG[(1, 'one'), (2, 'two')]%";
        assert_eq!(answers, expected);
        // More than one read brings.
        let many: String = (0..200).map(|i| format!("POST{i} {}%", "x".repeat(100))).collect();
        assert_eq!(board.ask(many), POSTED.repeat(200));
        assert_eq!(board.listed().len(), 100);
    });
}

#[test]
fn what_is_behind_the_last_command_is_no_error() {
    over_each("what_is_behind_the_last_command_is_no_error", |scheme| {
        let board = Board::open(scheme, &[]);
        for behind in ["\n", "\r\n", "POSThalf of a com", "GET"] {
            assert_eq!(board.ask(format!("POSTwhole%{behind}")), POSTED, "{behind:?}");
        }
        assert_eq!(board.ask("POSTwhole%\r\nPOSTwhole%\n\nGET%\n").matches(POSTED).count(), 2);
        let listed: Vec<_> = board.listed().into_iter().map(|(_, text)| text).collect();
        assert_eq!(listed, ["whole"; 6]);
        // And who ends without a whole command is let go.
        let mut client = board.connect();
        client.says("POSThalf");
        client.ends_its_direction();
        assert_eq!(client.rest(), "");
    });
}

/// It sends on for a while after the answer was written, and reads only then.
#[test]
fn one_who_sends_too_much_reads_why_it_is_let_go() {
    over_each("one_who_sends_too_much_reads_why_it_is_let_go", |scheme| {
        let board = Board::open(scheme, &[]);
        let longest = format!("POST{}", "x".repeat(3996));
        assert_eq!(board.ask(format!("{longest}%")), POSTED);
        assert_eq!(board.ask(format!("{longest}x")), "ERRBuffer Overloaded%", "before its end has come");
        assert_eq!(board.ask(format!("{longest}x%")), "ERRBuffer Overloaded%");
        assert_eq!(board.ask(vec![b'x'; 20 << 20]), "ERRBuffer Overloaded%");
        assert_eq!(board.ask(format!("POSTfirst%{longest}x%GET%")), format!("{POSTED}ERRBuffer Overloaded%"));
        assert_eq!(board.listed().len(), 2);
    });
}

#[test]
fn one_who_finishes_nothing_within_the_deadline_is_told_so() {
    over_each("one_who_finishes_nothing_within_the_deadline_is_told_so", |scheme| {
        let board = Board::open(scheme, &["--timeout", "0.3"]);
        for half in ["", "POSTnever fini"] {
            let begun = Instant::now();
            assert_eq!(board.ask(half), "ERRTimeout!%");
            assert!(begun.elapsed() >= Duration::from_millis(300), "not before");
        }
        // One that is never silent for long.
        let mut drip = board.connect();
        let answer = std::thread::scope(|scope| {
            let mut reader = match &drip {
                board::Client::Unix(stream) => board::Client::Unix(stream.try_clone().unwrap()),
                board::Client::Tcp(stream) => board::Client::Tcp(stream.try_clone().unwrap()),
            };
            let reading = scope.spawn(move || reader.answer());
            while !reading.is_finished() {
                // Once it was told, the server hears it no more, and then not at all.
                let _ = drip.write(b"x");
                std::thread::sleep(Duration::from_millis(1));
            }
            reading.join().unwrap()
        });
        assert_eq!(answer, "ERRTimeout!%");
        assert_eq!(board.listed(), []);
    });
}

#[test]
fn a_kept_connection_takes_command_after_command_and_ends_without_a_word() {
    over_each("a_kept_connection_takes_command_after_command_and_ends_without_a_word", |scheme| {
        let board = Board::open(scheme, &["--keep-alive", "60"]);
        let mut client = board.connect();
        for i in 0..20 {
            client.says(format!("POST{i}%"));
            assert_eq!(client.answer(), POSTED);
        }
        // Its own end ends it.
        client.says("POSTlast%");
        assert_eq!(client.answer(), POSTED);
        client.ends_its_direction();
        assert_eq!(client.rest(), "");
        // So does the time.
        let board = board.reopen_after(Signal::SIGTERM, &["--keep-alive", "0.5"]);
        let (mut client, begun) = (board.connect(), Instant::now());
        client.says("GET%\nPOSThalf");
        assert_eq!(board::parse(&client.answer()).len(), 21);
        assert_eq!(client.rest(), "", "an answer now would be taken for one to the next command");
        assert!(begun.elapsed() >= Duration::from_millis(500), "not before");
    });
}

#[test]
fn text_in_no_unicode_is_refused_and_not_kept() {
    over_each("text_in_no_unicode_is_refused_and_not_kept", |scheme| {
        let board = Board::open(scheme, &[]);
        for rubbish in [&b"POST\xff%"[..], b"POSThalf an emoji \xf0\x9f%", b"POST\xed\xa0\x80%"] {
            assert_eq!(board.ask(rubbish), "ERRNot UTF-8%");
        }
        assert_eq!(board.ask("GET%"), "MSG[]%");
    });
}

#[test]
fn sql_in_a_message_is_text() {
    over_each("sql_in_a_message_is_text", |scheme| {
        let board = Board::open(scheme, &[]);
        assert_eq!(board.ask("POST'); DROP TABLE messages;--%"), POSTED);
        assert_eq!(board.ask("POST\" OR 1=1; DELETE FROM messages%"), POSTED);
        let listed = "MSG[(1, \"'); DROP TABLE messages;--\"), (2, '\" OR 1=1; DELETE FROM messages')]%";
        assert_eq!(board.ask("GET%"), listed);
    });
}

/// A fifth of it ends commands.
#[test]
fn rubbish_is_answered_and_the_next_client_is_served() {
    over_each("rubbish_is_answered_and_the_next_client_is_served", |scheme| {
        let board = Board::open(scheme, &["--timeout", "60"]);
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        for _ in 0..50 {
            let size = random() % 3000;
            let rubbish: Vec<u8> = (0..size)
                .map(|_| if random() % 5 == 0 { b'%' } else { random() as u8 })
                .chain(*b"%")
                .collect();
            let answers = board.ask(&rubbish);
            let commands = rubbish.split(|byte| *byte == b'%').count() - 1;
            assert_eq!(answers.matches('%').count(), commands, "an answer for each command");
            assert!(
                answers.split_terminator('%').all(|answer| answer == "ERRUnknown Command"),
                "{answers:.200}"
            );
        }
        assert_eq!(board.ask("POSTstill here%GET%"), format!("{POSTED}MSG[(1, 'still here')]%"));
    });
}

#[test]
fn the_list_ends_with_the_most_recent_message() {
    over_each("the_list_ends_with_the_most_recent_message", |scheme| {
        let board = Board::open(scheme, &["--recent", "3", "--keep-alive", "60"]);
        let mut client = board.connect();
        for i in 1..=7 {
            client.says(format!("POSTmessage {i}%"));
            assert_eq!(client.answer(), POSTED);
        }
        client.says("GET%");
        assert_eq!(client.answer(), "MSG[(5, 'message 5'), (6, 'message 6'), (7, 'message 7')]%");
    });
}

#[test]
fn a_hundred_of_the_longest_messages_are_listed_whole() {
    over_each("a_hundred_of_the_longest_messages_are_listed_whole", |scheme| {
        let board = Board::open(scheme, &["--keep-alive", "60"]);
        let mut client = board.connect();
        // What takes most room in the list.
        let message = "\0".repeat(3996);
        for _ in 0..100 {
            client.says(format!("POST{message}%"));
            assert_eq!(client.answer(), POSTED);
        }
        client.says("GET%");
        let (mut list, mut room) = (Vec::new(), [0; 65536]);
        while !list.ends_with(b"%") {
            let count = client.read(&mut room).unwrap();
            assert!(count > 0, "the end of the file after {} bytes", list.len());
            list.extend_from_slice(&room[..count]);
        }
        let entries: Vec<_> = (1..=100).map(|id| format!("({id}, '{}')", "\\x00".repeat(3996))).collect();
        assert!(list == format!("MSG[{}]%", entries.join(", ")).as_bytes(), "not the whole list");
    });
}
