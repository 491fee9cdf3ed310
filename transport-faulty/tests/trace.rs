//! Same seed, same faults; and every kind of them comes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;

use conformance::{kind_of, watched};
use house::{Chance, House, Message};
use ipc_core::{ErrorKind, Faults, IpcReceiver, IpcSender, Transport};
use transport_faulty::{Fault, Part, Side, Trace};
use transport_fifo::Fifo;
use transport_inproc::Inproc;
use transport_unix::Unix;

/// Forty messages to and fro, of less than `size` bytes. All in one thread, the road's making too, so that nothing
/// depends on who is quicker.
fn converse<T: Transport>(size: u64, faults: impl Fn(&Trace) -> Faults) -> Trace {
    let trace = Trace::new();
    let (mut client, mut served) = House::new().pair::<T>(&faults(&trace));
    let (mut chance, mut info) = (Chance::new(5), Vec::new());
    for i in 0..40 {
        let size = chance.below(size) as usize;
        let message = Message::new(&mut chance, size);
        let (from, to) = if i % 2 == 0 { (&mut client, &mut served) } else { (&mut served, &mut client) };
        from.send_info(message.bytes()).unwrap();
        assert!(to.recv_info(&mut info).unwrap() && info == message.bytes(), "message {i}");
        assert_eq!(kind_of(&to.try_recv_info(&mut info)), Some(&ErrorKind::WouldBlock));
    }
    trace
}

fn same_seed_same_trace<T: Transport>() {
    let [one, again, other] =
        [1, 1, 2].map(|seed| converse::<T>(3000, |trace| Faults::seed(seed).trace(trace)));
    assert!(one.happenings().len() > 50, "{}: {one}", T::SCHEME);
    assert_eq!(one.to_string(), again.to_string(), "{}", T::SCHEME);
    assert!(one == again && one != other, "{}: {one:?}, {other:?}", T::SCHEME);
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    watched("the_same_seed_gives_the_same_trace_and_another_seed_another", || {
        same_seed_same_trace::<Unix>();
        same_seed_same_trace::<Fifo>();
        same_seed_same_trace::<Inproc>();
    });
}

#[test]
fn every_kind_of_fault_comes_on_every_half() {
    watched("every_kind_of_fault_comes_on_every_half", || {
        const KINDS: [Fault; 5] =
            [Fault::Interrupted, Fault::NotNow, Fault::Short, Fault::OneByte, Fault::Delay];
        // As often as each other: the conversation is short.
        let often = KINDS.into_iter().fold(Faults::seed(3), |faults, kind| faults.rate(kind, 200));
        let trace = converse::<Unix>(3000, |trace| often.clone().trace(trace));
        for side in [Side::Client, Side::Server] {
            for part in [Part::Tx, Part::Rx] {
                for fault in KINDS {
                    let came = trace
                        .happenings()
                        .iter()
                        .any(|it| (it.spot.side, it.spot.part, it.fault) == (side, part, fault));
                    assert!(came, "{fault:?} did not come on {side:?} {part:?}\n{trace}");
                }
            }
        }
    });
}

/// A signal at every second call, then "not now" at every second call, then one byte at a time. The messages are
/// small because a socket has room for only a few hundred pieces, whatever their size.
#[test]
fn the_worst_rates_only_slow_it_down() {
    watched("the_worst_rates_only_slow_it_down", || {
        for fault in [Fault::Interrupted, Fault::NotNow, Fault::OneByte] {
            let worst = |trace: &Trace| Faults::none().rate(fault, 1024).trace(trace);
            for trace in
                [converse::<Unix>(100, worst), converse::<Fifo>(100, worst), converse::<Inproc>(100, worst)]
            {
                assert!(trace.count(fault) > 100, "{fault:?}: {trace:?}");
            }
        }
    });
}

#[test]
fn without_faults_nothing_happens() {
    watched("without_faults_nothing_happens", || {
        assert_eq!(converse::<Inproc>(3000, |trace| Faults::none().trace(trace)).to_string(), "");
    });
}
