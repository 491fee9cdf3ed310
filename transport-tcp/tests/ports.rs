//! `tcp:HOST:PORT`: who comes in is a matter of options, and the default is nobody.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::Write,
    net::{IpAddr, TcpStream},
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::PermissionsExt,
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use conformance::{kind_of, watched};
use ipc_core::{
    Address, ConnectOptions, Deadline, ErrorKind, IpcConnection, IpcReceiver, IpcSender, IpcServer, Peer,
    PeerPid, Proof, Refusal, Result, ServerOptions, Wire,
};
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, connect, getsockname, getsockopt,
        listen, socket,
        sockopt::{TcpNoDelay, TcpUserTimeout},
    },
    unistd::geteuid,
};
use transport_tcp::{Connection, Server};

fn serve(at: &str, options: ServerOptions) -> Result<Server> {
    Server::new_server_with(&at.parse().unwrap(), &options)
}

fn dial(at: &str, options: ConnectOptions) -> Result<Connection> {
    Connection::connect_with(&at.parse().unwrap(), &options)
}

/// Admits anybody, on purpose.
fn open() -> ServerOptions {
    ServerOptions::new().allow(|_| true)
}

fn trusting() -> ConnectOptions {
    ConnectOptions::new().trust_any_server(true)
}

fn pair(server: &mut Server, options: ConnectOptions) -> (Connection, Connection) {
    let at = server.address().to_owned();
    thread::scope(|scope| {
        let client = scope.spawn(|| dial(&at, options).unwrap());
        let served = server.accept_client().unwrap();
        (client.join().unwrap(), served)
    })
}

/// What a client hears of a server that does not let it in.
fn refused(server: &mut Server, options: ConnectOptions) -> Result<Connection> {
    let at = server.address().to_owned();
    thread::scope(|scope| {
        let client = scope.spawn(|| dial(&at, options));
        while !client.is_finished() {
            let accepted = server.accept_client_by(Deadline::Within(Duration::from_millis(5)));
            assert_eq!(kind_of(&accepted), Some(&ErrorKind::TimedOut), "it was let in");
        }
        client.join().unwrap()
    })
}

fn converse((client, served): &mut (Connection, Connection)) {
    client.send_info(b"there").unwrap();
    assert_eq!(served.recv_borrowed().unwrap(), Some(&b"there"[..]));
    served.send_info(b"back").unwrap();
    assert_eq!(client.recv_borrowed().unwrap(), Some(&b"back"[..]));
}

fn is_denied<T>(result: &Result<T>, words: &[&str]) {
    let Err(error) = result else { panic!("it was not denied") };
    assert!(matches!(error.kind(), ErrorKind::Denied { .. }), "{error}");
    let said = error.to_string();
    assert!(words.iter().all(|word| said.contains(word)), "{said}: expected {words:?}");
}

struct Keys(tempfile::TempDir);

impl Keys {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn make(&self, name: &str, bytes: &[u8], mode: u32) -> PathBuf {
        fs::write(self.at(name), bytes).unwrap();
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(mode)).unwrap();
        self.at(name)
    }
}

#[test]
fn a_port_without_a_key_admits_nobody_by_default_and_says_so() {
    watched("a_port_without_a_key_admits_nobody_by_default_and_says_so", || {
        let served = serve("tcp:127.0.0.1:0", ServerOptions::new());
        is_denied(&served, &["127.0.0.1", "proves nothing", "key_file", "allow"]);
        let server = serve("tcp:127.0.0.1:0", open()).unwrap();
        is_denied(
            &dial(server.address(), ConnectOptions::new()),
            &["proves nothing", "key_file", "trust_any_server"],
        );
    });
}

#[test]
fn a_rule_admits_peers_that_prove_nothing_and_sees_that_they_do() {
    watched("a_rule_admits_peers_that_prove_nothing_and_sees_that_they_do", || {
        let unknown = Peer::new(None, None, PeerPid::Unknown, Proof::None);
        let expected = unknown.clone();
        let mut server = serve(
            "tcp:localhost:0",
            ServerOptions::new().allow(move |peer| peer.clone().at(None) == expected),
        )
        .unwrap();
        let mut both = pair(&mut server, trusting());
        for side in [&both.0, &both.1] {
            assert_eq!(side.peer().clone().at(None), unknown);
        }
        converse(&mut both);
        let mut server =
            serve("tcp:localhost:0", ServerOptions::new().allow(|peer| peer.uid.is_some())).unwrap();
        let told = refused(&mut server, trusting());
        assert_eq!(kind_of(&told), Some(&ErrorKind::Refused { reason: Refusal::NotAdmitted }));
    });
}

