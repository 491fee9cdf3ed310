//! Who may ask: whom the kernel says a datagram is from.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../tests/house/mod.rs"]
mod house;
mod stage;

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::{Child, Stdio},
};

use conformance::watched;
use stage::{Answer, CLIENT, OTHER, Stage, has_python, log_of, said};

/// Sends, says so, and says when it is told to what has come until then.
const STRANGER: &str = r#"
import socket, struct, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
    client.bind("")
    try:
        client.sendto(struct.pack("!HB256p16p", 1, 1, b"7-1.png", b""), sys.argv[1])
        print("sent", flush=True)
    except PermissionError:
        print("kept out by the kernel", flush=True)
    sys.stdin.read()
    client.setblocking(False)
    try:
        print(client.recv(275)[2], flush=True)
    except BlockingIOError:
        print("nothing", flush=True)
"#;

/// Sends as fast as it can, and reads what it can. It has not connected: then the kernel bounds what lies unread.
const FLOOD: &str = r#"
import socket, struct, sys, threading
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
    client.bind("")
    threading.Thread(target=lambda: [client.recv(275) for _ in iter(int, 1)], daemon=True).start()
    message = struct.pack("!HB256p16p", 1, 1, b"7-1.png", b"")
    for _ in range(300): client.sendto(message, sys.argv[1])
    print("flooding", flush=True)
    try:
        while True: client.sendto(message, sys.argv[1])
    except OSError:
        print("the server is gone")
"#;

struct Stranger {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Stranger {
    fn start(stage: &Stage, script: &str) -> Self {
        let mut command = stage.python(Some(OTHER), script, &[]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn says(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    fn has_heard(mut self) -> String {
        drop(self.child.stdin.take());
        self.says()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn another_user_is_not_answered_unless_it_is_allowed() {
    let name = "another_user_is_not_answered_unless_it_is_allowed";
    if !has_python(name, true) {
        return;
    }
    watched(name, || {
        let stage = Stage::new();
        let answered = |stage: &Stage| matches!(stage.client().ask("7-1.png"), Answer::Digit(7, _));
        let (other, somebody) = (OTHER.to_string(), (OTHER + 1).to_string());
        for (arguments, heard) in [
            (&["--allow-uid", &somebody][..], "nothing"),
            (&["--allow-uid", &somebody, "--allow-uid", &other], "2"),
            (&["--allow-any"], "2"),
        ] {
            let mut server = stage.serve(arguments);
            let mut stranger = Stranger::start(&stage, STRANGER);
            assert_eq!(stranger.says(), "sent");
            assert!(answered(&stage), "after the stranger's, so that was looked at");
            assert_eq!(stranger.has_heard(), heard, "{arguments:?}");
            stage::end(&mut server);
        }
        let mut server = stage.serve_and_log(&[]);
        let mut stranger = Stranger::start(&stage, STRANGER);
        assert_eq!(stranger.says(), "kept out by the kernel");
        // Whatever the socket's mode is, the sender is who the kernel says.
        fs::set_permissions(stage.socket(), PermissionsExt::from_mode(0o777)).unwrap();
        let mut stranger = Stranger::start(&stage, STRANGER);
        assert_eq!(stranger.says(), "sent");
        assert!(answered(&stage));
        assert_eq!(stranger.has_heard(), "nothing");
        let log = log_of(&mut server);
        assert!(log.contains("Stats { received: 1, dropped: [0, 0, 0, 1, 0] }"), "{log}");
    });
}

#[test]
fn a_user_that_floods_takes_nothing_of_anothers_rate_nor_its_turns() {
    let name = "a_user_that_floods_takes_nothing_of_anothers_rate_nor_its_turns";
    if !has_python(name, true) {
        return;
    }
    watched(name, || {
        let stage = Stage::new();
        let other = OTHER.to_string();
        for rate in ["100", "1000000"] {
            let mut server = stage.serve(&["--allow-uid", &other, "--rate", rate]);
            let mut flood = Stranger::start(&stage, FLOOD);
            assert_eq!(flood.says(), "flooding");
            let client = stage.client();
            for _ in 0..50 {
                assert!(matches!(client.ask("7-1.png"), Answer::Digit(7, _)), "at {rate} a second");
            }
            // It goes on, and that does not keep the server from ending.
            stage::end(&mut server);
        }
    });
}

#[test]
fn another_user_is_answered_by_the_client_in_python() {
    let name = "another_user_is_answered_by_the_client_in_python";
    if !has_python(name, true) {
        return;
    }
    watched(name, || {
        let stage = Stage::new();
        let _server = stage.serve(&["--allow-any"]);
        let ended = stage.python(Some(OTHER), CLIENT, &["7-1.png"]).output().unwrap();
        assert!(said(&ended).starts_with("digit 7, "), "{ended:?}");
    });
}
