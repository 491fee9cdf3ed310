//! What is held before and after: a test of its own, for others would hold descriptors meanwhile.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod stage;

use std::{fs, os::fd::AsFd};

use conformance::watched;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use stage::{Stage, next};

fn held() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn is_closed_on_exec(of: &impl AsFd) -> bool {
    FdFlag::from_bits_truncate(fcntl(of, FcntlArg::F_GETFD).unwrap()).contains(FdFlag::FD_CLOEXEC)
}

#[test]
fn descriptors_return_to_what_they_were_and_none_is_inherited() {
    watched("descriptors_return_to_what_they_were_and_none_is_inherited", || {
        let stage = Stage::new();
        let before = held();
        for _ in 0..3 {
            let mut server = stage.server();
            let serving = held();
            for _ in 0..200 {
                let mut client = stage.client();
                client.send_info(b"ask").unwrap();
                let (sender, _) = next(&mut server);
                server.send_info(&sender, b"answer").unwrap();
                assert_eq!(client.recv_borrowed().unwrap(), b"answer");
                assert!(is_closed_on_exec(&client) && is_closed_on_exec(&server));
            }
            assert_eq!(held(), serving, "a client leaves nothing with its server");
            drop(server);
            assert!(stage.try_server(&stage.options().directory("/proc/no/such")).is_err());
            assert_eq!(held(), before);
        }
    });
}
