//! What a sender can do, and what comes of it: a count or an error for that sender, and the next one is served.
#![allow(clippy::unwrap_used)]

mod stage;

use std::{
    io::IoSlice,
    os::{
        fd::AsRawFd,
        unix::{net::UnixDatagram, process::CommandExt},
    },
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use conformance::watched;
use ipc_core::{Deadline, ErrorKind};
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use plain_datagrams::{Dropped, Server};
use stage::{Stage, heard_nothing, kind, next, said, would_block};

/// Whatever came before, the next one is served.
fn still_serves(stage: &Stage, server: &mut Server) {
    let client = stage.stranger("honest");
    client.send_to(b"honest", stage.socket()).unwrap();
    let (sender, info) = next(server);
    assert_eq!(info, b"honest");
    server.send_info(&sender, b"answer").unwrap();
    assert_eq!(said(&client), b"answer");
    std::fs::remove_file(stage.at("honest")).unwrap();
}

#[test]
fn a_datagram_over_the_limit_is_dropped_whole_and_counted() {
    watched("a_datagram_over_the_limit_is_dropped_whole_and_counted", || {
        let stage = Stage::new();
        let mut server = stage.try_server(&stage.options().max_message(10)).unwrap();
        let client = stage.stranger("own");
        for size in [11, 10, 100_000, 0] {
            client.send_to(&vec![b'x'; size], stage.socket()).unwrap();
        }
        assert_eq!(next(&mut server).1, [b'x'; 10]);
        assert_eq!(next(&mut server).1, b"");
        let stats = server.stats();
        assert_eq!((stats.received, stats.dropped(Dropped::TooLarge), stats.dropped_in_all()), (2, 2, 2));
        still_serves(&stage, &mut server);
    });
}

#[test]
fn an_answer_over_the_clients_limit_is_an_error_that_names_both_sizes() {
    watched("an_answer_over_the_clients_limit_is_an_error_that_names_both_sizes", || {
        let stage = Stage::new();
        let mut server = stage.server();
        let options = stage.client_options().max_message(10);
        let mut client = plain_datagrams::Client::connect_with(&stage.address(), &options).unwrap();
        client.send_info(b"ask").unwrap();
        let (sender, _) = next(&mut server);
        server.send_info(&sender, &[7; 1234]).unwrap();
        server.send_info(&sender, &[7; 10]).unwrap();
        let late = kind(client.recv_info(&mut Vec::new()));
        assert_eq!(late, ErrorKind::TooLarge { size: 1234, limit: 10 });
        assert_eq!(client.recv_borrowed().unwrap(), [7; 10]);
    });
}

#[test]
fn descriptors_that_come_along_are_not_let_in() {
    watched("descriptors_that_come_along_are_not_let_in", || {
        let stage = Stage::new();
        let mut server = stage.server();
        let (reader, writer) = std::io::pipe().unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        let gifts = [writer.as_raw_fd(); 200];
        for _ in 0..5 {
            let address = UnixAddr::new(&stage.socket()).unwrap();
            let control = [ControlMessage::ScmRights(&gifts)];
            let info = [IoSlice::new(b"gifts")];
            sendmsg(sender.as_raw_fd(), &info, &control, MsgFlags::empty(), Some(&address)).unwrap();
        }
        drop(writer);
        assert!(would_block(&mut server));
        assert_eq!(server.stats().dropped(Dropped::Descriptors), 5);
        // None is left anywhere: the pipe has ended.
        assert_eq!(std::io::read_to_string(reader).unwrap(), "");
        still_serves(&stage, &mut server);
    });
}

#[test]
fn who_is_not_admitted_is_dropped_and_counted() {
    watched("who_is_not_admitted_is_dropped_and_counted", || {
        let stage = Stage::new();
        let open = std::sync::Arc::new(AtomicBool::new(false));
        let asked = open.clone();
        let options = stage.options().allow(move |_| asked.load(Relaxed));
        let mut server = stage.try_server(&options).unwrap();
        let client = stage.stranger("own");
        client.send_to(b"too early", stage.socket()).unwrap();
        assert!(would_block(&mut server));
        assert_eq!(server.stats().dropped(Dropped::NotAllowed), 1);
        open.store(true, Relaxed);
        still_serves(&stage, &mut server);
    });
}

#[test]
fn another_user_is_not_admitted_by_default() {
    if !stage::can_act_as_others("another_user_is_not_admitted_by_default") {
        return;
    }
    watched("another_user_is_not_admitted_by_default", || {
        let stage = Stage::new();
        let mut server = stage.try_server(&stage.options().shared(true)).unwrap();
        let script =
            r#"socket(S, AF_UNIX, SOCK_DGRAM, 0); send(S, "x", 0, pack_sockaddr_un($ARGV[0])) or die"#;
        stage.perl(Some(stage::OTHER), script, &[]);
        assert!(would_block(&mut server));
        assert_eq!(server.stats().dropped(Dropped::NotAllowed), 1);
        still_serves(&stage, &mut server);
    });
}

#[test]
fn a_user_over_the_rate_is_dropped_and_another_is_not() {
    if !stage::can_act_as_others("a_user_over_the_rate_is_dropped_and_another_is_not") {
        return;
    }
    watched("a_user_over_the_rate_is_dropped_and_another_is_not", || {
        let stage = Stage::new();
        // One a year: what is in the bucket is all there is.
        let options = stage.options().shared(true).allow(|_| true).rate(1, 5);
        let mut server = stage.try_server(&options).unwrap();
        let script = r#"socket(S, AF_UNIX, SOCK_DGRAM, 0);
            for (1..9) { send(S, "x", 0, pack_sockaddr_un($ARGV[0])) or die }"#;
        let began = std::time::Instant::now();
        stage.perl(Some(stage::OTHER), script, &[]);
        let mut served = 0;
        while server.try_recv_info(&mut Vec::new()).is_ok() {
            served += 1;
        }
        // One token more may come with each second.
        let most = 5 + began.elapsed().as_secs() + 1;
        assert!((5..=most).contains(&served), "{served}");
        assert_eq!(server.stats().dropped(Dropped::OverRate), 9 - served);
        still_serves(&stage, &mut server);
    });
}

#[test]
fn a_flood_of_what_is_dropped_does_not_hold_a_call_past_its_deadline() {
    watched("a_flood_of_what_is_dropped_does_not_hold_a_call_past_its_deadline", || {
        let stage = Stage::new();
        let (flooder, socket) = (UnixDatagram::unbound().unwrap(), stage.socket());
        // For each that is dropped another comes: there is never none.
        let options = stage.options().allow(move |_| flooder.send_to(b"again", &socket).is_err());
        let mut server = stage.try_server(&options).unwrap();
        UnixDatagram::unbound().unwrap().send_to(b"first", stage.socket()).unwrap();
        for _ in 0..3 {
            assert!(would_block(&mut server));
            let brief = Deadline::Within(Duration::from_millis(20));
            assert_eq!(kind(server.recv_info_by(&mut Vec::new(), brief)), ErrorKind::TimedOut);
        }
        assert!(server.stats().dropped(Dropped::NotAllowed) > 3);
    });
}

/// It would be looked for in our directory, and not in the sender's.
#[test]
fn a_relative_reply_address_is_not_followed() {
    if !stage::has_perl() {
        return stage::skipped("a_relative_reply_address_is_not_followed: it needs perl");
    }
    watched("a_relative_reply_address_is_not_followed", || {
        let stage = Stage::new();
        let mut server = stage.server();
        let script = r#"socket(S, AF_UNIX, SOCK_DGRAM, 0); bind(S, pack_sockaddr_un("relative")) or die;
            send(S, "x", 0, pack_sockaddr_un($ARGV[0])) or die"#;
        stage.perl(None, script, &[]);
        let (sender, _) = next(&mut server);
        assert_eq!(sender.reply_to().path(), Some(Path::new("relative")));
        let said = server.send_info(&sender, b"answer").unwrap_err();
        assert!(matches!(said.kind(), ErrorKind::BadAddress { .. }), "{said}");
        assert!(said.to_string().contains("relative") && said.to_string().contains("absolute"), "{said}");
        still_serves(&stage, &mut server);
    });
}

/// Without a NUL at its end it takes all of a sockaddr_un, and the kernel says that it is one byte longer than that.
#[test]
fn a_reply_address_that_fills_the_socket_address_harms_nothing() {
    if !stage::has_perl() {
        return stage::skipped("a_reply_address_that_fills_the_socket_address_harms_nothing: it needs perl");
    }
    watched("a_reply_address_that_fills_the_socket_address_harms_nothing", || {
        let stage = Stage::new();
        let mut server = stage.server();
        let long = stage.at(&"x".repeat(107 - stage.at("").as_os_str().len()));
        let long = format!("{}y", long.display());
        assert_eq!(long.len(), 108);
        let script = r#"socket(S, AF_UNIX, SOCK_DGRAM, 0); bind(S, pack("S a108", AF_UNIX, $ARGV[1])) or die "bind: $!";
            send(S, "x", 0, pack_sockaddr_un($ARGV[0])) or die"#;
        stage.perl(None, script, &[Path::new(&long)]);
        let (sender, info) = next(&mut server);
        assert_eq!((info, sender.reply_to().path()), (b"x".to_vec(), None));
        assert!(!sender.reply_to().is_none());
        let said = server.send_info(&sender, b"answer").unwrap_err().to_string();
        assert!(said.contains("107 bytes"), "{said}");
        still_serves(&stage, &mut server);
    });
}

/// Else it could have the server speak to others in the server's own name.
#[test]
fn an_answer_does_not_follow_another_users_link() {
    if !stage::can_act_as_others("an_answer_does_not_follow_another_users_link") {
        return;
    }
    watched("an_answer_does_not_follow_another_users_link", || {
        let stage = Stage::new();
        let mut server = stage.try_server(&stage.options().shared(true).allow(|_| true)).unwrap();
        let victim = stage.stranger("victim");
        // A link in the last place, and one on the way.
        std::fs::create_dir(stage.at("root's")).unwrap();
        let inner = UnixDatagram::bind(stage.at("root's/own")).unwrap();
        let script = r#"socket(S, AF_UNIX, SOCK_DGRAM, 0); my ($server, $own, $to, $what) = @ARGV;
            if ($what =~ /way$/) { mkdir "theirs" or die "mkdir: $!" }
            bind(S, pack_sockaddr_un($own)) or die "bind: $!";
            send(S, "x", 0, pack_sockaddr_un($server)) or die "send: $!";
            unlink $own or die "unlink: $!";
            if ($what =~ /its own/) { socket(T, AF_UNIX, SOCK_DGRAM, 0); bind(T, pack_sockaddr_un($to)) or die }
            if ($what =~ /way$/) { rmdir "theirs" or die; symlink $to, "theirs" or die } else { symlink $to, $own or die }"#;
        for (own, to, what) in [
            ("own", "victim", "at the end"),
            ("own2", "spare", "at the end, to a socket of its own"),
            ("theirs/own", "root's", "on the way"),
        ] {
            stage.perl(Some(stage::OTHER), script, &[&stage.at(own), &stage.at(to), Path::new(what)]);
            let (sender, _) = next(&mut server);
            let refused = kind(server.send_info(&sender, b"answer"));
            assert!(matches!(&refused, ErrorKind::Denied { .. }), "{what}: {refused:?}");
        }
        assert!(heard_nothing(&victim) && heard_nothing(&inner));
        still_serves(&stage, &mut server);
    });
}

/// Such a name is anybody's once it is free, and somebody else's in another network namespace: nothing tells whose.
#[cfg(target_os = "linux")]
#[test]
fn an_answer_does_not_go_to_a_name_that_another_user_had_outside_the_file_system() {
    use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};
    let test = "an_answer_does_not_go_to_a_name_that_another_user_had_outside_the_file_system";
    if !stage::can_act_as_others(test) {
        return;
    }
    watched(test, || {
        let stage = Stage::new();
        let options = stage.options().shared(true).allow(|_| true);
        let mut server = stage.try_server(&options).unwrap();
        let name = format!("hobnob-victim-{}", std::process::id());
        let script = r#"socket(S, AF_UNIX, SOCK_DGRAM, 0); bind(S, pack("S a*", AF_UNIX, "\0$ARGV[1]")) or die;
            send(S, "x", 0, pack_sockaddr_un($ARGV[0])) or die"#;
        stage.perl(Some(stage::OTHER), script, &[Path::new(&name)]);
        let (sender, _) = next(&mut server);
        assert_eq!(sender.reply_to().abstract_name(), Some(name.as_bytes()));
        let victim = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let refused = kind(server.send_info(&sender, b"in the server's name"));
        assert!(matches!(&refused, ErrorKind::Denied { .. }), "{refused:?}");
        assert!(heard_nothing(&victim));
        still_serves(&stage, &mut server);

        drop(server);
        let mut server = stage.try_server(&options.answer_abstract_names(true)).unwrap();
        drop(victim);
        stage.perl(Some(stage::OTHER), script, &[Path::new(&name)]);
        let (sender, _) = next(&mut server);
        let whoever = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        server.send_info(&sender, b"as it was told to").unwrap();
        assert_eq!(said(&whoever), b"as it was told to");
    });
}

