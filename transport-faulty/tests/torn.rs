//! A message that breaks off because the peer is gone was not accepted, and is told once.
#![allow(clippy::unwrap_used)]

use conformance::{Stage, kind_of, watched};
use ipc_core::{ErrorKind, IpcSender};
use transport_faulty::{Fault, Faults, Faulty};
use transport_tcp::Tcp;

/// TCP takes the first byte before it knows.
#[test]
fn what_broke_off_is_not_told_again_at_the_goodbye() {
    watched("what_broke_off_is_not_told_again_at_the_goodbye", || {
        let mut stage = Stage::<Faulty<Tcp>>::new();
        stage.faults = Faults::none().rate(Fault::OneByte, 1024);
        let (client, mut served) = stage.pair(&mut stage.server());
        client.abandon();
        let refused = (0..).map(|_| served.send_info(b"x")).find_map(|sent| kind_of(&sent).cloned());
        assert_eq!(refused, Some(ErrorKind::PeerGone));
        served.disconnect_from().unwrap();
    });
}
