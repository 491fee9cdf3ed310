//! What a server receives, whom it answers, and what waits for how long.
#![allow(clippy::unwrap_used)]

mod stage;

use std::{
    os::{fd::AsFd, unix::net::UnixDatagram},
    thread,
    time::{Duration, Instant},
};

use conformance::watched;
use ipc_core::{Deadline, ErrorKind, PeerPid, Proof, StopHandle};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use stage::{SOON, Stage, kind, next, said, would_block};

#[test]
fn datagrams_of_every_size_are_carried_whole_and_in_order() {
    watched("datagrams_of_every_size_are_carried_whole_and_in_order", || {
        let stage = Stage::new();
        let (mut server, mut client, stranger) = (stage.server(), stage.client(), stage.stranger("own"));
        for size in [0, 1, 2, 64, 4095, 4096, 65_536, 200_000, 0, 7] {
            let info: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            stranger.send_to(&info, stage.socket()).unwrap();
            client.send_info(&info).unwrap();
            for _ in 0..2 {
                let (sender, got) = next(&mut server);
                assert_eq!(got, info);
                server.send_info(&sender, &got).unwrap();
            }
            assert_eq!(said(&stranger), info);
            assert_eq!(client.recv_borrowed().unwrap(), info);
        }
    });
}

#[test]
fn the_kernel_says_who_sent_a_datagram_and_where_an_answer_goes() {
    watched("the_kernel_says_who_sent_a_datagram_and_where_an_answer_goes", || {
        let stage = Stage::new();
        let mut server = stage.server();
        let (uid, gid) = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
        stage.stranger("own").send_to(b"x", stage.socket()).unwrap();
        let (sender, _) = next(&mut server);
        let peer = sender.peer();
        assert_eq!((peer.uid, peer.gid, peer.proof), (Some(uid), Some(gid), Proof::Kernel));
        assert_eq!(peer.pid, PeerPid::Verified(std::process::id()));
        assert_eq!(sender.reply_to().path(), Some(&*stage.at("own")));
        assert_eq!(sender.reply_to().abstract_name(), None);

        let mut client = stage.client();
        client.send_info(b"x").unwrap();
        let (sender, _) = next(&mut server);
        let (path, name) = (sender.reply_to().path(), sender.reply_to().abstract_name());
        if cfg!(all(target_os = "linux", not(hobnob_portable))) {
            assert!(name.is_some_and(|name| !name.is_empty()) && path.is_none(), "{sender:?}");
        } else {
            let path = path.unwrap();
            assert!(path.exists() && name.is_none(), "{sender:?}");
            drop(client);
            assert!(!path.exists(), "a client takes its address away");
        }
        assert!(!sender.reply_to().is_none());
    });
}

#[test]
fn another_process_and_another_user_are_told_apart() {
    if !stage::can_act_as_others("another_process_and_another_user_are_told_apart") {
        return;
    }
    watched("another_process_and_another_user_are_told_apart", || {
        let stage = Stage::new();
        let options = stage.options().shared(true).allow(|_| true);
        let mut server = stage.try_server(&options).unwrap();
        let script = r#"socket(S, AF_UNIX, SOCK_DGRAM, 0); send(S, "x", 0, pack_sockaddr_un($ARGV[0])) or die; print $$"#;
        let pid = String::from_utf8(stage.perl(Some(stage::OTHER), script, &[]).stdout).unwrap();
        let (sender, _) = next(&mut server);
        assert_eq!((sender.peer().uid, sender.peer().gid), (Some(stage::OTHER), Some(stage::OTHER)));
        assert_eq!(sender.peer().pid, PeerPid::Verified(pid.parse().unwrap()));
    });
}

#[test]
fn an_unbound_sender_is_reported_and_cannot_be_answered() {
    watched("an_unbound_sender_is_reported_and_cannot_be_answered", || {
        let stage = Stage::new();
        let mut server = stage.server();
        UnixDatagram::unbound().unwrap().send_to(b"to whom it may concern", stage.socket()).unwrap();
        let (sender, info) = next(&mut server);
        assert_eq!(info, b"to whom it may concern");
        assert!(sender.reply_to().is_none());
        assert_eq!((sender.reply_to().path(), sender.reply_to().abstract_name()), (None, None));
        assert_eq!(sender.reply_to().to_string(), "no address");
        let said = server.send_info(&sender, b"answer").unwrap_err().to_string();
        assert!(said.contains("no address") && said.contains("expected"), "{said}");
        stage.stranger("own").send_to(b"next", stage.socket()).unwrap();
        assert_eq!(next(&mut server).1, b"next");
    });
}

#[test]
fn a_client_that_does_not_read_loses_its_answers_and_holds_up_nobody() {
    watched("a_client_that_does_not_read_loses_its_answers_and_holds_up_nobody", || {
        let stage = Stage::new();
        let mut server = stage.server();
        let (deaf, other) = (stage.stranger("deaf"), stage.stranger("other"));
        deaf.send_to(b"ask", stage.socket()).unwrap();
        let (sender, _) = next(&mut server);
        let taken = (0..1000).take_while(|_| server.send_info(&sender, b"answer").is_ok()).count();
        assert!(taken > 0 && taken < 1000, "{taken}");
        assert_eq!(kind(server.send_info(&sender, b"answer")), ErrorKind::WouldBlock);
        other.send_to(b"ask", stage.socket()).unwrap();
        let (sender, _) = next(&mut server);
        server.send_info(&sender, b"answer").unwrap();
        assert_eq!(said(&other), b"answer");
    });
}

