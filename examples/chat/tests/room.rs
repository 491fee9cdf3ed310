//! The chat with real processes, over both transports.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../tests/house/mod.rs"]
mod house;

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use house::{House, Program, complaint, each_address};
use nix::sys::signal::Signal;

const QUEUE: usize = 8;

fn chat(house: &House, arguments: &[&str]) -> Command {
    house.inside(Command::new(env!("CARGO_BIN_EXE_chat")), arguments)
}

fn open(house: &House, address: &str) -> Program {
    let queue = QUEUE.to_string();
    let mut server = Program::start(&mut chat(house, &["serve", address, "--queue", &queue]));
    server.wait_for("listening on");
    server
}

/// Somebody in the room, who has seen that.
fn join(house: &House, address: &str) -> Program {
    let mut member = Program::start(&mut chat(house, &["join", address]));
    let came_in = format!("{} came in", who(&member));
    assert_eq!(next(&mut member).replace('?', ""), format!("* {came_in}"));
    member
}

/// As the server must call a client, but for a mark that the pid is not verified.
fn who(member: &Program) -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap();
    format!("{}[{}]", user.name, member.child.id())
}

fn next(member: &mut Program) -> String {
    member.lines().next().expect("a line")
}

fn say(member: &mut Program, line: &str) {
    writeln!(member.stdin, "{line}").unwrap();
}

#[test]
fn everybody_hears_everybody_by_the_name_that_the_kernel_knows() {
    each_address("everybody_hears_everybody_by_the_name_that_the_kernel_knows", |house, address| {
        let _server = open(house, address);
        let mut a = join(house, address);
        let mut b = join(house, address);
        assert!(next(&mut a).contains("came in"));
        let (of_a, of_b) = (who(&a), who(&b));
        say(&mut a, &format!("\x1b[2J\r{of_b}: hello"));
        say(&mut a, "and again");
        for member in [&mut a, &mut b] {
            let [hello, again] = [next(member), next(member)];
            assert_eq!(hello.replace("?]", "]"), format!("{of_a}: [2J{of_b}: hello"));
            assert_eq!(again.replace("?]", "]"), format!("{of_a}: and again"));
            // Over FIFOs and TCP the pid is what the client says it is, and marked.
            let is_claimed = ["fifo", "tcp"].iter().any(|scheme| address.starts_with(scheme));
            assert_eq!(hello.contains("?]"), is_claimed, "{address}: {hello}");
        }
        drop(b);
        assert_eq!(next(&mut a).replace("?]", "]"), format!("* {of_b} left"));
    });
}

#[test]
fn one_that_pastes_a_page_has_nobody_cut_off() {
    each_address("one_that_pastes_a_page_has_nobody_cut_off", |house, address| {
        let _server = open(house, address);
        let mut reader = join(house, address);
        let page: Vec<String> = (0..10 * QUEUE).map(|i| format!("line {i}")).collect();
        let pasted = output(house, address, &page.join("\n"));
        assert!(pasted.status.success(), "{pasted:?}");
        assert!(next(&mut reader).contains("came in"));
        for line in page {
            assert!(next(&mut reader).ends_with(&format!("]: {line}")));
        }
    });
}

#[test]
fn one_that_is_stopped_holds_up_nobody_and_is_told_when_it_goes_on() {
    each_address("one_that_is_stopped_holds_up_nobody_and_is_told_when_it_goes_on", |house, address| {
        let _server = open(house, address);
        let mut stopped = join(house, address);
        let mut talkers = [join(house, address), join(house, address)];
        assert!(next(&mut talkers[0]).contains("came in"));
        (0..2).for_each(|_| assert!(next(&mut stopped).contains("came in")));
        stopped.signal(Signal::SIGSTOP);
        // They go on talking in turns, and everything said is heard, until the third is cut off and long after.
        let (mut said, mut cut_off) = (0, None);
        while cut_off.is_none_or(|at| said < at + 100) {
            assert!(said < 10_000, "it was never cut off");
            let line = format!("{said} {}", "x".repeat(4000));
            say(&mut talkers[said % 2], &line);
            for member in &mut talkers {
                let mut heard = next(member);
                if heard.contains(" was cut off") {
                    assert!(heard.replace("?]", "]").contains(&who(&stopped)), "{heard}");
                    // By the line before this one.
                    cut_off = Some(said - 1);
                    heard = next(member);
                }
                assert!(heard.ends_with(&line), "{heard:.100} instead of {line:.100}");
            }
            said += 1;
        }
        stopped.signal(Signal::SIGCONT);
        // All that its queue and the kernel held, without a gap, and then why there is no more.
        let mut got: Vec<String> = stopped.lines().collect();
        let why = got.pop().unwrap();
        assert_eq!(why, format!("* you were cut off, being {QUEUE} lines behind"));
        assert_eq!(got.len(), cut_off.unwrap());
        for (i, line) in got.iter().enumerate() {
            assert!(line.contains(&format!("]: {i} xxx")), "{line:.100} as line {i}");
        }
        assert_eq!(stopped.ended(), (Some(0), None));
    });
}

#[test]
fn the_end_of_the_server_is_a_goodbye() {
    each_address("the_end_of_the_server_is_a_goodbye", |house, address| {
        let mut server = open(house, address);
        let mut members = [join(house, address), join(house, address)];
        server.signal(Signal::SIGTERM);
        // Its standard input is still open.
        members.iter_mut().for_each(|member| assert_eq!(member.ended(), (Some(0), None)));
        assert_eq!(server.ended(), (Some(0), None));
    });
}

#[test]
fn a_killed_server_and_a_line_that_is_too_long_are_told() {
    each_address("a_killed_server_and_a_line_that_is_too_long_are_told", |house, address| {
        assert!(complaint(&output(house, address, "hello\n")).contains("no such server"));
        let server = open(house, address);
        let mut member = join(house, address);
        let output = output(house, address, &format!("{}\nshort\n", "x".repeat(5000)));
        assert!(String::from_utf8(output.stderr).unwrap().contains("5000"));
        assert!(String::from_utf8(output.stdout).unwrap().ends_with("]: short\n"));
        member.wait_for("left");
        drop(server);
        assert_eq!(member.ended(), (Some(1), None));
    });
}

fn output(house: &House, address: &str, input: &str) -> Output {
    let mut command = chat(house, &["join", address]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that failed at once may not read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}
