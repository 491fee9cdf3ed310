//! What clients are told that mean well: curl, netcat's way of asking, and this package's own client.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../tests/house/mod.rs"]
mod house;
mod site;

use std::{
    fs,
    io::Write,
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
    thread,
};

use conformance::watched;
use house::{House, Program, complaint, said, skipped};
use nix::sys::signal::Signal;
use site::{GET, NOT_ALLOWED, RUNNING, Site, Socket, each_site};

fn is_missing(program: &str) -> bool {
    let is_missing = Command::new(program).arg("--version").output().is_err();
    if is_missing {
        skipped(&format!("there is no {program}"));
    }
    is_missing
}

/// What curl prints, headers and all.
fn curl(site: &Site, options: &[&str]) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-sSi", "--noproxy", "*", "--max-time", "100"]).args(options);
    match site.place() {
        ("unix", path) => curl.args(["--unix-socket", path, "http://any/some/path?and=more"]),
        (_, place) => curl.arg(format!("http://{place}/some/path?and=more")),
    };
    said(&curl.output().unwrap())
}

#[test]
fn curl_gets_byte_for_byte_what_is_promised() {
    each_site("curl_gets_byte_for_byte_what_is_promised", &[], |site| {
        if is_missing("curl") {
            return;
        }
        assert_eq!(curl(site, &[]), RUNNING);
        for other in [&["-d", "hello"][..], &["-X", "PUT"], &["-X", "DELETE"], &["-X", "get"]] {
            assert_eq!(curl(site, other), NOT_ALLOWED, "{other:?}");
        }
        assert_eq!(curl(site, &["-I"]), NOT_ALLOWED.strip_suffix("Method not allowed").unwrap());
    });
}

#[test]
fn curl_sends_a_large_file_and_reads_why_it_is_not_taken() {
    each_site("curl_sends_a_large_file_and_reads_why_it_is_not_taken", &[], |site| {
        if is_missing("curl") {
            return;
        }
        let file = site.house.place("large");
        fs::write(&file, vec![b'x'; 32 << 20]).unwrap();
        let upload = format!("@{}", file.display());
        // Without Expect it sends at once, and not only after a word from the server.
        assert_eq!(curl(site, &["-H", "Expect:", "--data-binary", &upload]), NOT_ALLOWED);
        assert_eq!(curl(site, &["--data-binary", &upload]), NOT_ALLOWED);
    });
}

#[test]
fn a_client_that_has_ended_its_direction_is_answered() {
    each_site("a_client_that_has_ended_its_direction_is_answered", &[], |site| {
        for known in [0, 20] {
            let mut client = site.connect();
            client.write_all(&GET.as_bytes()[..known]).unwrap();
            // It has seen that much by then.
            site.serves_the_next();
            // The rest and the end have both come before it looks again.
            site.pause();
            client.write_all(&GET.as_bytes()[known..]).unwrap();
            client.end_sending();
            site.server.signal(Signal::SIGCONT);
            assert_eq!(client.told(), RUNNING);
        }
    });
}

#[test]
fn the_server_says_its_descriptor_and_who_has_come() {
    each_site("the_server_says_its_descriptor_and_who_has_come", &[], |site| {
        let process = format!("/proc/{}", site.server.child.id());
        let waits = fs::read_to_string(format!("{process}/fdinfo/{}", site.descriptor)).unwrap();
        let watched = waits.lines().filter_map(|line| line.strip_prefix("tfd:")?.split_whitespace().next());
        let links: Vec<_> = watched.map(|fd| fs::read_link(format!("{process}/fd/{fd}")).unwrap()).collect();
        assert!(links.iter().any(|link| link.to_str().unwrap().starts_with("socket:")), "{waits} {links:?}");

        let client = site.connect();
        let newcomer = site.server.lines().next().unwrap();
        match client.port() {
            Some(port) => assert_eq!(newcomer, format!("New TCP connection from: ('127.0.0.1', {port})")),
            None => assert_eq!(newcomer, "New Unix domain socket connection"),
        }
    });
}

