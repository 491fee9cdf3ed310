//! Death at any byte: exactly so many pass, and the peer is told the truth about them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;

use std::{
    io::{ErrorKind as ErrorKindOfIo, IoSlice, IoSliceMut, PipeReader, Read},
    os::fd::AsFd,
    thread,
};

use conformance::{kind_of, watched};
use house::House;
use ipc_core::{
    Connection, Deadline, ErrorKind, Faults, Got, Interests, IpcReceiver, IpcSender, Limits, Rx, Transport,
    Tx, Wait,
    frame::HEADER,
    hello::{Hello, Terms, VERSION, Verdict},
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use transport_faulty::{Fault, Faulty, Trace};

/// What is said after the handshake.
const WORDS: [&[u8]; 4] = [b"one", b"", b"three and more", b"4"];

fn each_transport(name: &'static str, test: [fn(); 5]) {
    watched(name, || test.iter().for_each(|test| test()));
}

macro_rules! over_each_transport {
    ($($promise:ident)*) => {
        $(
            #[test]
            fn $promise() {
                each_transport(stringify!($promise), [
                    self::promised::$promise::<transport_unix::Unix>,
                    self::promised::$promise::<transport_unix::seqpacket::Seqpacket>,
                    self::promised::$promise::<transport_unix::dgram::Dgram>,
                    self::promised::$promise::<transport_fifo::Fifo>,
                    self::promised::$promise::<transport_inproc::Inproc>,
                ]);
            }
        )*
    };
}

over_each_transport! {
    a_sender_may_die_after_any_byte
    a_receiver_may_die_after_any_byte
    a_death_rings_for_the_half_that_sleeps
    a_death_wakes_the_other_half
    the_descriptors_of_the_dead_are_ready
}

/// How many bytes the handshake's frames take: hello, verdict, ready.
fn handshake<T: Transport>() -> [u64; 3] {
    let limit = Limits::default().message;
    let terms = Terms { version: VERSION, scheme: T::SCHEME.to_owned(), limit, schema: None };
    let hello = Hello { terms: terms.clone(), nonce: [0; 16] }.encode().len();
    let verdict = Verdict { terms, refusal: None, echo: [0; 16], nonce: [0; 16] }.encode().len();
    [hello, verdict, 16].map(|body| (HEADER + body) as u64)
}

/// What is left of the words and the goodbye after so many bytes: whole words, and what comes after them.
fn expected(bytes: u64) -> (usize, Option<ErrorKind>) {
    let mut left = bytes;
    for (count, word) in WORDS.iter().map(|word| word.len()).chain([0]).enumerate() {
        let size = (HEADER + word) as u64;
        match left {
            0 => return (count, Some(ErrorKind::PeerGone)),
            part if part < size => return (count, Some(ErrorKind::Truncated)),
            _ => left -= size,
        }
    }
    (WORDS.len(), None)
}

fn all_words() -> u64 {
    WORDS.iter().map(|word| (HEADER + word.len()) as u64).sum::<u64>() + HEADER as u64
}

fn receive<T: Transport>(from: &mut Connection<Faulty<T>>) -> (usize, Option<ErrorKind>) {
    let mut count = 0;
    loop {
        match from.recv_borrowed() {
            Ok(Some(info)) => assert_eq!(info, WORDS[count]),
            Ok(None) => return (count, None),
            Err(error) => {
                assert_eq!(kind_of(&from.recv_borrowed()), Some(error.kind()), "it stays so");
                return (count, Some(error.kind().clone()));
            }
        }
        count += 1;
    }
}

/// Says the words and the goodbye; how many were accepted.
fn speak<T: Transport>(to: &mut Connection<Faulty<T>>) -> usize {
    let accepted = WORDS.iter().take_while(|word| match to.send_info(word) {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(*error.kind(), ErrorKind::PeerGone);
            false
        }
    });
    let accepted = accepted.count();
    let _ = to.disconnect_from();
    accepted
}

mod promised {
    use super::*;

    pub fn a_sender_may_die_after_any_byte<T: Transport>() {
        let [hello, _, ready] = handshake::<T>();
        let house = House::new();
        let mut server = house.server::<T>(Faults::none());
        for bytes in 0..=hello + ready + all_words() {
            let trace = Trace::new();
            let faults = Faults::seed(bytes).die_after_sending(bytes).trace(&trace);
            let (client, served) = house.meet(&mut server, &faults);
            let heard = match (client, served) {
                (Ok(mut client), Some(mut served)) => {
                    assert!(bytes >= hello + ready, "admitted after {bytes} bytes");
                    let accepted = speak(&mut client);
                    let heard = receive(&mut served);
                    assert!(heard.0 == accepted, "{}: {accepted} accepted, {heard:?}", T::SCHEME);
                    heard
                }
                (client, None) => {
                    assert!(bytes < hello + ready, "{}: not admitted after {bytes} bytes", T::SCHEME);
                    assert_eq!(kind_of(&client), Some(&ErrorKind::PeerGone), "{}: {bytes} bytes", T::SCHEME);
                    assert_eq!(trace.count(Fault::Death), 1);
                    continue;
                }
                (client, Some(_)) => panic!("{}: {bytes} bytes: admitted, but {client:?}", T::SCHEME),
            };
            assert_eq!(heard, expected(bytes - hello - ready), "{}: {bytes} bytes", T::SCHEME);
            assert_eq!(trace.count(Fault::Death), 1, "{}: {bytes} bytes", T::SCHEME);
        }
    }