/// As the documentation of the crate admits.
#[test]
fn answers_left_unread_use_up_the_servers_send_buffer_until_their_clients_end() {
    watched("answers_left_unread_use_up_the_servers_send_buffer_until_their_clients_end", || {
        let stage = Stage::new();
        let mut server = stage.server();
        let mut answer_new = |name: &str| {
            let client = stage.stranger(name);
            client.send_to(b"ask", stage.socket()).unwrap();
            let (sender, _) = next(&mut server);
            (client, server.send_info(&sender, &[7; 30_000]), sender)
        };
        let mut deaf = Vec::new();
        // Each has an empty queue: what is full is our own buffer.
        let (refused, to) = loop {
            let (client, answered, sender) = answer_new(&format!("deaf{}", deaf.len()));
            deaf.push(client);
            if answered.is_err() {
                break (kind(answered), sender);
            }
        };
        assert_eq!(refused, ErrorKind::WouldBlock);
        let last = deaf.pop().unwrap();
        drop(deaf);
        server.send_info(&to, b"answer").unwrap();
        assert_eq!(said(&last), b"answer");
    });
}

/// As the documentation of the crate admits. The kernel bounds the queue of a socket against all but its peer.
#[test]
#[cfg(target_os = "linux")]
fn one_client_that_has_connected_and_does_not_read_uses_it_up_alone() {
    watched("one_client_that_has_connected_and_does_not_read_uses_it_up_alone", || {
        let stage = Stage::new();
        let mut server = stage.server();
        let (deaf, other) = (stage.stranger("deaf"), stage.stranger("other"));
        deaf.connect(stage.socket()).unwrap();
        deaf.send(b"ask").unwrap();
        let (sender, _) = next(&mut server);
        let taken = (0..10_000).take_while(|_| server.send_info(&sender, &[7; 275]).is_ok()).count();
        assert!((100..1000).contains(&taken), "{taken} answers of 275 bytes: a few hundred");
        other.send_to(b"ask", stage.socket()).unwrap();
        let (sender, _) = next(&mut server);
        assert_eq!(kind(server.send_info(&sender, b"answer")), ErrorKind::WouldBlock);
        drop(deaf);
        server.send_info(&sender, b"answer").unwrap();
        assert_eq!(said(&other), b"answer");
    });
}

#[test]
fn who_is_gone_cannot_be_answered_and_the_next_one_can() {
    watched("who_is_gone_cannot_be_answered_and_the_next_one_can", || {
        let stage = Stage::new();
        let mut server = stage.server();
        let (gone, removed, replaced) =
            (stage.stranger("gone"), stage.stranger("removed"), stage.stranger("replaced"));
        for stranger in [&gone, &removed, &replaced] {
            stranger.send_to(b"ask", stage.socket()).unwrap();
        }
        drop((gone, removed, replaced));
        std::fs::remove_file(stage.at("removed")).unwrap();
        std::fs::remove_file(stage.at("replaced")).unwrap();
        std::fs::write(stage.at("replaced"), "a file").unwrap();
        for _ in 0..3 {
            let (sender, _) = next(&mut server);
            assert_eq!(kind(server.send_info(&sender, b"answer")), ErrorKind::PeerGone, "{sender:?}");
        }
        assert_eq!(std::fs::read(stage.at("replaced")).unwrap(), b"a file");
        let mut client = stage.client();
        client.send_info(b"ask").unwrap();
        let (sender, _) = next(&mut server);
        server.send_info(&sender, b"answer").unwrap();
        assert_eq!(client.recv_borrowed().unwrap(), b"answer");
    });
}

#[test]
fn an_answer_that_the_kernel_does_not_take_in_one_piece_names_both_sizes() {
    watched("an_answer_that_the_kernel_does_not_take_in_one_piece_names_both_sizes", || {
        let stage = Stage::new();
        let (mut server, mut client) = (stage.server(), stage.client());
        client.send_info(b"ask").unwrap();
        let (sender, _) = next(&mut server);
        let huge = vec![0; 16 << 20];
        for refused in [kind(server.send_info(&sender, &huge)), kind(client.send_info(&huge))] {
            let ErrorKind::TooLarge { size, limit } = refused else { panic!("{refused:?}") };
            assert_eq!(size, 16 << 20);
            let largest = vec![7; limit as usize];
            server.send_info(&sender, &largest).unwrap();
            assert_eq!(client.recv_borrowed().unwrap(), largest);
            assert!(matches!(
                kind(server.send_info(&sender, &vec![7; limit as usize + 1])),
                ErrorKind::TooLarge { .. }
            ));
        }
    });
}

