//! Who is at the other end, and who may be.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use ipc_core::{Config, Deadline, ErrorKind, IpcConnection, Peer, PeerPid, Proof, Refusal, Transport};
use nix::unistd::{Gid, Uid, chown, geteuid};

use crate::{Raw, Stage, Subject, child::Actor, kind_of};

pub fn peer_is_us<S: Subject>() {
    let stage = Stage::<S>::new();
    let (client, served) = stage.pair(&mut stage.server());
    for peer in [client.peer(), served.peer()] {
        assert_eq!(peer.uid, Some(geteuid().as_raw()));
        assert_eq!(peer.pid.number(), Some(std::process::id()));
        let verified = matches!(peer.pid, PeerPid::Verified(_));
        assert_eq!(
            verified,
            !matches!(peer.proof, Proof::FileOwner | Proof::Key),
            "a pid is verified only on the kernel's word: {peer}"
        );
        assert_ne!(peer.proof, Proof::None);
    }
}

pub fn the_policy_sees_the_peer_and_decides<S: Subject>() {
    let stage = Stage::<S>::new();
    let seen: Arc<Mutex<Vec<Peer>>> = Arc::default();
    let log = seen.clone();
    let mut server = stage.server_with(|options| {
        options.allow(move |peer| {
            log.lock().unwrap().push(peer.clone());
            false
        })
    });
    let refused = stage.refused(&mut server, || stage.connect());
    assert_eq!(kind_of(&refused), Some(&ErrorKind::Refused { reason: Refusal::NotAdmitted }));
    assert_eq!(seen.lock().unwrap()[0].uid, Some(geteuid().as_raw()));
    assert_eq!(ipc_core::IpcServer::stats(&server).refused(Refusal::NotAdmitted), 1);
}

/// A server of another user, and root as its client: each side turns the other down by default.
pub fn another_uid_is_refused_by_default<S: Subject>() {
    const OTHER: u32 = 1001;
    if S::Transport::CAPABILITIES.one_process {
        println!("{}: there is no other user in this process", S::Transport::SCHEME);
        return;
    }
    if !geteuid().is_root() {
        println!("SKIPPED: another_uid_is_refused_by_default needs root to act as two users");
        return;
    }
    let stage = Stage::<S>::new();
    fs::create_dir(stage.names()).unwrap();
    fs::set_permissions(stage.names(), fs::Permissions::from_mode(0o700)).unwrap();
    chown(&stage.names(), Some(Uid::from_raw(OTHER)), Some(Gid::from_raw(OTHER))).unwrap();
    let _server = Actor::start("echo", &stage, Some(OTHER));
    assert_eq!(kind_of(&stage.connect()), Some(&ErrorKind::ServerUntrusted { uid: OTHER }));
    // On a busy machine an answer may take its time; where there is none, half a second of silence is enough.
    let answers = S::Transport::CAPABILITIES.answers_other_users;
    let deadline = if answers { Deadline::Forever } else { Duration::from_millis(500).into() };
    let options = stage.client_options().trust_server(OTHER).deadline(deadline);
    let refused = S::connect_with(&stage.address, &options);
    match kind_of(&refused) {
        Some(ErrorKind::Refused { reason: Refusal::NotAdmitted }) => {}
        Some(ErrorKind::TimedOut) if !answers => {}
        other => panic!("{other:?}"),
    }
    // It has not ended the server: its own user still gets in.
    let mut config = Config::default();
    config.trusted.push(OTHER);
    let knock = || Raw::<S::Transport>::knock_with(&stage.place(), &config).link().is_some();
    let survives = thread::scope(|scope| scope.spawn(knock).join());
    assert_eq!(survives.ok(), Some(true));
}