/// There is nothing else to tell one from another by.
#[test]
fn each_side_knows_where_the_other_is() {
    watched("each_side_knows_where_the_other_is", || {
        let mut server = serve("tcp:127.0.0.1:0", open()).unwrap();
        let (client, served) = pair(&mut server, trusting());
        let own =
            |side: &Connection| getsockname::<SockaddrIn>(side.as_fd().as_raw_fd()).unwrap().to_string();
        assert_eq!(served.peer().address.unwrap().to_string(), own(&client));
        assert_eq!(client.peer().address.unwrap().to_string(), own(&served));
        assert_eq!(served.peer().to_string(), format!("uid unknown, at {}", own(&client)));
    });
}

/// The key is shown before the first message, and a stranger could not.
#[test]
fn a_wire_for_strangers_has_no_key() {
    watched("a_wire_for_strangers_has_no_key", || {
        let keys = Keys::new();
        let key = keys.make("key", &[7; 32], 0o600);
        let says = |made: Result<()>| {
            let said = made.unwrap_err().to_string();
            assert!(
                said.contains("wire raw") && said.contains("expected tcp:HOST:PORT without a key"),
                "{said}"
            );
        };
        let server = || open().wire(Wire::Raw).directory(keys.at("names"));
        let client = || trusting().wire(Wire::Raw).directory(keys.at("names"));
        says(serve("tcp:calc", server()).map(drop));
        says(serve("tcp:127.0.0.1:0", server().key_file(&key)).map(drop));
        let _named = serve("tcp:calc", open().directory(keys.at("names"))).unwrap();
        says(dial("tcp:calc", client()).map(drop));
        let at_port = serve("tcp:127.0.0.1:0", server()).unwrap();
        says(dial(at_port.address(), client().key_file(&key)).map(drop));
    });
}

#[test]
fn a_server_at_port_0_knows_the_port_that_was_free() {
    watched("a_server_at_port_0_knows_the_port_that_was_free", || {
        for host in ["127.0.0.1", "localhost", "127.3.2.1", "[::1]"] {
            let mut server = serve(&format!("tcp:{host}:0"), open()).unwrap();
            let address: Address = server.address().parse().unwrap();
            let ipc_core::Target::HostPort(_, port) = address.target() else { panic!("{address}") };
            assert_ne!(*port, 0);
            converse(&mut pair(&mut server, trusting()));
        }
        let nobody = dial("tcp:127.0.0.1:0", trusting());
        assert!(matches!(kind_of(&nobody), Some(ErrorKind::BadAddress { .. })), "{nobody:?}");
    });
}

#[test]
fn who_shares_a_key_file_comes_in_as_its_owner() {
    watched("who_shares_a_key_file_comes_in_as_its_owner", || {
        let keys = Keys::new();
        for size in [32, 33, 256] {
            let key = keys.make(&size.to_string(), &vec![size as u8; size], 0o600);
            let mut server = serve("tcp:127.0.0.1:0", ServerOptions::new().key_file(&key)).unwrap();
            let mut both = pair(&mut server, ConnectOptions::new().key_file(&key));
            for peer in [both.0.peer(), both.1.peer()] {
                assert_eq!((peer.uid, peer.proof), (Some(geteuid().as_raw()), Proof::Key));
                assert_eq!(peer.pid, PeerPid::Claimed(std::process::id()));
            }
            converse(&mut both);
        }
    });
}

#[test]
fn another_key_and_no_key_at_all_are_told_apart() {
    watched("another_key_and_no_key_at_all_are_told_apart", || {
        let keys = Keys::new();
        let (key, other) = (keys.make("key", &[1; 32], 0o600), keys.make("other", &[2; 32], 0o600));
        let mut keyed = serve("tcp:127.0.0.1:0", ServerOptions::new().key_file(&key)).unwrap();
        is_denied(
            &refused(&mut keyed, ConnectOptions::new().key_file(&other)),
            &["does not have the server's key"],
        );
        let told = refused(&mut keyed, trusting());
        assert_eq!(kind_of(&told), Some(&ErrorKind::Refused { reason: Refusal::BadKey }));
        assert_eq!(keyed.stats().refused(Refusal::BadKey), 1);
        // A key is asked for even if the rule would admit anybody.
        let mut both = serve("tcp:127.0.0.1:0", open().key_file(&key)).unwrap();
        let told = refused(&mut both, trusting());
        assert_eq!(kind_of(&told), Some(&ErrorKind::Refused { reason: Refusal::BadKey }));
        let mut keyless = serve("tcp:127.0.0.1:0", open()).unwrap();
        let told = refused(&mut keyless, trusting().key_file(&key));
        assert_eq!(kind_of(&told), Some(&ErrorKind::Refused { reason: Refusal::Malformed }));
        converse(&mut pair(&mut keyed, ConnectOptions::new().key_file(&key)));
        converse(&mut pair(&mut keyless, trusting()));
    });
}