#[test]
fn another_users_client_in_hobnob_is_answered() {
    const SERVER: &str = "HOBNOB_TEST_SERVER";
    let test = "another_users_client_in_hobnob_is_answered";
    if let Some(at) = std::env::var_os(SERVER) {
        let mut client = plain_datagrams::connect_to(at.to_str().unwrap()).unwrap();
        client.send_info(b"ask").unwrap();
        assert_eq!(client.recv_borrowed().unwrap(), b"answer");
        return;
    }
    if !stage::can_act_as_others(test) {
        return;
    }
    watched(test, || {
        let stage = Stage::new();
        let mut server = stage.try_server(&stage.options().shared(true).allow(|_| true)).unwrap();
        let asks = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact"])
            .env(SERVER, stage.address().to_string())
            .env("TMPDIR", stage.at(""))
            .uid(stage::OTHER)
            .gid(stage::OTHER)
            .stdout(Stdio::piped())
            .spawn();
        let (sender, _) = next(&mut server);
        assert_eq!(sender.peer().uid, Some(stage::OTHER));
        server.send_info(&sender, b"answer").unwrap();
        let asked = asks.unwrap().wait_with_output().unwrap();
        assert!(asked.status.success(), "{asked:?}");
        assert_eq!(stage.left(), ["calc.sock"], "it took its address away");
    });
}

