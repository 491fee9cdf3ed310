//! Whose the name is: before, during and after a server.
#![allow(clippy::unwrap_used)]

mod stage;

use std::{
    os::unix::{
        fs::{FileTypeExt, symlink},
        net::{UnixDatagram, UnixListener, UnixStream},
    },
    sync::Barrier,
    thread,
};

use conformance::watched;
use ipc_core::{Address, ErrorKind};
use plain_datagrams::{Client, Server, ServerOptions};
use stage::{Stage, kind, next, said};

fn echoes(stage: &Stage, server: &mut Server) {
    let client = stage.stranger("asks");
    client.send_to(b"ask", stage.socket()).unwrap();
    let (sender, info) = next(server);
    server.send_info(&sender, &info).unwrap();
    assert_eq!(said(&client), b"ask");
    std::fs::remove_file(stage.at("asks")).unwrap();
}

#[test]
fn a_dead_servers_socket_is_taken_over_and_nothing_is_left_at_the_end() {
    watched("a_dead_servers_socket_is_taken_over_and_nothing_is_left_at_the_end", || {
        let stage = Stage::new();
        drop(UnixDatagram::bind(stage.socket()).unwrap());
        echoes(&stage, &mut stage.server());
        assert_eq!(stage.left(), Vec::<String>::new());
        drop(UnixListener::bind(stage.socket()).unwrap());
        let mut server = stage.server();
        echoes(&stage, &mut server);
        server.destroy_server().unwrap();
        server.destroy_server().unwrap();
        assert_eq!(stage.left(), Vec::<String>::new());
        assert_eq!(kind(server.recv_info(&mut Vec::new())), ErrorKind::Closed);
        // One was killed while it put a dead one aside.
        drop(UnixDatagram::bind(stage.at(".tmp-dead-calc.sock")).unwrap());
        echoes(&stage, &mut stage.server());
        assert_eq!(stage.left(), Vec::<String>::new());
    });
}

#[test]
fn a_dead_servers_socket_with_the_longest_name_is_taken_over() {
    watched("a_dead_servers_socket_with_the_longest_name_is_taken_over", || {
        let stage = Stage::new();
        let long = stage.at(&"ü".repeat((107 - stage.at("").as_os_str().len()) / 2));
        drop(UnixDatagram::bind(&long).unwrap());
        let at: Address = format!("dgram:{}", long.display()).parse().unwrap();
        drop(Server::new_server_with(&at, &stage.options()).unwrap());
        assert_eq!(stage.left(), Vec::<String>::new());
    });
}

#[test]
fn a_live_socket_is_never_taken_over_whoever_serves_it() {
    watched("a_live_socket_is_never_taken_over_whoever_serves_it", || {
        let stage = Stage::new();
        let client = stage.stranger("client");
        let foreign = UnixDatagram::bind(stage.socket()).unwrap();
        assert!(matches!(kind(stage.try_server(&stage.options())), ErrorKind::NameInUse { .. }));
        // One that takes datagrams of a single peer only.
        foreign.connect(stage.at("client")).unwrap();
        assert!(matches!(kind(stage.try_server(&stage.options())), ErrorKind::NameInUse { .. }));
        client.send_to(b"still there", stage.socket()).unwrap();
        assert_eq!(said(&foreign), b"still there");
        drop(foreign);
        std::fs::remove_file(stage.socket()).unwrap();

        let foreign = UnixListener::bind(stage.socket()).unwrap();
        assert!(matches!(kind(stage.try_server(&stage.options())), ErrorKind::NameInUse { .. }));
        UnixStream::connect(stage.socket()).unwrap();
        drop(foreign);
        assert_eq!(stage.left(), ["calc.sock", "client"]);
    });
}

#[test]
fn what_is_no_socket_of_ours_is_left_alone() {
    watched("what_is_no_socket_of_ours_is_left_alone", || {
        let stage = Stage::new();
        let denied = |what: &str| {
            let refused = stage.try_server(&stage.options()).unwrap_err();
            assert!(matches!(refused.kind(), ErrorKind::Denied { .. }), "{what}: {refused}");
            assert!(refused.to_string().contains("expected"), "{refused}");
        };
        std::fs::write(stage.socket(), "a file").unwrap();
        denied("a file");
        assert_eq!(std::fs::read(stage.socket()).unwrap(), b"a file");
        std::fs::remove_file(stage.socket()).unwrap();
        drop(UnixDatagram::bind(stage.at("dead")).unwrap());
        symlink(stage.at("dead"), stage.socket()).unwrap();
        denied("a link to a dead socket");
        assert!(stage.at("dead").exists());
        std::fs::remove_file(stage.socket()).unwrap();
        std::fs::create_dir(stage.socket()).unwrap();
        denied("a directory");
        std::fs::remove_dir(stage.socket()).unwrap();
        if nix::unistd::geteuid().is_root() {
            drop(UnixDatagram::bind(stage.socket()).unwrap());
            std::os::unix::fs::chown(stage.socket(), Some(stage::OTHER), None).unwrap();
            denied("another user's dead socket");
        } else {
            stage::skipped("what_is_no_socket_of_ours_is_left_alone, another user's: it needs root");
        }
    });
}

