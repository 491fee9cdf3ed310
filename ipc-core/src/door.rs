//! Who may come in: the server's side of the handshake's words, and the policy.

use std::sync::Arc;

use crate::{
    Config, Connection, IpcConnection as _, Link, Nonce, Refusal, Transport,
    complaints::Complaints,
    connecting::random,
    frame::{Frame, FrameKind},
    half_open::{Stage, Step},
    hello::{Hello, Terms, Verdict},
    options::Policy,
    shares::{NoPlace, Shares},
    stats::Counters,
};

/// What decides whether a client may come in.
pub(crate) struct Door {
    pub(crate) terms: Terms,
    pub(crate) config: Config,
    pub(crate) allow: Policy,
    pub(crate) address: Arc<str>,
    pub(crate) clients: Arc<Shares>,
    pub(crate) unread: Arc<Shares>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) complaints: Complaints,
    /// Lends memory for large messages to the connections.
    pub(crate) pool: Arc<crate::pool::Pool>,
}

impl Door {
    /// The road is up: is this peer admitted at all?
    pub(crate) fn greet<T: Transport>(&self, link: Link<T>) -> Step<T> {
        let admitted = (self.allow)(&link.peer);
        let (nonce, account) = (link.nonce, self.unread.account(&link.peer));
        let mut connection = self.connection(link);
        if admitted {
            connection.receiver.intake.decoder.charge_to(account);
            return match self.config.wire.is_foreign() {
                true => self.take_in(connection),
                false => Step::Wait(Stage::Hello(connection, nonce)),
            };
        }
        self.say_no(&mut connection, Refusal::NotAdmitted, Nonce::default());
        Step::Refused(Refusal::NotAdmitted)
    }

    /// One that says no hello is ready at once.
    fn take_in<T: Transport>(&self, mut connection: Box<Connection<T>>) -> Step<T> {
        if let Err(reason) = self.seat(&connection) {
            return Step::Refused(reason);
        }
        connection.open_foreign(&self.config);
        Step::Up(connection)
    }

    /// Takes one of the places for clients, until the connection is gone.
    fn seat<T: Transport>(&self, connection: &Connection<T>) -> Result<(), Refusal> {
        match self.clients.take(Some(connection.peer())) {
            Ok(slot) => connection.hold(slot),
            Err(NoPlace::Full) => return Err(Refusal::Busy),
            Err(NoPlace::OverShare) => return Err(Refusal::OverShare),
        }
        Ok(())
    }

    pub(crate) fn answer<T: Transport>(
        &self,
        mut connection: Box<Connection<T>>,
        frame: &Frame,
        expected: Option<Nonce>,
    ) -> Step<T> {
        let decoded = Hello::decode(connection.receiver.bytes(frame));
        let hello = match decoded {
            Ok(hello) if frame.kind == FrameKind::Hello => hello,
            _ => return self.refuse(connection, Refusal::Malformed, Nonce::default()),
        };
        if let Some(reason) = hello.terms.refusal(&self.terms) {
            return self.refuse(connection, reason, hello.nonce);
        }
        if expected.is_some_and(|expected| expected != hello.nonce) {
            return self.refuse(connection, Refusal::Malformed, Nonce::default());
        }
        if let Err(reason) = self.seat(&connection) {
            return self.refuse(connection, reason, hello.nonce);
        }
        match self.say(&mut connection, None, hello.nonce) {
            Some(nonce) => Step::Wait(Stage::Ready(connection, nonce, hello.terms)),
            None => Step::Refused(Refusal::Gone),
        }
    }

    pub(crate) fn finish<T: Transport>(
        &self,
        mut connection: Box<Connection<T>>,
        frame: &Frame,
        nonce: Nonce,
        theirs: &Terms,
    ) -> Step<T> {
        if frame.kind != FrameKind::Ready || connection.receiver.bytes(frame) != nonce {
            return Step::Refused(Refusal::Malformed);
        }
        connection.open(self.terms.limit, theirs.limit);
        Step::Up(connection)
    }

    fn refuse<T: Transport>(
        &self,
        mut connection: Box<Connection<T>>,
        reason: Refusal,
        echo: Nonce,
    ) -> Step<T> {
        self.say_no(&mut connection, reason, echo);
        Step::Refused(reason)
    }

    pub(crate) fn say_no<T: Transport>(&self, connection: &mut Connection<T>, reason: Refusal, echo: Nonce) {
        // One that is not listening misses the reason, that is all.
        let _ = self.say(connection, Some(reason), echo);
    }

    /// Says the verdict; it leaves whole at once, or not at all. Gives the nonce that must come back.
    fn say<T: Transport>(
        &self,
        connection: &mut Connection<T>,
        refusal: Option<Refusal>,
        echo: Nonce,
    ) -> Option<Nonce> {
        if self.config.wire.is_foreign() {
            // It would be taken for a message.
            return None;
        }
        let nonce = random().ok()?;
        let verdict = Verdict { terms: self.terms.clone(), refusal, echo, nonce };
        connection.sender.post(FrameKind::Verdict, &verdict.encode()).ok()?;
        (!connection.sender.has_unsent()).then_some(nonce)
    }

    /// Tells a client that never was half-open.
    pub(crate) fn turn_away<T: Transport>(&self, reason: Refusal, link: Option<Link<T>>) {
        let uid = link.as_ref().and_then(|link| link.peer.uid);
        self.tell(reason, link);
        self.count(reason, uid);
    }

    /// Says no, if there is a link to say it over.
    pub(crate) fn tell<T: Transport>(&self, reason: Refusal, link: Option<Link<T>>) {
        if let Some(link) = link {
            self.say_no(&mut self.connection(link), reason, Nonce::default());
        }
    }

    /// One more was turned away.
    pub(crate) fn count(&self, reason: Refusal, uid: Option<u32>) {
        self.counters.refuse(reason);
        self.complaints.tell(&self.address, uid, reason);
    }

    fn connection<T: Transport>(&self, link: Link<T>) -> Box<Connection<T>> {
        Box::new(Connection::greeting(link, self.address.clone(), &self.config, self.pool.clone()))
    }
}