#[test]
fn a_key_file_that_is_not_safe_to_believe_is_denied() {
    watched("a_key_file_that_is_not_safe_to_believe_is_denied", || {
        let keys = Keys::new();
        let good = keys.make("good", &[1; 32], 0o600);
        let twice = keys.make("twice", &[1; 32], 0o600);
        fs::hard_link(&twice, keys.at("again")).unwrap();
        std::os::unix::fs::symlink(&good, keys.at("link")).unwrap();
        fs::create_dir(keys.at("directory")).unwrap();
        nix::unistd::mkfifo(&keys.at("fifo"), nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR)
            .unwrap();
        let mut bad: Vec<(PathBuf, &str)> = vec![
            (keys.make("readable", &[1; 32], 0o640), "mode 0640"),
            (keys.make("writable", &[1; 32], 0o602), "mode 0602"),
            (keys.make("executable", &[1; 32], 0o700), "mode 0700"),
            (keys.make("short", &[1; 31], 0o600), "31 bytes"),
            (keys.make("empty", &[], 0o600), "0 bytes"),
            (keys.make("long", &[1; 257], 0o600), "more than 256 bytes"),
            (twice, "2 names"),
            (keys.at("link"), "no key can be read"),
            (keys.at("absent"), "no key can be read"),
            (keys.at("directory"), "another type"),
            (keys.at("fifo"), "another type"),
        ];
        if geteuid().is_root() {
            let others = keys.make("others", &[1; 32], 0o600);
            std::os::unix::fs::chown(&others, Some(1001), None).unwrap();
            bad.push((others, "belongs to uid 1001"));
        }
        let _server = serve("tcp:127.0.0.1:0", ServerOptions::new().key_file(&good)).unwrap();
        for (path, what) in bad {
            let named = path.display().to_string();
            is_denied(&serve("tcp:127.0.0.1:0", ServerOptions::new().key_file(&path)), &[what, &named]);
            is_denied(&dial(_server.address(), ConnectOptions::new().key_file(&path)), &[what, &named]);
        }
    });
}

#[test]
fn a_port_has_one_server_and_the_next_can_follow_at_once() {
    watched("a_port_has_one_server_and_the_next_can_follow_at_once", || {
        let mut server = serve("tcp:127.0.0.1:0", open()).unwrap();
        let at = server.address().to_owned();
        for _ in 0..3 {
            let second = serve(&at, open());
            let expected = ErrorKind::NameInUse { name: at["tcp:".len()..].to_owned(), holder: None };
            assert_eq!(kind_of(&second), Some(&expected));
            let (mut client, served) = pair(&mut server, trusting());
            // Who closes first, and is not told of anything later, keeps the port for a minute.
            drop(served);
            assert_eq!(client.recv_borrowed().unwrap(), None);
            client.abandon();
            drop(server);
            server = serve(&at, open()).unwrap();
        }
    });
}

#[test]
fn nobody_at_a_port_is_told_at_once_and_can_be_waited_for() {
    watched("nobody_at_a_port_is_told_at_once_and_can_be_waited_for", || {
        let mut server = serve("tcp:127.0.0.1:0", open()).unwrap();
        let at = server.address().to_owned();
        server.destroy_server().unwrap();
        let nobody = dial(&at, trusting().deadline(Deadline::Forever));
        let searched = vec![PathBuf::from(&at["tcp:".len()..])];
        assert_eq!(kind_of(&nobody), Some(&ErrorKind::NoSuchServer { searched }));
        thread::scope(|scope| {
            let options = trusting().wait_for_server(true).deadline(Deadline::Forever);
            let client = scope.spawn(|| dial(&at, options).unwrap());
            let mut server = serve(&at, open()).unwrap();
            let served = server.accept_client().unwrap();
            converse(&mut (client.join().unwrap(), served));
        });
    });
}

fn address_of_this_machine() -> Option<IpAddr> {
    let all = nix::ifaddrs::getifaddrs().unwrap();
    let mut ips = all.filter_map(|interface| Some(IpAddr::from(interface.address?.as_sockaddr_in()?.ip())));
    ips.find(|ip| !ip.is_loopback())
}

/// TCP_USER_TIMEOUT of both sides, in milliseconds; 0 is the system's.
fn timeouts((client, served): &(Connection, Connection)) -> [u32; 2] {
    [client, served].map(|end| getsockopt(&end.as_fd(), TcpUserTimeout).unwrap())
}

