//! What was acknowledged is there, whatever happened since.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod board;
#[path = "../../../tests/strace/mod.rs"]
mod strace;

use std::{
    io::Read,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
};

use board::{Board, Client, binary, house::House, over_each, texts};
use conformance::watched;
use nix::sys::signal::Signal;

const POSTED: &str = "MSGPosting Message!%";

#[test]
fn messages_survive_a_restart_and_a_kill_and_go_on_being_numbered() {
    over_each("messages_survive_a_restart_and_a_kill_and_go_on_being_numbered", |scheme| {
        let board = Board::open(scheme, &[]);
        assert_eq!(board.ask("POSTone%"), POSTED);
        let board = board.reopen_after(Signal::SIGTERM, &[]);
        assert_eq!(board.ask("POSTtwo%"), POSTED);
        let board = board.reopen_after(Signal::SIGKILL, &[]);
        assert_eq!(
            board.ask("POSTthree%GET%"),
            format!("{POSTED}MSG[(1, 'one'), (2, 'two'), (3, 'three')]%")
        );
    });
}

/// One of several who post, each over a connection that is kept, until the server is gone.
fn posts_until_the_end(mut client: Client, name: usize, acknowledged: &AtomicUsize) -> usize {
    for number in 0.. {
        use std::io::Write;
        // The server may be gone by now.
        let sent = client.write_all(format!("POST{name} {number}%").as_bytes());
        let mut answer = [0; POSTED.len()];
        if sent.and_then(|()| client.read_exact(&mut answer)).is_err() {
            return number;
        }
        assert_eq!(answer, POSTED.as_bytes());
        acknowledged.fetch_add(1, SeqCst);
    }
    unreachable!("there are enough numbers")
}

#[test]
fn a_kill_while_clients_post_loses_nothing_that_was_acknowledged() {
    over_each("a_kill_while_clients_post_loses_nothing_that_was_acknowledged", |scheme| {
        let mut board = Board::open(scheme, &["--keep-alive", "60"]);
        for round in 0..5 {
            let acknowledged = AtomicUsize::new(0);
            let names: Vec<usize> = (0..8).map(|client| round * 100 + client).collect();
            let counts: Vec<usize> = thread::scope(|scope| {
                let post = |name: &usize| {
                    let (client, name, acknowledged) = (board.connect(), *name, &acknowledged);
                    scope.spawn(move || posts_until_the_end(client, name, acknowledged))
                };
                let posting: Vec<_> = names.iter().map(post).collect();
                while acknowledged.load(SeqCst) < 50 + round {
                    thread::yield_now();
                }
                board.server.signal(Signal::SIGKILL);
                posting.into_iter().map(|client| client.join().unwrap()).collect()
            });
            board = board.reopen_after(Signal::SIGKILL, &[]);
            assert!(!board.listed().is_empty(), "it serves again");
            let house = board.close();
            check(&texts(&house), &names, &counts);
            board = Board::open_in(house, scheme, &["--keep-alive", "60"]);
        }
    });
}

/// Each client's are there once and in order, with at most one more than it knows of.
fn check(kept: &[String], names: &[usize], counts: &[usize]) {
    for (name, acknowledged) in names.iter().zip(counts) {
        let of_this = kept.iter().filter_map(|text| text.strip_prefix(&format!("{name} ")));
        let of_this: Vec<_> = of_this.collect();
        let expected: Vec<_> = (0..of_this.len()).map(|number| number.to_string()).collect();
        assert_eq!(of_this, expected, "{name}");
        assert!((*acknowledged..=acknowledged + 1).contains(&of_this.len()), "{name}: {acknowledged} were");
    }
}

