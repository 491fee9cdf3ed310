//! F4: SIGKILL of the sender inside a message of 1 B to 16 MiB. `HOBNOB_F4` is the number of deaths in all;
//! `HOBNOB_DICE` sets the sizes and the instants.
#![allow(clippy::unwrap_used)]

use std::{thread, time::Duration};

use faults::{
    Dice, House, LARGEST, Program, Stream, budget, each_transport, kind_of, live_for, saw, size, wire,
};
use hobnob::{AnyConnection, ErrorKind, IpcReceiver, IpcServer};

/// The three tests' deaths are a half, a quarter and a quarter, over two transports.
fn deaths(share: u64) -> u64 {
    budget("HOBNOB_F4", 200).div_ceil(2 * share)
}

/// The longest that a sender lives, from the first message on: some large messages.
const LIFE: Duration = Duration::from_millis(6);

/// Written by hand, so it is known at which byte: what is received must be exactly that.
#[test]
fn a_message_cut_by_death_at_any_byte_is_not_delivered() {
    each_transport("a_message_cut_by_death_at_any_byte_is_not_delivered", |house, scheme| {
        let (mut server, mut dice) = (house.serve_here(scheme), Dice::of_run());
        for number in 0..deaths(2) {
            let (seed, most, whole) = (dice.roll(), size(&mut dice, LARGEST), dice.roll() % 4);
            let mut stream = Stream::new(seed, most);
            (0..whole).for_each(|_| {
                stream.next_message();
            });
            let part =
                place(number, wire::header(wire::DATA, 0).len() + stream.next_message().len(), &mut dice);
            stream.rewind();
            let arguments = [seed, most as u64, whole, part as u64].map(|number| number.to_string());
            let [seed, most, whole_text, part_text] = arguments.each_ref().map(String::as_str);
            let command = &mut house.actor("pour-by-hand", &[scheme, seed, most, whole_text, part_text]);
            let mut sender = Program::start(command);
            let mut client = server.accept_client().unwrap();
            let came = receive(&mut client, &mut stream, &arguments.join(" "));
            let end = if part == 0 { ErrorKind::PeerGone } else { ErrorKind::Truncated };
            assert_eq!(came, (whole, end), "{scheme}, {part} bytes of the next: {arguments:?}");
            assert_eq!(sender.ended(), (None, Some(9)), "{scheme}: {arguments:?}");
        }
        saw("F4", scheme, format!("{} deaths at a known byte", deaths(2)), "each told as it was");
    });
}

#[test]
fn of_a_client_killed_while_it_sends_whole_messages_come() {
    each_transport("of_a_client_killed_while_it_sends_whole_messages_come", |house, scheme| {
        let mut server = house.serve_here(scheme);
        deaths_at_random(scheme, "clients", |arguments| {
            let [seed, most] = arguments;
            let sender = Program::start(&mut house.actor("pour", &[&House::address(scheme), seed, most]));
            (sender, server.accept_client().unwrap())
        });
    });
}

#[test]
fn of_a_server_killed_while_it_sends_whole_messages_come() {
    each_transport("of_a_server_killed_while_it_sends_whole_messages_come", |house, scheme| {
        deaths_at_random(scheme, "servers", |arguments| {
            let [seed, most] = arguments;
            let command = &mut house.actor("pour-out", &[&House::address(scheme), seed, most]);
            let mut sender = Program::start(command);
            sender.wait_for("listening");
            (sender, house.connect(scheme))
        });
    });
}

fn deaths_at_random(scheme: &str, who: &str, mut meet: impl FnMut([&str; 2]) -> (Program, AnyConnection)) {
    let (mut dice, mut messages, mut inside) = (Dice::of_run(), 0, 0);
    for _ in 0..deaths(4) {
        let (seed, most, span) = (dice.roll(), size(&mut dice, LARGEST), dice.below(LIFE));
        let mut stream = Stream::new(seed, most);
        let arguments = [seed.to_string(), most.to_string()];
        let (mut sender, mut road) = meet(arguments.each_ref().map(String::as_str));
        let (came, end) = thread::scope(|scope| {
            scope.spawn(|| {
                live_for(span);
                sender.kill();
            });
            receive(&mut road, &mut stream, &arguments.join(" "))
        });
        assert!(matches!(end, ErrorKind::PeerGone | ErrorKind::Truncated), "{scheme}, {arguments:?}: {end}");
        assert_eq!(sender.ended(), (None, Some(9)), "{scheme}, {arguments:?}: it ended by itself");
        messages += came;
        inside += u64::from(end == ErrorKind::Truncated);
    }
    let seen =
        format!("{messages} messages, all whole, right and in order; {inside} deaths inside a message");
    saw("F4", scheme, format!("{} {who} killed", deaths(4)), seen);
}

/// Receives to the end, in both ways in turn: how many messages came, and what came instead of a goodbye. Whatever is
/// no message of the stream fails.
fn receive(from: &mut AnyConnection, stream: &mut Stream, what: &str) -> (u64, ErrorKind) {
    let mut info = Vec::new();
    for number in 0.. {
        let expected = stream.next_message();
        let came = if number % 2 == 0 {
            from.recv_borrowed().map(|came| came == Some(expected))
        } else {
            from.recv_info(&mut info).map(|came| came && info == expected)
        };
        match came {
            Ok(right) => assert!(right, "message {number} of {} bytes is wrong: {what}", expected.len()),
            Err(error) => {
                assert_eq!(kind_of(&from.recv_borrowed()), Some(error.kind()), "it stays so: {what}");
                return (number, error.kind().clone());
            }
        }
    }
    unreachable!("nobody sends so much")
}

/// So many bytes of a frame: at its ends, inside its header, or anywhere.
fn place(number: u64, frame: usize, dice: &mut Dice) -> usize {
    let any = dice.roll() as usize % frame;
    [0, 1, 7, 8, any, any, any, frame - 1][number as usize % 8]
}
