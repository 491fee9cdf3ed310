//! Socket activation: a service manager makes the socket, starts the server when it likes, and passes the socket on
//! (sd_listen_fds(3), systemd.socket(5)). Clients can connect before the server runs, and while it is restarted.
//!
//! ```no_run
//! # fn main() -> ipc_core::Result<()> {
//! if let Some(socket) = socket_activation::listener()? {
//!     println!("on {}", socket.name);
//!     // ServerOptions::listen_on(socket.descriptor) for a stream,
//!     // datagrams::ServerOptions::receive_on(socket.descriptor) for datagrams.
//! }
//! // Once there is a server:
//! socket_activation::ready()?;
//! # Ok(())
//! # }
//! ```
#![deny(unsafe_code)]

mod sys;

use std::{
    env, io,
    os::fd::OwnedFd,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};

use ipc_core::{Error, ErrorKind, Result};

/// A descriptor that the service manager has passed. What it is, the server that is given it checks.
#[derive(Debug)]
pub struct Passed {
    /// Its name in LISTEN_FDNAMES, such as `calc.socket`, or `unknown`.
    pub name: String,
    /// The descriptor, close-on-exec.
    pub descriptor: OwnedFd,
}

/// The descriptors that were passed to this process, in order; none if it was started without any, or if LISTEN_PID says
/// that they are for another process. The second call gives none either.
///
/// # Errors
/// `BadDescriptor`: LISTEN_PID and LISTEN_FDS are no numbers, or name descriptors that are not open, or that were opened
/// by this process itself. Nothing was taken then.
pub fn listeners() -> Result<Vec<Passed>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, SeqCst) {
        return Ok(Vec::new());
    }
    take().map_err(|error| {
        TAKEN.store(false, SeqCst);
        not_as_expected(&error)
    })
}

/// The descriptor that was passed, for a server that has one place; none as [`listeners`].
///
/// # Errors
/// `BadDescriptor` as there, or several were passed; they are closed then.
pub fn listener() -> Result<Option<Passed>> {
    let mut passed = listeners()?;
    if passed.len() <= 1 {
        return Ok(passed.pop());
    }
    let names: Vec<_> = passed.iter().map(|passed| &*passed.name).collect();
    let found = format!("one of {} that were passed: {}", names.len(), names.join(", "));
    Err(ErrorKind::BadDescriptor { found, expected: "a single one".into() }.into())
}

fn take() -> io::Result<Vec<Passed>> {
    let number = |name| env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    if number("LISTEN_PID") == Some(std::process::id()) {
        sys::must_come_from_outside(number("LISTEN_FDS").unwrap_or(0))?;
    }
    let passed = sd_notify::listen_fds_with_names()?;
    Ok(passed.map(|(number, name)| Passed { name, descriptor: sys::own(number) }).collect())
}

fn not_as_expected(error: &io::Error) -> Error {
    let variable = |name| env::var(name).unwrap_or_default();
    let found =
        format!("LISTEN_PID={:?} LISTEN_FDS={:?} ({error})", variable("LISTEN_PID"), variable("LISTEN_FDS"));
    let expected = "our pid, and how many descriptors were passed, from 3 on (sd_listen_fds(3))".into();
    ErrorKind::BadDescriptor { found, expected }.into()
}

/// Tells the service manager that this process serves now (READY=1, sd_notify(3)), if there is one that wants to know
/// (NOTIFY_SOCKET). Call it when the server has been made: clients can connect from then on. It never waits for long: the
/// manager reads what it is told.
///
/// # Errors
/// What the operating system says: nobody receives at NOTIFY_SOCKET. (An abstract address there, `@...`, is not
/// supported by the crate sd-notify 0.5.)
pub fn ready() -> Result<()> {
    Ok(sd_notify::notify(&[sd_notify::NotifyState::Ready])?)
}