/// A kill of the process loses nothing that the kernel has. That the disk has it shows only in the order of the calls.
#[test]
fn no_post_is_acknowledged_before_its_commit_is_on_the_disk() {
    const NAME: &str = "no_post_is_acknowledged_before_its_commit_is_on_the_disk";
    over_each(NAME, |scheme| {
        if !strace::can_trace() {
            return strace::skipped(NAME);
        }
        let house = House::new();
        let (log, calls) = (house.place("log"), "trace=recvfrom,recvmsg,fsync,fdatasync,sendto,sendmsg");
        // The tracer is the child of its own child, which signals reach.
        let mut command =
            house.inside(Command::new("strace"), &["-D", "-f", "-y", "-s", "50", "-e", calls, "-o"]);
        command.arg(&log).arg(binary().get_program());
        let board = Board::open_by(command, house, scheme, &["--keep-alive", "60"]);
        let mut client = board.connect();
        for i in 0..5 {
            client.says(format!("POSTmessage {i}%"));
            assert_eq!(client.answer(), POSTED);
        }
        let house = board.close();
        let log = ended_log(&house);
        let lines: Vec<&str> = log.lines().collect();
        let answers =
            |lines: &[&str]| lines.iter().filter(|line| line.contains("MSGPosting Message!")).count();
        for i in 0..5 {
            let received = lines.iter().position(|line| line.contains(&format!("\"POSTmessage {i}%")));
            let received = received.unwrap_or_else(|| panic!("message {i} is missing:\n{log}"));
            let is_commit = |line: &&str| line.contains("sync") && line.ends_with("= 0");
            let commit = lines[received..].iter().position(is_commit);
            let commit = received + commit.unwrap_or_else(|| panic!("no commit of message {i}:\n{log}"));
            assert_eq!(answers(&lines[..commit]), i, "an answer before the commit of message {i}:\n{log}");
        }
        assert_eq!(answers(&lines), 5);
    });
}

/// The tracer may still write after the program has ended.
fn ended_log(house: &House) -> String {
    loop {
        let log = std::fs::read_to_string(house.place("log")).unwrap();
        if log.lines().last().is_some_and(|line| line.contains("+++ exited with 0 +++")) {
            return log;
        }
        thread::yield_now();
    }
}

/// It is stopped first, so that all of it has come when it is told to end.
#[test]
fn what_came_whole_before_the_end_is_answered_and_kept() {
    over_each("what_came_whole_before_the_end_is_answered_and_kept", |scheme| {
        let mut board = Board::open(scheme, &["--keep-alive", "60"]);
        let mut clients: Vec<Client> = (0..20).map(|_| board.connect()).collect();
        for client in &mut clients {
            client.says("GET%");
            assert_eq!(client.answer(), "MSG[]%", "it has a connection");
        }
        let _idle = board.connect();
        board.server.signal(Signal::SIGSTOP);
        for (i, client) in clients.iter_mut().enumerate() {
            client.says(format!("POST{i}%POST{i} again%POSThalf"));
        }
        board.server.signal(Signal::SIGTERM);
        board.server.signal(Signal::SIGCONT);
        for client in &mut clients {
            assert_eq!([client.answer(), client.answer()], [POSTED, POSTED]);
        }
        assert_eq!(board.server.ended(), (Some(0), None));
        let mut kept = texts(&board.house);
        kept.sort();
        let mut sent: Vec<_> = (0..20).flat_map(|i| [format!("{i}"), format!("{i} again")]).collect();
        sent.sort();
        assert_eq!(kept, sent);
    });
}

#[test]
fn at_its_end_the_server_leaves_nothing_but_the_database() {
    over_each("at_its_end_the_server_leaves_nothing_but_the_database", |scheme| {
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let mut board = Board::open(scheme, &[]);
            assert_eq!(board.ask("POSThello%"), POSTED);
            board.server.signal(signal);
            assert_eq!(board.server.ended(), (Some(0), None));
            let (house, mut left) = (&board.house, Vec::new());
            for entry in std::fs::read_dir(house.place("")).unwrap() {
                left.push(entry.unwrap().file_name().into_string().unwrap());
            }
            left.retain(|name| name != "names");
            assert_eq!(left, ["board.db"]);
            let mode =
                std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(house.place("board.db")).unwrap());
            assert_eq!(mode & 0o777, 0o600, "who may not connect may not read");
            assert_eq!(texts(house), ["hello"]);
        }
    });
}

#[test]
fn a_dead_servers_socket_is_taken_over_and_a_live_ones_never() {
    watched("a_dead_servers_socket_is_taken_over_and_a_live_ones_never", || {
        let board = Board::open("unix", &[]);
        let mut second = board.house.inside(binary(), &[&board.address, "--db"]);
        let refused = second.arg(board.house.place("other.db")).output().unwrap();
        let complaint = board::house::complaint(&refused);
        assert!(complaint.starts_with("board_server: ") && complaint.contains("in use"), "{complaint}");
        assert_eq!(board.ask("POSTstill the first%"), POSTED);
        let house = board.house_after(Signal::SIGKILL);
        assert!(house.place("board.sock").exists(), "it was killed");
        let board = Board::open_in(house, "unix", &[]);
        assert_eq!(board.ask("GET%"), "MSG[(1, 'still the first')]%");
    });
}