#[test]
fn a_name_has_one_server_and_the_second_is_told_who_holds_it() {
    watched("a_name_has_one_server_and_the_second_is_told_who_holds_it", || {
        let stage = Stage::new();
        let at: Address = "dgram:calc".parse().unwrap();
        let new_server = || Server::new_server_with(&at, &stage.options());
        let mut server = new_server().unwrap();
        let ErrorKind::NameInUse { holder: Some(holder), .. } = kind(new_server()) else {
            panic!("no holder")
        };
        assert_eq!((holder.pid, &*holder.transport), (std::process::id(), "datagrams"));
        let mut client = Client::connect_with(&at, &stage.client_options()).unwrap();
        client.send_info(b"ask").unwrap();
        let (sender, _) = next(&mut server);
        server.send_info(&sender, b"answer").unwrap();
        assert_eq!(client.recv_borrowed().unwrap(), b"answer");
        drop(server);
        assert_eq!(std::fs::read_dir(stage.at("names")).unwrap().count(), 0, "nothing is left");
        let refused = Client::connect_with(&at, &stage.client_options()).map(drop);
        assert!(matches!(kind(refused), ErrorKind::NoSuchServer { searched } if !searched.is_empty()));
        new_server().unwrap();
    });
}

#[test]
fn of_servers_that_race_for_a_dead_ones_path_one_wins_and_serves() {
    watched("of_servers_that_race_for_a_dead_ones_path_one_wins_and_serves", || {
        let stage = Stage::new();
        for _ in 0..50 {
            drop(UnixDatagram::bind(stage.socket()).unwrap());
            let start = Barrier::new(4);
            let results: Vec<_> = thread::scope(|scope| {
                let race = || {
                    start.wait();
                    stage.try_server(&stage.options())
                };
                let racers: Vec<_> = (0..4).map(|_| scope.spawn(race)).collect();
                racers.into_iter().map(|racer| racer.join().unwrap()).collect()
            });
            let mut winners: Vec<_> = results.into_iter().flatten().collect();
            assert_eq!(winners.len(), 1);
            echoes(&stage, &mut winners[0]);
        }
    });
}

/// Each has a directory of names that the others do not look at, and so a lease of its own.
#[test]
fn of_servers_that_race_with_leases_of_their_own_one_wins_and_the_others_are_told() {
    watched("of_servers_that_race_with_leases_of_their_own_one_wins_and_the_others_are_told", || {
        let stage = Stage::new();
        for _ in 0..300 {
            drop(UnixDatagram::bind(stage.socket()).unwrap());
            let start = Barrier::new(4);
            let race = &|options: ServerOptions| {
                start.wait();
                stage.try_server(&options)
            };
            let results: Vec<_> = thread::scope(|scope| {
                let options =
                    (0..4).map(|i| stage.options().directory(stage.at("names").join(i.to_string())));
                std::fs::create_dir_all(stage.at("names")).unwrap();
                let racers: Vec<_> = options.map(|options| scope.spawn(move || race(options))).collect();
                racers.into_iter().map(|racer| racer.join().unwrap()).collect()
            });
            let (winners, losers): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
            assert_eq!(winners.len(), 1);
            for told in losers {
                let told = kind(told);
                assert!(matches!(told, ErrorKind::NameInUse { holder: None, .. }), "{told:?}");
            }
            winners.into_iter().for_each(|winner| echoes(&stage, &mut winner.unwrap()));
            assert_eq!(stage.left(), Vec::<String>::new());
        }
    });
}

#[test]
fn nobody_there_is_said_at_once() {
    watched("nobody_there_is_said_at_once", || {
        let stage = Stage::new();
        let connect = || kind(Client::connect_with(&stage.address(), &stage.client_options()));
        let nobody = ErrorKind::NoSuchServer { searched: vec![stage.socket()] };
        assert_eq!(connect(), nobody);
        drop(UnixDatagram::bind(stage.socket()).unwrap());
        assert_eq!(connect(), nobody, "a dead server's socket");
        std::fs::remove_file(stage.socket()).unwrap();
        std::fs::write(stage.socket(), "a file").unwrap();
        assert!(matches!(connect(), ErrorKind::BadAddress { .. }));
        std::fs::remove_file(stage.socket()).unwrap();
        let _stream = UnixListener::bind(stage.socket()).unwrap();
        assert!(matches!(connect(), ErrorKind::BadAddress { .. }));
        let other_scheme = Client::connect_to(&"unix:/tmp/x".parse().unwrap());
        assert!(matches!(kind(other_scheme), ErrorKind::BadAddress { .. }));
    });
}

