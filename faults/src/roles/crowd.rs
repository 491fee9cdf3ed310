//! Very many clients at the same time, and the server and the user that they need.

use std::{
    io::{self, PipeReader, PipeWriter, Read},
    os::fd::AsFd,
    sync::Barrier,
    thread,
};

use hobnob::{AnyConnection, ConnectOptions, Deadline, IpcReceiver, IpcSender, Result};
use nix::{
    fcntl::{FcntlArg, fcntl},
    sys::resource::{Resource, getrlimit, setrlimit},
};

use super::say;

const THREADS: usize = 4;

/// An echo server that may have as many descriptors as the machine allows.
pub(super) fn serve(address: &str) -> Result<()> {
    raise_limit()?;
    super::serve(address)
}

/// So many clients connect and stay. When they are told to, each has so many messages echoed, all of them in turn.
pub(super) fn play(address: &str, clients: usize, messages: usize) -> Result<()> {
    raise_limit()?;
    let (all_there, go) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    thread::scope(|scope| {
        let part = |thread| (thread..clients).step_by(THREADS);
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (all_there, go) = (&all_there, &go);
                scope.spawn(move || {
                    let connected: Result<Vec<_>> = part(thread).map(|_| connect(address)).collect();
                    all_there.wait();
                    go.wait();
                    talk(connected?, thread, messages)
                })
            })
            .collect();
        all_there.wait();
        say("all there");
        let _ = io::stdin().read(&mut [0]);
        go.wait();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap())
    })?;
    say("done");
    Ok(())
}

fn connect(address: &str) -> Result<AnyConnection> {
    AnyConnection::connect_with(&address.parse()?, &ConnectOptions::new().deadline(Deadline::Forever))
}

/// In each round all of them have sent before the first receives.
fn talk(mut clients: Vec<AnyConnection>, thread: usize, messages: usize) -> Result<()> {
    let mut info = Vec::new();
    for round in 0..messages {
        for (number, client) in clients.iter_mut().enumerate() {
            client.send_info(&message(thread, number, round))?;
        }
        for (number, client) in clients.iter_mut().enumerate() {
            assert!(client.recv_info(&mut info)?, "a goodbye instead of an answer");
            assert!(info == message(thread, number, round), "client {number}, round {round}: a wrong answer");
        }
    }
    clients.into_iter().try_for_each(|mut client| client.disconnect_from())
}

/// No two are the same. They are small: the memory that large ones need is kept by the server's pool, up to 8 MiB of
/// it, and how much that is depends on how many come at the same time.
fn message(thread: usize, number: usize, round: usize) -> Vec<u8> {
    let mut message = vec![(number + round) as u8; 24 + (number + round) % 500];
    message[..24].copy_from_slice([thread, number, round].map(|n| n.to_le_bytes()).as_flattened());
    message
}

/// Takes as much pipe as the kernel allows this user, so that every further pipe is a small one.
pub(super) fn hoard() -> Result<()> {
    raise_limit()?;
    let mut pipes: Vec<(PipeReader, PipeWriter)> = Vec::new();
    let size = loop {
        let pipe = io::pipe()?;
        let size = fcntl(&pipe.0, FcntlArg::F_GETPIPE_SZ).map_err(io::Error::from)?;
        if size < 64 * 1024 {
            break size;
        }
        // Refused near the limit: then the rest is taken by pipes of the usual size.
        let _ = fcntl(&pipe.0, FcntlArg::F_SETPIPE_SZ(1 << 20));
        pipes.push(pipe);
    };
    say(&format!("full, pipes have {size} bytes"));
    let _ = io::stdin().read(&mut [0]);
    drop(pipes);
    Ok(())
}

/// A client that says how large the pipe is that it reads from, before it has a message echoed that is far larger.
pub(super) fn squeeze(address: &str) -> Result<()> {
    let mut server = connect(address)?;
    let size = fcntl(server.as_fd(), FcntlArg::F_GETPIPE_SZ).map_err(io::Error::from)?;
    let message: Vec<u8> = (0..=250).collect::<Vec<u8>>().repeat(4000);
    server.send_info(&message)?;
    assert!(server.recv_borrowed()? == Some(&message[..]), "a wrong answer");
    say(&format!("done through {size} bytes"));
    server.disconnect_from()
}

/// The soft limit of descriptors is for programs that use select(2).
pub(super) fn raise_limit() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}