#[test]
fn small_messages_leave_at_once_and_a_slow_peer_on_loopback_is_waited_for() {
    watched("small_messages_leave_at_once_and_a_slow_peer_on_loopback_is_waited_for", || {
        let mut server = serve("tcp:127.0.0.1:0", open()).unwrap();
        let both = pair(&mut server, trusting());
        assert!(
            getsockopt(&both.0.as_fd(), TcpNoDelay).unwrap()
                && getsockopt(&both.1.as_fd(), TcpNoDelay).unwrap()
        );
        assert_eq!(timeouts(&both), [0; 2]);
    });
}

#[test]
fn beyond_loopback_each_side_must_ask_for_it() {
    let Some(ip) = address_of_this_machine() else {
        println!("SKIPPED: beyond_loopback_each_side_must_ask_for_it needs an address besides loopback");
        return;
    };
    watched("beyond_loopback_each_side_must_ask_for_it", || {
        let at = format!("tcp:{ip}:0");
        let words = [&*ip.to_string(), "in the clear", "plaintext_beyond_loopback"];
        is_denied(&serve(&at, open()), &words);
        is_denied(&serve("tcp:0.0.0.0:0", open()), &["0.0.0.0", "plaintext_beyond_loopback"]);
        let mut server = serve(&at, open().plaintext_beyond_loopback(true)).unwrap();
        is_denied(&dial(server.address(), trusting()), &words);
        let mut both = pair(&mut server, trusting().plaintext_beyond_loopback(true));
        converse(&mut both);
        let given_up_after = if cfg!(hobnob_portable) { 0 } else { 60_000 };
        assert_eq!(timeouts(&both), [given_up_after; 2]);
        let foreign = serve("tcp:192.0.2.77:0", open().plaintext_beyond_loopback(true));
        assert!(matches!(kind_of(&foreign), Some(ErrorKind::BadAddress { .. })), "{foreign:?}");
    });
}

#[test]
fn a_full_backlog_is_waited_for_and_the_deadline_is_kept() {
    watched("a_full_backlog_is_waited_for_and_the_deadline_is_kept", || {
        let tcp = |flags| socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
        let full = tcp(SockFlag::SOCK_CLOEXEC);
        bind(full.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        listen(&full, Backlog::new(1).unwrap()).unwrap();
        let at: SockaddrIn = getsockname(full.as_raw_fd()).unwrap();
        let mut waiting = Vec::new();
        // Whoever finds room is connected at once on loopback.
        loop {
            let client = tcp(SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK);
            let _ = connect(client.as_raw_fd(), &at);
            let connected = nix::sys::socket::getpeername::<SockaddrIn>(client.as_raw_fd());
            waiting.push(client);
            if connected == Err(Errno::ENOTCONN) {
                break;
            }
        }
        let (began, span) = (std::time::Instant::now(), Duration::from_millis(60));
        let late = dial(&format!("tcp:{at}"), trusting().deadline(span));
        assert_eq!(kind_of(&late), Some(&ErrorKind::TimedOut));
        assert!(began.elapsed() >= span);
    });
}

#[test]
fn the_directory_of_names_is_not_asked_about_ports() {
    watched("the_directory_of_names_is_not_asked_about_ports", || {
        let nowhere = Path::new("/proc/no/such/place");
        let mut server = serve("tcp:127.0.0.1:0", open().directory(nowhere)).unwrap();
        converse(&mut pair(&mut server, trusting().directory(nowhere)));
    });
}

/// Nothing tells what was on the way from it; unlike the end of the stream, that is no goodbye.
#[test]
fn a_stranger_that_resets_the_connection_has_not_left_in_order() {
    watched("a_stranger_that_resets_the_connection_has_not_left_in_order", || {
        let mut server = serve("tcp:127.0.0.1:0", open().wire(Wire::Delimited(b'\n'))).unwrap();
        let port = server.address().strip_prefix("tcp:").unwrap().to_owned();
        for (words, kind) in [("whole\n", ErrorKind::PeerGone), ("whole\nhalf", ErrorKind::Truncated)] {
            let mut client = TcpStream::connect(&port).unwrap();
            let mut served = server.accept_client().unwrap();
            served.send_info(b"never read").unwrap();
            client.peek(&mut [0]).unwrap();
            client.write_all(words.as_bytes()).unwrap();
            drop(client);
            assert_eq!(served.recv_borrowed().unwrap(), Some(&b"whole"[..]));
            assert_eq!(kind_of(&served.recv_borrowed()), Some(&kind));
        }
    });
}
