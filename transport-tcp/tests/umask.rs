//! The files in a server's folder, whatever the umask is. Alone in its process, whose umask it changes.
#![allow(clippy::unwrap_used)]

mod hand;

use std::{fs, os::unix::fs::MetadataExt};

use conformance::{Stage, watched};
use hand::Folder;
use nix::sys::stat::{Mode, umask};
use transport_tcp::Tcp;

#[test]
fn the_key_and_the_address_are_there_for_us_alone_and_go_with_the_server() {
    watched("the_key_and_the_address_are_there_for_us_alone_and_go_with_the_server", || {
        let stage = Stage::<Tcp>::new();
        for (shared, mask) in [(false, 0o000), (true, 0o000), (false, 0o377)] {
            let before = umask(Mode::from_bits_truncate(mask));
            let server = stage.server_with(|options| options.shared(shared));
            umask(before);
            let folder = Folder::of(&stage);
            for name in ["key", "address"] {
                let found = fs::symlink_metadata(folder.0.join(name)).unwrap();
                assert_eq!((found.mode() & 0o7777, found.nlink()), (0o600, 1), "{name}, umask {mask:o}");
            }
            assert_eq!(folder.key().len(), 32);
            assert!(folder.address().ip().is_loopback());
            drop(server);
            assert_eq!(fs::read_dir(stage.names()).unwrap().count(), 0);
        }
    });
}
