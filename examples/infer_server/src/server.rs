//! The server: one thread receives datagrams, and others answer them.

use std::{
    io::{self, Write},
    sync::Arc,
    thread::{self, Scope},
    time::Instant,
};

use hobnob::{
    ErrorKind, Result,
    datagrams::{Rates, Sender, Server},
};

use crate::{
    desk::{Desk, Ticket},
    gallery::Gallery,
    message::{self, Request},
    picture::{LARGE, SMALL},
    queue::{Entrance, queue},
    refusal::Refusal,
};

/// So many requests wait; more are answered "busy".
const WAITING: usize = 256;
/// So many of them have turned out to be for large images.
const WAITING_LARGE: usize = 16;

/// Until the server is stopped. What it has then is answered.
pub fn serve(server: Server, gallery: Gallery, rates: Rates, workers: usize) -> Result<()> {
    let desk = Desk::new(server.answers(), gallery);
    let (entrance, requests) = queue(WAITING);
    let (to_large, large) = queue(WAITING_LARGE);
    let (desk, to_large) = (&desk, Arc::new(to_large));
    let ended = thread::scope(|threads| {
        // Nobody waits for anybody's slow image.
        start(threads, "large images", || desk.work(&large, &LARGE, None))?;
        for _ in 0..workers {
            let (requests, to_large) = (requests.clone(), to_large.clone());
            start(threads, "images", move || desk.work(&requests, &SMALL, Some(&to_large)))?;
        }
        // The workers have theirs: that queue is closed when the last of them ends.
        drop(to_large);
        say_where(&server)?;
        Reception { desk, rates, entrance }.receive(server)
    });
    log::info!("{}", desk.counts);
    ended
}

fn start<'scope>(
    threads: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() + Send + 'scope,
) -> io::Result<()> {
    thread::Builder::new().name(name.into()).spawn_scoped(threads, work).map(drop)
}

fn say_where(server: &Server) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "listening on {}", server.address())?;
    out.flush()
}

/// Takes in requests, and never waits for an image.
struct Reception<'a> {
    desk: &'a Desk,
    rates: Rates,
    entrance: Entrance<Ticket>,
}

impl Reception<'_> {
    /// When this is over the name is free and the queue closed, and the workers answer what is left.
    fn receive(mut self, mut server: Server) -> Result<()> {
        let mut info = Vec::new();
        let ended = loop {
            match server.recv_info(&mut info) {
                Ok(sender) => self.take_in(sender, &info),
                Err(error) => break error,
            }
        };
        // What came before the end; but not for ever what goes on coming.
        for _ in 0..WAITING {
            match server.try_recv_info(&mut info) {
                Ok(sender) => self.take_in(sender, &info),
                Err(_) => break,
            }
        }
        log::info!("{:?}", server.stats());
        if *ended.kind() == ErrorKind::Stopped { Ok(()) } else { Err(ended) }
    }

    fn take_in(&mut self, sender: Sender, info: &[u8]) {
        let request = match self.rates.pay(sender.peer().uid, Instant::now()) {
            true => Request::parse(info),
            false => Err(Refusal::TooManyRequests),
        };
        match request {
            Ok(request) => self.desk.put((sender, request), &self.entrance),
            Err(refusal) => self.desk.refuse(&sender, message::id(info), &refusal),
        }
    }
}
