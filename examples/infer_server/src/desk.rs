//! The server: one thread receives, others read images and answer, and nobody waits for anybody's slow image.

use std::{
    io::{self, Write},
    sync::Arc,
    thread::{self, Scope},
    time::Instant,
};

use hobnob::{
    ErrorKind, Result,
    datagrams::{Answers, Rates, Sender, Server},
};

use crate::{
    counts::Counts,
    gallery::Gallery,
    message::{self, Message, Request},
    model,
    picture::{self, LARGE, Limits, SMALL},
    queue::{Entrance, Exit, queue},
    refusal::Refusal,
};

/// So many requests wait; more are answered "busy".
const WAITING: usize = 256;
/// So many of them have turned out to be for large images.
const WAITING_LARGE: usize = 16;

struct Desk {
    answers: Answers,
    gallery: Gallery,
    counts: Counts,
}

/// A request, and who is to have the answer.
type Ticket = (Sender, Request);

/// Until the server is stopped. What it has then is answered.
pub fn serve(server: Server, gallery: Gallery, rates: Rates, workers: usize) -> Result<()> {
    let desk = Desk { answers: server.answers(), gallery, counts: Counts::default() };
    let (entrance, requests) = queue(WAITING);
    let (to_large, large) = queue(WAITING_LARGE);
    let (desk, to_large) = (&desk, Arc::new(to_large));
    let ended = thread::scope(|threads| {
        start(threads, "large images", || desk.work(&large, &LARGE, None))?;
        for _ in 0..workers {
            let (requests, to_large) = (requests.clone(), to_large.clone());
            start(threads, "images", move || desk.work(&requests, &SMALL, Some(&to_large)))?;
        }
        // The workers have theirs: that queue is closed when the last of them ends.
        drop(to_large);
        say_where(&server)?;
        desk.receive(server, rates, entrance)
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

impl Desk {
    /// When this is over the name is free and the queue closed, and the workers answer what is left.
    fn receive(&self, mut server: Server, mut rates: Rates, entrance: Entrance<Ticket>) -> Result<()> {
        let mut info = Vec::new();
        let ended = loop {
            match server.recv_info(&mut info) {
                Ok(sender) => self.take_in(sender, &info, &mut rates, &entrance),
                Err(error) => break error,
            }
        };
        // What came before the end; but not for ever what goes on coming.
        for _ in 0..WAITING {
            match server.try_recv_info(&mut info) {
                Ok(sender) => self.take_in(sender, &info, &mut rates, &entrance),
                Err(_) => break,
            }
        }
        log::info!("{:?}", server.stats());
        if *ended.kind() == ErrorKind::Stopped { Ok(()) } else { Err(ended) }
    }

    fn take_in(&self, sender: Sender, info: &[u8], rates: &mut Rates, entrance: &Entrance<Ticket>) {
        if !rates.pay(sender.peer().uid, Instant::now()) {
            return self.refuse(&sender, message::id(info), &Refusal::TooManyRequests);
        }
        match Request::parse(info) {
            Ok(request) => self.put(entrance, (sender, request)),
            Err(refusal) => self.refuse(&sender, message::id(info), &refusal),
        }
    }

    fn put(&self, entrance: &Entrance<Ticket>, ticket: Ticket) {
        let peer = ticket.0.peer().clone();
        if let Some((sender, request)) = entrance.put(&peer, ticket) {
            self.refuse(&sender, request.id, &Refusal::Busy);
        }
    }

    /// Answers until there are no more requests. What is over the limits is for somebody else, if there is one.
    fn work(&self, requests: &Exit<Ticket>, limits: &Limits, beyond: Option<&Entrance<Ticket>>) {
        while let Some((sender, request)) = requests.take() {
            match (self.result(&request, limits), beyond) {
                (Ok(result), _) => {
                    self.counts.answered.one_more();
                    self.send(&sender, &result);
                }
                (Err(Refusal::TooLarge(_)), Some(beyond)) => self.put(beyond, (sender, request)),
                (Err(refusal), _) => self.refuse(&sender, request.id, &refusal),
            }
        }
    }

    fn result(&self, request: &Request, limits: &Limits) -> std::result::Result<Message, Refusal> {
        let model = model::named(&request.model).ok_or(Refusal::UnknownModel)?;
        let picture = picture::decode(&self.gallery.read(&request.image, limits.bytes)?, limits)?;
        let (class, confidence) = model::classify(model, &picture);
        Ok(message::result(request.id, class, confidence))
    }

    fn refuse(&self, sender: &Sender, id: u16, refusal: &Refusal) {
        log::log!(refusal.level(), "{}, request {id}: {refusal}", sender.peer());
        self.counts.refused.one_more();
        self.send(sender, &message::error(id, refusal.text()));
    }

    /// Whoever is gone, has no address or does not read loses the answer, and holds up nobody.
    fn send(&self, sender: &Sender, message: &Message) {
        if let Err(error) = self.answers.send_info(sender, message) {
            log::debug!("{}: {error}", sender.peer());
            self.counts.undeliverable.one_more();
        }
    }
}