/// Killed when the test ends.
struct Mute(Child);

impl Drop for Mute {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_that_can_print_nothing_answers_all_the_same() {
    watched("a_server_that_can_print_nothing_answers_all_the_same", || {
        let house = House::new();
        let socket = house.place("socket");
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let address = format!("unix:{}", socket.display());
        let _server = Mute(site::program(&house, &[&address]).stdout(full).spawn().unwrap());
        let mut client = loop {
            if let Ok(client) = UnixStream::connect(&socket) {
                break client;
            }
            thread::yield_now();
        };
        client.write_all(GET.as_bytes()).unwrap();
        assert_eq!(<dyn Socket>::told(&mut client), RUNNING);
    });
}

fn client(house: &House, arguments: &[&str]) -> Command {
    house.inside(Command::new(env!("CARGO_BIN_EXE_http_client")), arguments)
}

#[test]
fn http_client_prints_the_response_as_it_came() {
    each_site("http_client_prints_the_response_as_it_came", &[], |site| {
        let printed = said(&client(&site.house, &[&site.address]).output().unwrap());
        assert_eq!(printed, format!("[+] Response: {RUNNING}\n"));
    });
}

/// Python's own server, at a port or a path, with a page that takes more than one read.
const PYTHON: &str = r#"
import http.server, socketserver, sys

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"0123456789" * 100000)
    def address_string(self):
        return "somebody"
    def log_message(self, *_):
        pass

if sys.argv[1] == "tcp":
    server = http.server.HTTPServer(("127.0.0.1", 0), Page)
    print(f"tcp:127.0.0.1:{server.server_port}", flush=True)
else:
    server = socketserver.UnixStreamServer(sys.argv[1], Page)
    print(f"unix:{sys.argv[1]}", flush=True)
server.serve_forever()
"#;

#[test]
fn http_client_asks_pythons_server_too() {
    watched("http_client_asks_pythons_server_too", || {
        if is_missing("python3") {
            return;
        }
        let house = House::new();
        for at in ["tcp", house.place("python").to_str().unwrap()] {
            let mut server = Program::start(Command::new("python3").args(["-c", PYTHON, at]));
            let address = server.lines().next().expect("where it listens");
            let printed = said(&client(&house, &[&address]).output().unwrap());
            assert!(
                printed.starts_with("[+] Response: HTTP/1.0 200 OK\r\nServer: BaseHTTP"),
                "{printed:.200}"
            );
            let body = printed.split_once("\r\n\r\n").expect("headers").1;
            assert!(body == "0123456789".repeat(100_000) + "\n", "{} bytes", body.len());
        }
    });
}

#[test]
fn http_client_says_what_is_wrong_and_fails() {
    watched("http_client_says_what_is_wrong_and_fails", || {
        let house = House::new();
        let nowhere = format!("unix:{}", house.place("nobody").display());
        let alone = complaint(&client(&house, &[&nowhere]).output().unwrap());
        assert!(alone.starts_with(&format!("http_client: connect_to {nowhere}: no such server")), "{alone}");

        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp:{}", silent.local_addr().unwrap());
        let late = complaint(&client(&house, &[&address, "--timeout", "1"]).output().unwrap());
        assert!(late.contains("timed out"), "{late}");
        drop(silent.accept().unwrap());

        let waiting =
            client(&house, &[&address]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (rude, _) = silent.accept().unwrap();
        // All of the request: what is unread would make a reset of the end.
        let request = std::io::BufRead::lines(std::io::BufReader::new(rude));
        assert!(request.map_while(Result::ok).any(|line| line.is_empty()));
        let unanswered = complaint(&waiting.wait_with_output().unwrap());
        assert!(unanswered.contains("without an answer"), "{unanswered}");

        drop(silent);
        let gone = complaint(&client(&house, &[&address]).output().unwrap());
        assert!(gone.contains(&format!("connect_to {address}: no such server")), "{gone}");
    });
}