#[test]
fn a_client_follows_a_link_to_a_server_and_believes_only_those_it_trusts() {
    watched("a_client_follows_a_link_to_a_server_and_believes_only_those_it_trusts", || {
        let stage = Stage::new();
        let mut server = stage.server();
        symlink(stage.socket(), stage.at("log")).unwrap();
        let at: Address = format!("dgram:{}", stage.at("log").display()).parse().unwrap();
        Client::connect_with(&at, &stage.client_options()).unwrap().send_info(b"as to /dev/log").unwrap();
        assert_eq!(next(&mut server).1, b"as to /dev/log");
        if !nix::unistd::geteuid().is_root() {
            return stage::skipped("a_client_follows_a_link_..., whom it trusts: it needs root");
        }
        std::os::unix::fs::chown(stage.socket(), Some(stage::OTHER), None).unwrap();
        let refused = kind(Client::connect_with(&at, &stage.client_options()));
        assert_eq!(refused, ErrorKind::ServerUntrusted { uid: stage::OTHER });
        Client::connect_with(&at, &stage.client_options().trust_server(stage::OTHER)).unwrap();
    });
}

/// As many descriptors as each step needs: at every number one step fails, says so, and leaves nothing behind.
#[test]
fn without_descriptors_nobody_is_said_to_be_there_and_nothing_is_left() {
    if !is_alone("without_descriptors_nobody_is_said_to_be_there_and_nothing_is_left") {
        return;
    }
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let stage = Stage::new();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let next = std::fs::File::open("/dev/null").unwrap();
    let free = std::os::fd::AsRawFd::as_raw_fd(&next) as u64;
    drop(next);
    let options = stage.options().shared(true);
    for more in 0..50 {
        drop(UnixDatagram::bind(stage.socket()).unwrap());
        setrlimit(Resource::RLIMIT_NOFILE, free + more, hard).unwrap();
        let made = stage.try_server(&options);
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        match made {
            Ok(mut server) => {
                echoes(&stage, &mut server);
                assert!(more > 3, "{more}");
                return;
            }
            Err(error) => assert_eq!(*error.kind(), ErrorKind::TooManyOpen, "with {more} more: {error}"),
        }
        let _ = std::fs::remove_file(stage.socket());
        assert_eq!(stage.left(), Vec::<String>::new(), "with {more} more");
    }
    panic!("it never had enough");
}

/// Whether this is the process that was started for this test alone: the limit is one for all threads.
fn is_alone(name: &str) -> bool {
    const ALONE: &str = "HOBNOB_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
    let ended = alone.args([name, "--exact", "--test-threads=1"]).env(ALONE, "1").output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    false
}

#[test]
fn a_socket_that_another_has_put_in_our_place_is_not_removed() {
    watched("a_socket_that_another_has_put_in_our_place_is_not_removed", || {
        let stage = Stage::new();
        let server = stage.server();
        assert!(std::fs::symlink_metadata(stage.socket()).unwrap().file_type().is_socket());
        std::fs::remove_file(stage.socket()).unwrap();
        let other = UnixDatagram::bind(stage.socket()).unwrap();
        drop(server);
        stage.stranger("client").send_to(b"x", stage.socket()).unwrap();
        assert_eq!(said(&other), b"x");
    });
}

#[test]
fn a_socket_that_another_has_put_in_a_clients_place_is_not_removed() {
    watched("a_socket_that_another_has_put_in_a_clients_place_is_not_removed", || {
        let stage = Stage::new();
        let mut server = stage.server();
        let connect = || {
            let options = stage.client_options().answer_at(stage.at("client"));
            Client::connect_with(&stage.address(), &options).unwrap()
        };
        let first = connect();
        std::fs::remove_file(stage.at("client")).unwrap();
        let mut second = connect();
        drop(first);
        second.send_info(b"ask").unwrap();
        let (sender, _) = next(&mut server);
        server.send_info(&sender, b"answer").unwrap();
        assert_eq!(second.recv_borrowed().unwrap(), b"answer");
        drop(second);
        assert_eq!(stage.left(), ["calc.sock"]);
    });
}
