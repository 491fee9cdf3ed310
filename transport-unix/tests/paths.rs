//! Paths: deep directories, full backlogs, and sockets that others have made.
#![allow(clippy::unwrap_used)]

use std::{
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
    path::Path as FilePath,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use conformance::{Stage, kind_of};
use ipc_core::{
    Address, ConnectOptions, Connection, ErrorKind, Failpoints, IpcReceiver, IpcSender, IpcServer, Result,
    Seams, Server, ServerOptions, Transport,
};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};

/// Every test of this file, over this transport.
macro_rules! over {
    ($module:ident: $transport:ty, $kind:ident) => {
        mod $module {
            impl super::Meets for $transport {
                const BY: nix::sys::socket::SockType = nix::sys::socket::SockType::$kind;
            }
            over! { $transport:
                names_work_in_directories_deeper_than_a_socket_address
                a_full_backlog_ends_at_the_deadline
                a_path_serves_and_is_gone_afterwards
                a_dead_socket_is_taken_over_and_a_live_one_never
                what_is_no_socket_is_left_alone
                a_socket_of_another_type_is_a_bad_address_and_left_alone
                a_successors_socket_is_not_removed_by_its_predecessor
                of_two_that_start_at_a_path_with_leases_of_their_own_the_second_is_told
                a_server_of_another_user_at_a_path_is_not_believed
            }
        }
    };
    ($transport:ty: $($promise:ident)*) => {
        $(#[test]
        fn $promise() {
            let name = conformance::in_crate(concat!(module_path!(), "::", stringify!($promise)));
            conformance::watched(name, super::$promise::<$transport>);
        })*
    };
}

over! { unix: transport_unix::Unix, Stream }
over! { seqpacket: transport_unix::seqpacket::Seqpacket, SeqPacket }
over! { dgram: transport_unix::dgram::Dgram, Stream }

/// What clients and servers of a transport meet by.
trait Meets: Transport {
    const BY: SockType;
}

fn names_work_in_directories_deeper_than_a_socket_address<T: Meets>() {
    let stage = Stage::<T>::new();
    let deep = (0..10).fold(stage.dir.path().to_owned(), |path, _| path.join("a-directory-with-a-long-name"));
    fs::create_dir_all(&deep).unwrap();
    assert!(deep.as_os_str().len() > 200);
    let names = deep.join("names");
    let options = ServerOptions::new().directory(&names);
    let made = Server::<T>::new_server_with(&stage.address, &options);
    if cfg!(not(all(target_os = "linux", not(hobnob_portable)))) {
        // Without /proc/self/fd a socket is bound by its plain path: no server, and the error says why.
        let why = made.unwrap_err();
        assert!(
            matches!(why.kind(), ErrorKind::BadAddress { .. }) && why.to_string().contains("bytes; expected")
        );
        assert_eq!(fs::read_dir(&names).unwrap().count(), 0);
        return;
    }
    let mut server = made.unwrap();
    let options = ConnectOptions::new().directory(&names);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| Connection::<T>::connect_with(&stage.address, &options).unwrap());
        let mut served = server.accept_client().unwrap();
        client.join().unwrap().send_info(b"deep").unwrap();
        assert_eq!(served.recv_borrowed().unwrap(), Some(&b"deep"[..]));
    });
}

struct Path<T> {
    stage: Stage<T>,
    file: std::path::PathBuf,
    address: Address,
}

impl<T: Meets> Path<T> {
    fn new() -> Self {
        let stage = Stage::<T>::new();
        let file = stage.dir.path().join("calc.sock");
        let address = format!("{}:{}", T::SCHEME, file.display()).parse().unwrap();
        Self { stage, file, address }
    }

    fn server(&self) -> Result<Server<T>> {
        Server::<T>::new_server_with(&self.address, &self.stage.server_options())
    }

    fn connect_within(&self, span: Duration) -> Result<Connection<T>> {
        Connection::<T>::connect_with(&self.address, &self.stage.client_options().deadline(span))
    }
}

fn listener<T: Meets>(at: &FilePath) -> OwnedFd {
    let listener = socket(AddressFamily::Unix, T::BY, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(listener.as_raw_fd(), &UnixAddr::new(at).unwrap()).unwrap();
    listen(&listener, Backlog::new(128).unwrap()).unwrap();
    listener
}

fn a_full_backlog_ends_at_the_deadline<T: Meets>() {
    let path = Path::<T>::new();
    let listener = socket(AddressFamily::Unix, T::BY, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(listener.as_raw_fd(), &UnixAddr::new(&path.file).unwrap()).unwrap();
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let span = Duration::from_millis(60);
    // The first fills the backlog, and then waits for a verdict; the second cannot even connect.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let began = Instant::now();
                assert_eq!(kind_of(&path.connect_within(span)), Some(&ErrorKind::TimedOut));
                assert!(began.elapsed() >= span);
            });
        }
    });
}

fn a_path_serves_and_is_gone_afterwards<T: Meets>() {
    let path = Path::<T>::new();
    let mut server = path.server().unwrap();
    assert!(matches!(kind_of(&path.server()), Some(ErrorKind::NameInUse { holder: Some(_), .. })));
    std::thread::scope(|scope| {
        let client = scope.spawn(|| path.connect_within(Duration::from_secs(5)).unwrap());
        let mut served = server.accept_client().unwrap();
        client.join().unwrap().send_info(b"path").unwrap();
        assert_eq!(served.recv_borrowed().unwrap(), Some(&b"path"[..]));
    });
    drop(server);
    assert!(!path.file.exists());
    assert!(matches!(
        kind_of(&path.connect_within(Duration::from_secs(5))),
        Some(ErrorKind::NoSuchServer { .. })
    ));
    assert_eq!(fs::read_dir(path.stage.names()).unwrap().count(), 0);
}

