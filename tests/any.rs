//! `AnyServer` and `AnyConnection` keep the whole vocabulary: halves, descriptors for event loops, `serve`.
#![cfg(feature = "_transport")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod stage;

use std::{os::fd::AsFd, thread, time::Duration};

use conformance::{kind_of, watched};
use hobnob::{ErrorKind, IpcConnection, IpcReceiver, IpcSender, IpcServer};
use stage::{Stage, echo, wait_for, wait_for_server};

#[test]
fn both_halves_of_any_connection_work_in_two_threads() {
    watched("both_halves_of_any_connection_work_in_two_threads", || {
        for scheme in hobnob::transports() {
            let stage = Stage::new();
            let mut server = stage.server(&stage.over(scheme)).unwrap();
            let (client, served) = stage.pair(&mut server, &stage.over(scheme));
            let (mut sender, mut receiver) = Box::new(client).split();
            let (mut far_sender, mut far_receiver) = Box::new(served).split();
            // More than any road holds, and nobody takes turns: one thread alone would wait for ever.
            let info = vec![9; 4 << 20];
            thread::scope(|scope| {
                scope.spawn(|| sender.send_info(&info).unwrap());
                scope.spawn(|| far_sender.send_info(&info).unwrap());
                scope.spawn(|| assert!(far_receiver.recv_borrowed().unwrap() == Some(&info)));
                assert!(receiver.recv_borrowed().unwrap() == Some(&info), "{scheme}");
            });
            drop(sender);
            assert_eq!(far_receiver.recv_borrowed().unwrap(), None, "{scheme}");
            far_sender.send_info(b"the other direction is open").unwrap();
            assert_eq!(receiver.recv_borrowed().unwrap(), Some(&b"the other direction is open"[..]));
        }
    });
}

#[test]
fn one_event_loop_waits_for_a_client_and_for_its_message() {
    watched("one_event_loop_waits_for_a_client_and_for_its_message", || {
        for scheme in hobnob::transports() {
            let stage = Stage::new();
            let mut server = stage.server(&stage.over(scheme)).unwrap();
            assert_eq!(kind_of(&server.try_accept_client()), Some(&ErrorKind::WouldBlock));
            thread::scope(|scope| {
                let client = scope.spawn(|| stage.connect(&stage.over(scheme)).unwrap());
                let mut served = loop {
                    wait_for_server(&server);
                    match server.try_accept_client() {
                        Ok(served) => break served,
                        waits => assert_eq!(kind_of(&waits), Some(&ErrorKind::WouldBlock), "{scheme}"),
                    }
                };
                let mut client = client.join().unwrap();
                let mut info = Vec::new();
                assert_eq!(kind_of(&served.try_recv_info(&mut info)), Some(&ErrorKind::WouldBlock));
                client.send_info(b"ready").unwrap();
                wait_for(served.as_fd());
                assert!(served.try_recv_info(&mut info).unwrap() && info == b"ready", "{scheme}");
            });
        }
    });
}

#[test]
fn any_server_serves_until_it_is_stopped() {
    watched("any_server_serves_until_it_is_stopped", || {
        for scheme in hobnob::transports() {
            let stage = Stage::new();
            let mut server = stage.server(&stage.over(scheme)).unwrap();
            let stop = server.stop_handle().unwrap();
            let served = thread::spawn(move || hobnob::serve(server, Duration::from_secs(100), echo));
            let mut clients: Vec<_> = (0..3).map(|_| stage.connect(&stage.name).unwrap()).collect();
            for client in &mut clients {
                client.send_info(b"hello").unwrap();
                assert_eq!(client.recv_borrowed().unwrap(), Some(&b"hello"[..]));
            }
            stop.stop();
            clients
                .iter_mut()
                .for_each(|client| assert_eq!(client.recv_borrowed().unwrap(), None, "{scheme}"));
            let served = served.join().unwrap().unwrap();
            assert_eq!((served.clients, served.abandoned), (3, 0), "{scheme}");
            assert!(matches!(kind_of(&stage.connect(&stage.name)), Some(ErrorKind::NoSuchServer { .. })));
        }
    });
}
