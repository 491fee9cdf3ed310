//! Messages without headers: what leaves, and how many have not left.

use std::{num::NonZeroU32, sync::Arc};

use super::{FEW, Outbox};
use crate::{Wire, frame::FrameKind};

const WIRES: [Wire; 3] =
    [Wire::Raw, Wire::Delimited(b'\n'), Wire::Fixed(NonZeroU32::new(SIZE as u32).unwrap())];
const SIZE: usize = 100;

fn put(outbox: &mut Outbox, body: &[u8]) -> usize {
    outbox.put(FrameKind::Data, u32::try_from(body.len()).unwrap(), body)
}

#[test]
fn every_way_of_leaving_keeps_order_and_count() {
    for (wire, step) in WIRES.into_iter().flat_map(|wire| [1, 7, 99, 100, 101, 5000].map(|step| (wire, step)))
    {
        let mut outbox = Outbox::new(Arc::default(), wire);
        let (mut came, mut left, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for size in (1..300).chain([3000, 40_000, 1]) {
            let size = if let Wire::Fixed(_) = wire { SIZE } else { size };
            let body = vec![(size % 251 + 11) as u8; size];
            put(&mut outbox, &body);
            came.extend_from_slice(&body);
            came.extend_from_slice(wire.tail());
            ends.push(came.len());
            let count = step.min(outbox.rest().len());
            left.extend_from_slice(&outbox.rest()[..count]);
            outbox.went(count);
            let missing = ends.iter().filter(|end| **end > left.len()).count();
            assert_eq!(outbox.messages(), missing, "{wire} {step} {size}");
        }
        left.extend_from_slice(outbox.rest());
        assert!(left == came, "{wire} {step}");
    }
}

#[test]
fn a_message_is_taken_back_only_while_nothing_of_it_has_left() {
    for wire in WIRES {
        let (mut outbox, body) = (Outbox::new(Arc::default(), wire), [1; SIZE]);
        put(&mut outbox, &body);
        let second = put(&mut outbox, &body);
        assert!(outbox.take_back(second), "{wire}");
        assert_eq!((outbox.messages(), outbox.rest().len()), (1, SIZE + wire.tail().len()), "{wire}");
        let second = put(&mut outbox, &body);
        outbox.went(SIZE + wire.tail().len());
        assert!(outbox.take_back(second), "{wire}");
        assert!(outbox.is_empty() && outbox.messages() == 0, "{wire}");
        put(&mut outbox, &body);
        let second = put(&mut outbox, &body);
        outbox.went(SIZE + wire.tail().len() + 1);
        assert!(!outbox.take_back(second), "{wire}");
        assert_eq!(outbox.messages(), 1, "{wire}");
    }
}

#[test]
fn the_rest_of_a_torn_message_counts_until_it_has_left() {
    for wire in WIRES {
        let mut outbox = Outbox::new(Arc::default(), wire);
        outbox.keep(FrameKind::Data, [&[1; 50], wire.tail()]);
        put(&mut outbox, &[2; SIZE]);
        assert_eq!(outbox.messages(), 2, "{wire}");
        outbox.went(49);
        assert_eq!(outbox.messages(), 2, "{wire}");
        outbox.went(1 + wire.tail().len());
        assert_eq!(outbox.messages(), 1, "{wire}");
        outbox.clear();
        assert_eq!(outbox.messages(), 0, "{wire}");
    }
}

#[test]
fn marks_of_many_messages_are_given_back_once_they_have_left() {
    let mut outbox = Outbox::new(Arc::default(), Wire::Raw);
    for _ in 0..1000 {
        put(&mut outbox, b"x");
    }
    outbox.went(1000);
    assert!(outbox.ends.capacity() <= FEW, "{}", outbox.ends.capacity());
}
