//! Names: one holder, freed by its end however it comes, and never taken from the living.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use ipc_core::{Deadline, ErrorKind, IpcReceiver, IpcSender, IpcServer, Refusal, Target, Transport};

use crate::{Raw, Stage, Subject, child::Actor, kind_of, stage::echo};

pub fn second_live_server_is_refused_and_told_who<S: Subject>() {
    let stage = Stage::<S>::new();
    let _first = stage.server();
    let second = S::new_server_with(&stage.address, &stage.server_options());
    let Some(ErrorKind::NameInUse { name, holder: Some(holder) }) = kind_of(&second) else {
        panic!("{second:?}");
    };
    assert_eq!(Some(name.as_str()), stage.address.to_string().split(':').next_back());
    assert_eq!((holder.pid, holder.transport.as_str()), (std::process::id(), S::Transport::SCHEME));
    assert_eq!(holder.uid, nix::unistd::geteuid().as_raw());
    assert!(holder.since.elapsed().unwrap_or_default() < Duration::from_secs(3600));
}

pub fn stale_name_is_taken_over<S: Subject>() {
    let stage = Stage::<S>::new();
    if S::Transport::CAPABILITIES.one_process {
        println!("{}: a server cannot die and leave its process behind", S::Transport::SCHEME);
        return;
    }
    for _ in 0..5 {
        let mut dead = Actor::start("echo", &stage, None);
        let mut client = stage.connect().unwrap();
        client.send_info(b"x").unwrap();
        assert_eq!(client.recv_borrowed().unwrap(), Some(&b"x"[..]));
        let taken = S::new_server_with(&stage.address, &stage.server_options());
        assert!(
            matches!(kind_of(&taken), Some(ErrorKind::NameInUse { holder: Some(holder), .. }) if holder.pid == dead.pid())
        );
        dead.kill();
        assert_eq!(kind_of(&client.recv_borrowed()), Some(&ErrorKind::PeerGone));
        assert!(matches!(kind_of(&stage.connect()), Some(ErrorKind::NoSuchServer { .. })));
        let mut server = stage.server();
        let (mut client, mut served) = stage.pair(&mut server);
        client.send_info(b"alive").unwrap();
        assert_eq!(served.recv_borrowed().unwrap(), Some(&b"alive"[..]));
    }
    assert_eq!(fs::read_dir(stage.names()).unwrap().count(), 0, "something was left over");
}

pub fn destroy_frees_the_name<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let (mut client, mut served) = stage.pair(&mut server);
    server.destroy_server().unwrap();
    server.destroy_server().unwrap();
    assert_eq!(kind_of(&server.accept_client()), Some(&ErrorKind::Closed));
    assert!(matches!(kind_of(&stage.connect()), Some(ErrorKind::NoSuchServer { .. })));
    client.send_info(b"connections live on").unwrap();
    assert_eq!(served.recv_borrowed().unwrap(), Some(&b"connections live on"[..]));
    let mut successor = stage.server();
    drop(server);
    let _ = stage.pair(&mut successor);
}

/// Servers that try for a name again and again while clients use it.
pub fn a_live_name_is_never_stolen<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let thieves: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut tries = 0;
                    while !over.load(Ordering::Relaxed) {
                        let stolen = S::new_server_with(&stage.address, &stage.server_options());
                        assert!(matches!(kind_of(&stolen), Some(ErrorKind::NameInUse { .. })), "{stolen:?}");
                        tries += 1;
                    }
                    tries
                })
            })
            .collect();
        for _ in 0..50 {
            let _ = stage.pair(&mut server);
        }
        over.store(true, Ordering::Relaxed);
        for thief in thieves {
            assert!(thief.join().unwrap() > 0);
        }
    });
}

pub fn connect_with_no_server_is_refused_at_once<S: Subject>() {
    let stage = Stage::<S>::new();
    // For ever: a connect that waited would not come back.
    let options = stage.client_options().deadline(Deadline::Forever);
    let nobody = S::connect_with(&stage.address, &options);
    let Some(ErrorKind::NoSuchServer { searched }) = kind_of(&nobody) else { panic!("{nobody:?}") };
    assert!(!searched.is_empty());
    drop(stage.server());
    let nobody = S::connect_with(&stage.address, &options);
    assert!(matches!(kind_of(&nobody), Some(ErrorKind::NoSuchServer { .. })), "{nobody:?}");
}