#[test]
fn a_deadline_is_kept_and_not_early_and_silence_would_block() {
    watched("a_deadline_is_kept_and_not_early_and_silence_would_block", || {
        let stage = Stage::new();
        let (mut server, mut client) = (stage.server(), stage.client());
        assert!(would_block(&mut server));
        assert_eq!(kind(client.try_recv_info(&mut Vec::new())), ErrorKind::WouldBlock);
        let span = Duration::from_millis(30);
        for _ in 0..2 {
            let began = Instant::now();
            assert_eq!(
                kind(server.recv_info_by(&mut Vec::new(), Deadline::Within(span))),
                ErrorKind::TimedOut
            );
            assert!(began.elapsed() >= span);
            let began = Instant::now();
            assert_eq!(
                kind(client.recv_info_by(&mut Vec::new(), Deadline::Within(span))),
                ErrorKind::TimedOut
            );
            assert!(began.elapsed() >= span);
        }
    });
}

#[test]
fn a_client_waits_for_room_to_its_deadline_and_goes_on_when_there_is_some() {
    watched("a_client_waits_for_room_to_its_deadline_and_goes_on_when_there_is_some", || {
        let stage = Stage::new();
        let (mut server, mut client) = (stage.server(), stage.client());
        let sent = (0..1000).take_while(|_| client.try_send_info(b"x").is_ok()).count();
        assert!(sent < 1000);
        assert_eq!(kind(client.try_send_info(b"x")), ErrorKind::WouldBlock);
        let brief = Deadline::Within(Duration::from_millis(10));
        assert_eq!(kind(client.send_info_by(b"x", brief)), ErrorKind::TimedOut);
        for patience in [Deadline::Forever, Deadline::Within(SOON)] {
            let waits = thread::scope(|scope| {
                let waits = scope.spawn(|| client.send_info_by(b"last", patience));
                assert_eq!(next(&mut server).1, if patience == Deadline::Forever { &b"x"[..] } else { b"x" });
                waits.join().unwrap()
            });
            waits.unwrap();
        }
    });
}

#[test]
fn a_stop_handle_ends_the_waits_of_both_sides() {
    watched("a_stop_handle_ends_the_waits_of_both_sides", || {
        let stage = Stage::new();
        let (mut server, mut client) = (stage.server(), stage.client());
        let stop = server.stop_handle().unwrap();
        client.stop_with(&stop);
        thread::scope(|scope| {
            let serves = scope.spawn(|| kind(server.recv_info_by(&mut Vec::new(), Deadline::Forever)));
            let asks = scope.spawn(|| kind(client.recv_info_by(&mut Vec::new(), Deadline::Forever)));
            stop.stop();
            assert_eq!(serves.join().unwrap(), ErrorKind::Stopped);
            assert_eq!(asks.join().unwrap(), ErrorKind::Stopped);
        });
        assert_eq!(kind(server.recv_info(&mut Vec::new())), ErrorKind::Stopped);
        client.try_send_info(b"x").unwrap();
        assert_eq!(
            server.try_recv_info(&mut Vec::new()).unwrap().peer().uid,
            Some(nix::unistd::getuid().as_raw())
        );
        server.stop_with(&StopHandle::new().unwrap());
        client.try_send_info(b"y").unwrap();
        assert_eq!(next(&mut server).1, b"y");
    });
}

#[test]
fn the_descriptors_tell_an_event_loop_of_what_has_come() {
    watched("the_descriptors_tell_an_event_loop_of_what_has_come", || {
        let stage = Stage::new();
        let (mut server, mut client) = (stage.server(), stage.client());
        assert!(!is_ready(&server) && !is_ready(&client));
        client.send_info(b"ask").unwrap();
        assert!(is_ready(&server) && !is_ready(&client));
        let sender = server.try_recv_info(&mut Vec::new()).unwrap();
        assert!(!is_ready(&server));
        server.send_info(&sender, b"answer").unwrap();
        assert!(is_ready(&client));
        client.send_info(b"unread").unwrap();
        server.destroy_server().unwrap();
        assert!(!is_ready(&server), "destroyed, it stays silent");
    });
}

fn is_ready(of: &impl AsFd) -> bool {
    poll(&mut [PollFd::new(of.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() > 0
}

#[test]
fn another_thread_answers_while_the_server_waits_and_after_it_is_gone() {
    watched("another_thread_answers_while_the_server_waits_and_after_it_is_gone", || {
        let stage = Stage::new();
        let (mut server, stranger) = (stage.server(), stage.stranger("own"));
        let (stop, answers) = (server.stop_handle().unwrap(), server.answers());
        stranger.send_to(b"one", stage.socket()).unwrap();
        let (sender, info) = next(&mut server);
        let waiting = thread::spawn(move || (kind(server.recv_borrowed().map(drop)), server));
        answers.send_info(&sender, &info).unwrap();
        assert_eq!(said(&stranger), b"one");

        stop.stop();
        let (ended, server) = waiting.join().unwrap();
        assert_eq!(ended, ErrorKind::Stopped);
        drop(server);
        assert!(!stage.socket().exists(), "the name is free");
        answers.send_info(&sender, b"late").unwrap();
        assert_eq!(said(&stranger), b"late");
        drop(stage.server());
    });
}