fn a_dead_socket_is_taken_over_and_a_live_one_never<T: Meets>() {
    let path = Path::<T>::new();
    let foreign = listener::<T>(&path.file);
    for _ in 0..20 {
        assert_eq!(
            kind_of(&path.server()),
            Some(&ErrorKind::NameInUse { name: path.file.display().to_string(), holder: None })
        );
    }
    drop(foreign);
    assert!(path.file.exists());
    drop(path.server().unwrap());
    assert!(!path.file.exists());
}

fn what_is_no_socket_is_left_alone<T: Meets>() {
    let path = Path::<T>::new();
    fs::write(&path.file, "precious").unwrap();
    let denied = path.server();
    assert!(matches!(kind_of(&denied), Some(ErrorKind::Denied { .. })), "{denied:?}");
    assert_eq!(fs::read_to_string(&path.file).unwrap(), "precious");
    let client = path.connect_within(Duration::from_secs(5));
    assert!(
        matches!(kind_of(&client), Some(ErrorKind::NoSuchServer { .. } | ErrorKind::BadAddress { .. })),
        "{client:?}"
    );
}

/// Somebody receives datagrams there.
fn a_socket_of_another_type_is_a_bad_address_and_left_alone<T: Meets>() {
    let path = Path::<T>::new();
    let foreign = std::os::unix::net::UnixDatagram::bind(&path.file).unwrap();
    let (server, client) = (path.server(), path.connect_within(Duration::from_secs(5)));
    assert!(matches!(kind_of(&server), Some(ErrorKind::NameInUse { holder: None, .. })), "{server:?}");
    let Some(ErrorKind::BadAddress { why }) = kind_of(&client) else { panic!("{client:?}") };
    assert!(why.contains(path.file.to_str().unwrap()), "{why}");
    assert!(path.file.exists());
    drop(foreign);
    drop(path.server().unwrap());
}

fn a_successors_socket_is_not_removed_by_its_predecessor<T: Meets>() {
    let path = Path::<T>::new();
    let server = path.server().unwrap();
    fs::remove_file(&path.file).unwrap();
    let successor = listener::<T>(&path.file);
    drop(server);
    assert!(path.file.exists(), "a server removed a socket that was not its own");
    drop(successor);
}

/// When a server listens under its temporary name.
struct Listening<F>(Mutex<Option<F>>);

impl<F: FnOnce() + Send> Failpoints for Listening<F> {
    fn reach(&self, point: &'static str) -> io::Result<()> {
        let once = if point == "unix.listening" { self.0.lock().unwrap().take() } else { None };
        once.into_iter().for_each(|once| once());
        Ok(())
    }
}

/// Each has a directory of names that the other does not look at.
fn of_two_that_start_at_a_path_with_leases_of_their_own_the_second_is_told<T: Meets>() {
    let (path, (tell, told)) = (Path::<T>::new(), mpsc::channel());
    let (at, options) = (path.address.clone(), path.stage.server_options());
    let starts = move || tell.send(Server::<T>::new_server_with(&at, &options)).unwrap();
    let seams = Seams::default().with_failpoints(Arc::new(Listening(Mutex::new(Some(starts)))));
    let options = ServerOptions::new().directory(path.stage.dir.path().join("others")).seams(seams);
    let mut first = Server::<T>::new_server_with(&path.address, &options).unwrap();
    let in_use = ErrorKind::NameInUse { name: path.file.display().to_string(), holder: None };
    assert_eq!(kind_of(&told.recv().unwrap()), Some(&in_use));
    std::thread::scope(|scope| {
        let client = scope.spawn(|| path.connect_within(Duration::from_secs(5)).unwrap());
        let mut served = first.accept_client().unwrap();
        client.join().unwrap().send_info(b"served").unwrap();
        assert_eq!(served.recv_borrowed().unwrap(), Some(&b"served"[..]));
    });
}

/// At a path there is no folder whose owner could be asked: the kernel's word on who listens decides.
fn a_server_of_another_user_at_a_path_is_not_believed<T: Meets>() {
    const OTHER: u32 = 1001;
    if conformance::play_role::<T>() {
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        println!(
            "SKIPPED: a_server_of_another_user_at_a_path_is_not_believed needs root to act as two users"
        );
        return;
    }
    let mut stage = Stage::<T>::new();
    let home = stage.dir.path().join("home");
    for dir in [home.clone(), stage.names()] {
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let (uid, gid) = (nix::unistd::Uid::from_raw(OTHER), nix::unistd::Gid::from_raw(OTHER));
        nix::unistd::chown(&dir, Some(uid), Some(gid)).unwrap();
    }
    stage.address = format!("{}:{}", T::SCHEME, home.join("calc.sock").display()).parse().unwrap();
    let _server = conformance::Actor::start("echo", &stage, Some(OTHER));
    assert_eq!(kind_of(&stage.connect()), Some(&ErrorKind::ServerUntrusted { uid: OTHER }));
    if T::FOREIGN_WIRES {
        // There no hello would tell.
        let foreign = stage.client_options().wire(ipc_core::Wire::Raw);
        let refused = Connection::<T>::connect_with(&stage.address, &foreign);
        assert_eq!(kind_of(&refused), Some(&ErrorKind::ServerUntrusted { uid: OTHER }));
    }
    let options = stage.client_options().trust_server(OTHER);
    let refused = Connection::<T>::connect_with(&stage.address, &options);
    let not_admitted = ErrorKind::Refused { reason: ipc_core::Refusal::NotAdmitted };
    assert_eq!(kind_of(&refused), Some(&not_admitted), "nor does that server admit us");
}
