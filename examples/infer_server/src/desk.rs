//! Where requests are answered.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hobnob::datagrams::{Answers, Sender};

use crate::{
    counts::Counts,
    gallery::Gallery,
    message::{self, Message, Request},
    model,
    picture::{self, Limits},
    queue::{Entrance, Exit},
    refusal::Refusal,
};

pub struct Desk {
    answers: Answers,
    gallery: Gallery,
    pub counts: Counts,
}

/// A request, and who is to have the answer.
pub type Ticket = (Sender, Request);

impl Desk {
    pub fn new(answers: Answers, gallery: Gallery) -> Self {
        Self { answers, gallery, counts: Counts::default() }
    }

    /// Answers until there are no more requests. What is over the limits is for somebody else, if there is one.
    pub fn work(&self, requests: &Exit<Ticket>, limits: &Limits, beyond: Option<&Entrance<Ticket>>) {
        while let Some((sender, request)) = requests.take() {
            match (surviving(|| self.result(&request, limits)), beyond) {
                (Ok(result), _) => {
                    self.counts.answered.one_more();
                    self.send(&sender, &result);
                }
                (Err(Refusal::TooLarge(_)), Some(beyond)) => self.put((sender, request), beyond),
                (Err(refusal), _) => self.refuse(&sender, request.id, &refusal),
            }
        }
    }

    fn result(&self, request: &Request, limits: &Limits) -> Result<Message, Refusal> {
        let model = model::named(&request.model).ok_or(Refusal::UnknownModel)?;
        let picture = picture::decode(&self.gallery.read(&request.image, limits.bytes)?, limits)?;
        let (class, confidence) = model::classify(model, &picture);
        Ok(message::result(request.id, class, confidence))
    }

    /// In a full queue somebody loses a place, and is told.
    pub fn put(&self, ticket: Ticket, into: &Entrance<Ticket>) {
        let peer = ticket.0.peer().clone();
        if let Some((sender, request)) = into.put(&peer, ticket) {
            self.refuse(&sender, request.id, &Refusal::Busy);
        }
    }

    pub fn refuse(&self, sender: &Sender, id: u16, refusal: &Refusal) {
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

/// A bug in what reads other people's files is to cost one answer, and not the worker.
fn surviving<R>(work: impl FnOnce() -> Result<R, Refusal>) -> Result<R, Refusal> {
    let panicked = |_| Err(Refusal::Unreadable("its reader panicked".into()));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_costs_one_answer() {
        let panicked = surviving(|| -> Result<(), Refusal> { panic!("for the test") });
        assert!(matches!(panicked, Err(Refusal::Unreadable(_))));
        assert!(matches!(surviving(|| Ok(7)), Ok(7)));
    }
}