pub fn waiting_for_a_server_finds_it_when_it_comes<S: Subject>() {
    let stage = Stage::<S>::new();
    let options = stage.client_options().wait_for_server(true);
    let brief = options.clone().deadline(Duration::from_millis(30));
    assert_eq!(kind_of(&S::connect_with(&stage.address, &brief)), Some(&ErrorKind::TimedOut));
    thread::scope(|scope| {
        let client =
            scope.spawn(|| S::connect_with(&stage.address, &options.deadline(Deadline::Forever)).unwrap());
        let mut served = stage.server().accept_client().unwrap();
        client.join().unwrap().send_info(b"found").unwrap();
        assert_eq!(served.recv_borrowed().unwrap(), Some(&b"found"[..]));
    });
}

pub fn wrong_transport_is_named_not_hung<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    // One that reached the right place in the wrong belief is told so in the hello.
    let place = stage.place();
    let verdict = stage.refused(&mut server, || {
        let mut terms = Raw::<S::Transport>::terms();
        terms.scheme = "other".into();
        Raw::<S::Transport>::knock(&place).greet(terms)
    });
    assert_eq!(
        (verdict.refusal, verdict.terms.scheme.as_str()),
        (Some(Refusal::WrongTransport), S::Transport::SCHEME)
    );
    assert_eq!(server.stats().refused(Refusal::WrongTransport), 1);
    drop(server);
    if S::Transport::CAPABILITIES.one_process {
        return;
    }
    // The record is read before dialing: no attempt is made to open a socket as a FIFO.
    let Target::Name(name) = stage.address.target() else { unreachable!("stages use names") };
    let folder = stage.names().join(name.as_str());
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let record = |pid: u32| format!("hobnob=1\ntransport=other\npid={pid}\nuid=0\nsince=1800000000\n");
    fs::write(folder.join("record"), record(std::process::id())).unwrap();
    let expected = ErrorKind::WrongTransport { server: "other".into(), client: S::Transport::SCHEME.into() };
    assert_eq!(kind_of(&stage.connect()), Some(&expected));
    // A dead server's record names nobody. No process has this pid: it is over the kernel's largest.
    fs::write(folder.join("record"), record(0x7fff_ffff)).unwrap();
    assert!(matches!(kind_of(&stage.connect()), Some(ErrorKind::NoSuchServer { .. })));
}

pub fn an_address_for_another_transport_is_bad<S: Subject>() {
    let stage = Stage::<S>::new();
    for text in ["other:calc", "other:/tmp/x", "other:localhost:1"] {
        let address = text.parse().unwrap();
        let server = S::new_server_with(&address, &stage.server_options());
        assert!(matches!(kind_of(&server), Some(ErrorKind::BadAddress { .. })), "{server:?}");
        let client = S::connect_with(&address, &stage.client_options());
        assert!(matches!(kind_of(&client), Some(ErrorKind::BadAddress { .. })), "{client:?}");
    }
    if S::Transport::CAPABILITIES.ports {
        return;
    }
    let host = format!("{}:localhost:1", S::Transport::SCHEME).parse().unwrap();
    let server = S::new_server_with(&host, &stage.server_options());
    assert!(matches!(kind_of(&server), Some(ErrorKind::BadAddress { .. })), "{server:?}");
}

pub fn a_server_that_dies_in_the_handshake_is_noticed<S: Subject>() {
    let stage = Stage::<S>::new();
    if S::Transport::CAPABILITIES.one_process {
        println!("{}: a server cannot die and leave its client behind", S::Transport::SCHEME);
        return;
    }
    let mut mute = Actor::start("mute", &stage, None);
    let options = stage.client_options().deadline(Deadline::Forever);
    thread::scope(|scope| {
        let client = scope.spawn(|| S::connect_with(&stage.address, &options));
        // Dead before, during or after the knock: the client must not wait for it in any case.
        thread::park_timeout(Duration::from_millis(100));
        mute.kill();
        let connected = client.join().unwrap();
        let known = matches!(kind_of(&connected), Some(ErrorKind::PeerGone | ErrorKind::NoSuchServer { .. }));
        assert!(known, "{connected:?}");
    });
    let server = stage.server();
    drop(server);
    let mut next = Actor::start("echo", &stage, None);
    let mut client = stage.connect().unwrap();
    client.send_info(b"x").unwrap();
    assert_eq!(client.recv_borrowed().unwrap(), Some(&b"x"[..]));
    client.disconnect_from().unwrap();
    let _ = echo(&mut client);
    next.kill();
}
