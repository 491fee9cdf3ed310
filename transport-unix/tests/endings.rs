//! How a road ends, for every transport of this family: nothing that came is lost, and nobody sleeps on.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::{sync::mpsc, thread};

use conformance::{Stage, kind_of, watched};
use ipc_core::{Deadline, ErrorKind, IpcReceiver, IpcSender, Transport};
use transport_unix::{Unix, dgram::Dgram, seqpacket::Seqpacket};

fn over_each(name: &'static str, tests: [fn(); 3]) {
    watched(name, || tests.iter().for_each(|test| test()));
}

/// Linux empties a datagram socket whose owner sends to a closed one.
#[test]
fn what_a_peer_sent_before_it_left_is_received_after_a_send_to_it_has_failed() {
    fn test<T: Transport>() {
        let stage = Stage::<T>::new();
        let (mut client, mut served) = stage.pair(&mut stage.server());
        client.send_info(b"never read").unwrap();
        for i in 0..20 {
            served.send_info(&[i; 100]).unwrap();
        }
        drop(served);
        let failed = (0..3).find_map(|_| kind_of(&client.send_info(b"too late")).cloned());
        assert_eq!(failed, Some(ErrorKind::PeerGone), "{}", T::SCHEME);
        for i in 0..20 {
            assert_eq!(client.recv_borrowed().unwrap(), Some(&[i; 100][..]), "{}, message {i}", T::SCHEME);
        }
        assert_eq!(client.recv_borrowed().unwrap(), None, "{}: the goodbye", T::SCHEME);
    }
    let name = "what_a_peer_sent_before_it_left_is_received_after_a_send_to_it_has_failed";
    over_each(name, [test::<Unix>, test::<Seqpacket>, test::<Dgram>]);
}

/// As proc_pid_stat(5) says: the state stands behind the name, which is in brackets.
fn wait_until_asleep(thread: nix::unistd::Pid) {
    loop {
        let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
        if stat.rsplit(") ").next().unwrap().starts_with('S') {
            return;
        }
        thread::yield_now();
    }
}

/// It sleeps in its own send, for ever.
fn a_sender_is_woken_when<T: Transport>(
    ends: impl FnOnce(ipc_core::Receiver<T>, ipc_core::Sender<T>) -> Option<ipc_core::Sender<T>>,
) {
    let stage = Stage::<T>::new();
    let (mut client, served) = stage.pair(&mut stage.server());
    while client.try_send_info(&[0; 5000]).is_ok() {}
    let (sender, receiver) = served.split();
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        let sends = scope.spawn(move || {
            tell.send(nix::unistd::gettid()).unwrap();
            // More than the enlarged buffer holds.
            client.send_info_by(&vec![0; 16 << 20], Deadline::Forever)
        });
        wait_until_asleep(told.recv().unwrap());
        let _kept = ends(receiver, sender);
        assert_eq!(kind_of(&sends.join().unwrap()), Some(&ErrorKind::PeerGone), "{}", T::SCHEME);
    });
}

#[test]
fn a_sender_that_waits_for_room_is_woken_when_the_peer_dies() {
    fn test<T: Transport>() {
        a_sender_is_woken_when::<T>(|receiver, sender| {
            drop((receiver, sender));
            None
        });
    }
    let name = "a_sender_that_waits_for_room_is_woken_when_the_peer_dies";
    over_each(name, [test::<Unix>, test::<Seqpacket>, test::<Dgram>]);
}

#[test]
fn a_sender_that_waits_for_room_is_woken_when_nobody_receives_any_more() {
    fn test<T: Transport>() {
        a_sender_is_woken_when::<T>(|receiver, sender| {
            drop(receiver);
            Some(sender)
        });
    }
    let name = "a_sender_that_waits_for_room_is_woken_when_nobody_receives_any_more";
    over_each(name, [test::<Unix>, test::<Seqpacket>, test::<Dgram>]);
}