#[test]
fn another_user_is_answered_at_its_own_path() {
    if !stage::can_act_as_others("another_user_is_answered_at_its_own_path") {
        return;
    }
    watched("another_user_is_answered_at_its_own_path", || {
        let stage = Stage::new();
        let mut server = stage.try_server(&stage.options().shared(true).allow(|_| true)).unwrap();
        let script = r#"socket(S, AF_UNIX, SOCK_DGRAM, 0); bind(S, pack_sockaddr_un($ARGV[1])) or die;
            send(S, "ask", 0, pack_sockaddr_un($ARGV[0])) or die; recv(S, $answer, 100, 0); print $answer"#;
        thread::scope(|scope| {
            let asks = scope.spawn(|| stage.perl(Some(stage::OTHER), script, &[&stage.at("own")]));
            let (sender, _) = next(&mut server);
            assert_eq!(sender.peer().uid, Some(stage::OTHER));
            server.send_info(&sender, b"answer").unwrap();
            assert_eq!(asks.join().unwrap().stdout, b"answer");
        });
    });
}

#[test]
fn a_client_hears_nobody_but_its_server() {
    watched("a_client_hears_nobody_but_its_server", || {
        let stage = Stage::new();
        let mut server = stage.server();
        let options = stage.client_options().answer_at(stage.at("client"));
        let mut client = plain_datagrams::Client::connect_with(&stage.address(), &options).unwrap();
        let third = UnixDatagram::unbound().unwrap();
        let refused = third.send_to(b"forged", stage.at("client")).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
        client.send_info(b"ask").unwrap();
        let (sender, _) = next(&mut server);
        server.send_info(&sender, b"answer").unwrap();
        assert_eq!(client.recv_borrowed().unwrap(), b"answer");
        // Once the server is gone the kernel would let anybody send.
        drop(server);
        assert_eq!(kind(client.send_info(b"ask")), ErrorKind::PeerGone);
        third.send_to(b"forged", stage.at("client")).unwrap();
        assert_eq!(kind(client.recv_info(&mut Vec::new())), ErrorKind::PeerGone);
        drop(client);
        assert!(!stage.at("client").exists(), "a client takes its address away");
    });
}
