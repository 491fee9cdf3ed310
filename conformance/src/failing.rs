//! Calls that fail half-way, and places that are not fit for use: an error, and nothing left behind.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use ipc_core::{ErrorKind, IpcServer, Seams, Transport};

use crate::{Stage, Subject, kind_of};

/// Fails at the n-th named point, as a full file system would.
struct FailAt(AtomicUsize);

impl ipc_core::Failpoints for FailAt {
    fn reach(&self, _: &'static str) -> std::io::Result<()> {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left == Ok(1) { Err(nix::errno::Errno::ENOSPC.into()) } else { Ok(()) }
    }
}

fn failing_at<S: Subject>(stage: &Stage<S>, point: usize) -> Seams {
    Seams::from(stage.faults.clone()).with_failpoints(Arc::new(FailAt(AtomicUsize::new(point))))
}

/// Everything below the directory of names.
fn listing(at: &std::path::Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(at) else { return Vec::new() };
    let mut all: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| [vec![path.clone()], listing(&path)].concat())
        .collect();
    all.sort();
    all
}

pub fn a_start_that_fails_anywhere_leaves_nothing<S: Subject>() {
    let stage = Stage::<S>::new();
    for point in 1.. {
        let failed =
            S::new_server_with(&stage.address, &stage.server_options().seams(failing_at(&stage, point)));
        let Err(error) = failed else {
            println!("{}: {} points", S::Transport::SCHEME, point - 1);
            assert!(point > 1, "no point was reached");
            break;
        };
        assert_eq!(*error.kind(), ErrorKind::NoSpace);
        assert_eq!(
            listing(&stage.names()),
            Vec::<std::path::PathBuf>::new(),
            "after failing at point {point}"
        );
        let _ = stage.pair(&mut stage.server());
    }
}

pub fn a_connect_that_fails_anywhere_leaves_nothing<S: Subject>() {
    let stage = Stage::<S>::new();
    let mut server = stage.server();
    let before = listing(&stage.names());
    for point in 1.. {
        let options = stage.client_options().seams(failing_at(&stage, point));
        let (address, stop) = (&stage.address, server.stop_handle().unwrap());
        let connected = thread::scope(|scope| {
            let client = scope.spawn(move || {
                let connected = S::connect_with(address, &options);
                stop.stop();
                connected
            });
            // It may come in or not, according to where it failed.
            let _ = server.accept_client();
            client.join().unwrap()
        });
        server = {
            drop(server);
            stage.server()
        };
        match connected {
            Err(error) => assert_eq!(*error.kind(), ErrorKind::NoSpace),
            Ok(_) => {
                assert!(point > 1, "no point was reached");
                break;
            }
        }
        assert_eq!(listing(&stage.names()), before, "after failing at point {point}");
        let _ = stage.pair(&mut server);
    }
}

pub fn a_directory_that_others_could_use_is_denied<S: Subject>() {
    let stage = Stage::<S>::new();
    if S::Transport::CAPABILITIES.one_process {
        println!("{}: names are not in the file system", S::Transport::SCHEME);
        return;
    }
    let names = stage.names();
    let denied = |what: &str| {
        let server = S::new_server_with(&stage.address, &stage.server_options());
        let Err(error) = server else { panic!("{what} was used") };
        assert!(matches!(error.kind(), ErrorKind::Denied { .. }), "{what}: {error}");
        assert!(error.to_string().contains("expected"), "{what}: {error}");
    };
    for mode in [0o755, 0o770, 0o777, 0o600, 0o500] {
        fs::create_dir(&names).unwrap();
        fs::set_permissions(&names, fs::Permissions::from_mode(mode)).unwrap();
        denied(&format!("a directory with mode {mode:o}"));
        fs::remove_dir(&names).unwrap();
    }
    fs::write(&names, "").unwrap();
    denied("a plain file");
    fs::remove_file(&names).unwrap();
    let elsewhere = stage.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &names).unwrap();
    denied("a link");
    fs::remove_file(&names).unwrap();
    // A client does not believe what others could have written, either.
    drop(stage.server());
    let _server = stage.server();
    fs::set_permissions(&names, fs::Permissions::from_mode(0o722)).unwrap();
    assert!(matches!(kind_of(&stage.connect()), Some(ErrorKind::Denied { .. })));
}
