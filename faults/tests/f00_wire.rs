//! The hostile clients' own protocol is right: the server takes it for honest when it is.
#![allow(clippy::unwrap_used)]

use std::io::Write;

use faults::{each_transport, wire};

#[test]
fn a_client_made_by_hand_is_served() {
    each_transport("a_client_made_by_hand_is_served", |house, scheme| {
        let _server = house.serve(scheme);
        let mut road = house.knock(scheme);
        assert_eq!(road.shake().unwrap(), 0);
        road.write_all(&wire::frame(wire::DATA, b"by hand")).unwrap();
        assert_eq!(road.read_frame().unwrap(), (wire::DATA, b"by hand".to_vec()));
        road.write_all(&wire::frame(wire::GOODBYE, b"")).unwrap();
        assert_eq!(road.read_frame().unwrap(), (wire::GOODBYE, Vec::new()));
    });
}
