//! No transport is compiled in: the crate works as far as it can, which is to say so.
#![cfg(not(feature = "_transport"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod stage;

use conformance::{kind_of, watched};
use hobnob::ErrorKind;
use stage::Stage;

#[test]
fn every_address_is_a_bad_address_that_names_the_features() {
    watched("every_address_is_a_bad_address_that_names_the_features", || {
        let stage = Stage::new();
        for address in [stage.name.clone(), stage.over("unix"), stage.over("inproc")] {
            let (server, client) = (stage.server(&address), stage.connect(&address));
            for kind in [kind_of(&server), kind_of(&client)] {
                let Some(ErrorKind::BadAddress { why }) = kind else { panic!("{address}: {kind:?}") };
                assert!(
                    why.contains("no transport")
                        && why.contains("features: unix, fifo, seqpacket, dgram, inproc, tcp"),
                    "{why}"
                );
            }
        }
    });
}