    pub fn a_receiver_may_die_after_any_byte<T: Transport>() {
        let [_, verdict, _] = handshake::<T>();
        let house = House::new();
        let mut server = house.server::<T>(Faults::none());
        for bytes in 0..=verdict + all_words() {
            let faults = Faults::seed(bytes).die_after_receiving(bytes);
            let (client, served) = house.meet(&mut server, &faults);
            let (mut client, mut served) = match (client, served) {
                (Ok(client), Some(served)) => (client, served),
                (client, served) => {
                    // Dead as soon as it has the verdict, it does not answer it.
                    assert!(bytes <= verdict && served.is_none(), "{}: {bytes} bytes", T::SCHEME);
                    let kind = kind_of(&client);
                    let honest = matches!(kind, Some(ErrorKind::PeerGone | ErrorKind::Truncated));
                    assert!(honest, "{}: {bytes} bytes: {kind:?}", T::SCHEME);
                    continue;
                }
            };
            assert!(bytes > verdict, "{}: admitted after {bytes} bytes", T::SCHEME);
            speak(&mut served);
            let heard = receive(&mut client);
            assert_eq!(heard, expected(bytes - verdict), "{}: {bytes} bytes", T::SCHEME);
            // It died with the last byte, though that ended a goodbye: it can say none itself.
            assert_eq!(kind_of(&client.send_info(b"from the dead")), Some(&ErrorKind::PeerGone));
            drop(client);
            assert_eq!(kind_of(&served.recv_borrowed()), Some(&ErrorKind::PeerGone), "{}", T::SCHEME);
        }
    }

    /// One that is about to sleep is not let into a system call of its own, where it would hear no bell.
    pub fn a_death_rings_for_the_half_that_sleeps<T: Transport>() {
        let faults = Faults::none().die_after_sending(3);
        let (mut near, _far) = House::new().road::<T>(&faults);
        let receive = |rx: &mut <Faulty<T> as Transport>::Rx| {
            let got = rx.try_recv(&mut [IoSliceMut::new(&mut [0; 9])], true);
            got.map_err(|error| error.kind())
        };
        assert_eq!(receive(&mut near.rx), Err(ErrorKindOfIo::WouldBlock));
        assert!(near.rx.arm().unwrap(), "{}: it may sleep", T::SCHEME);
        assert_eq!(ready(&near.rx), 0, "{}: nothing has come", T::SCHEME);
        assert_eq!(near.tx.try_send(&[IoSlice::new(b"three and more")], true).unwrap(), 3);
        assert!(ready(&near.rx) > 0, "{}: it sleeps on", T::SCHEME);
        assert_eq!(receive(&mut near.rx), Ok(Got::End));
    }

    fn ready(on: &impl Wait) -> i32 {
        let mut interests = Interests::default();
        on.interests(&mut interests);
        let mut fds: Vec<_> =
            interests.iter().map(|(descriptor, _)| PollFd::new(descriptor, PollFlags::POLLIN)).collect();
        poll(&mut fds, PollTimeout::ZERO).unwrap()
    }

    pub fn a_death_wakes_the_other_half<T: Transport>() {
        let [hello, _, ready] = handshake::<T>();
        let house = House::new();
        let mut server = house.server::<T>(Faults::none());
        let faults = Faults::none().die_after_sending(hello + ready + 20);
        let (client, served) = house.meet(&mut server, &faults);
        let (mut sending, mut receiving) = client.unwrap().split();
        thread::scope(|scope| {
            let asleep = scope.spawn(move || {
                let got = kind_of(&receiving.recv_borrowed()).cloned();
                (got, receiving)
            });
            sending.send_info(&[1; 8]).unwrap();
            assert_eq!(kind_of(&sending.send_info(&[2; 8])), Some(&ErrorKind::PeerGone));
            assert_eq!(asleep.join().unwrap().0, Some(ErrorKind::PeerGone), "{}", T::SCHEME);
        });
        let mut served = served.unwrap();
        assert_eq!(served.recv_borrowed().unwrap(), Some(&[1; 8][..]));
        assert_eq!(kind_of(&served.recv_borrowed()), Some(&ErrorKind::Truncated));
    }

    pub fn the_descriptors_of_the_dead_are_ready<T: Transport>() {
        let [hello, _, ready] = handshake::<T>();
        let house = House::new();
        let mut server = house.server::<T>(Faults::none());
        let faults = Faults::none().die_after_sending(hello + ready + 9);
        let (client, _served) = house.meet(&mut server, &faults);
        let (mut sending, mut receiving) = client.unwrap().split();
        sending.send_info(b"x").unwrap();
        assert_eq!(
            kind_of(&receiving.recv_info_by(&mut Vec::new(), Deadline::Now)),
            Some(&ErrorKind::PeerGone)
        );
        for descriptor in [sending.as_fd(), receiving.as_fd()] {
            // Of a pipe without a writer, a read gives the end at once.
            let mut bell = PipeReader::from(descriptor.try_clone_to_owned().unwrap());
            assert_eq!(bell.read(&mut [0]).unwrap(), 0);
        }
    }
}
