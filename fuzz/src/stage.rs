//! A server on the in-process transport, up to eight clients that do as the script says, and a clock that moves only
//! when the script says so. After every step the promises are checked against what each client has said and heard.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ipc_core::{
    Clock, Deadline, Error, ErrorKind, IpcReceiver, IpcSender, IpcServer, Name, Refusal, Seams, Server,
    ServerOptions,
    hello::{Terms, VERSION},
};
use transport_inproc::Inproc;

use crate::{
    client::{Accepted, Client, DATA, End, GOODBYE, Word, message},
    framing::{NATIVE, Next},
    script::{Rules, Step, Words},
};

/// Time that passes when it is told to.
struct Virtual {
    start: Instant,
    passed: AtomicU64,
}

impl Clock for Virtual {
    fn now(&self) -> Instant {
        self.start + Duration::from_nanos(self.passed.load(Relaxed))
    }

    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.passed.load(Relaxed))
    }
}

/// Everything that a run needs. The last client is honest and comes at the end.
pub struct Stage {
    server: Server<Inproc>,
    name: Name,
    clock: Arc<Virtual>,
    rules: Rules,
    terms: Terms,
    clients: [Option<Client>; 9],
    knocked: u64,
    accepted: u64,
    is_stopped: bool,
}

const NEWCOMER: usize = 8;

/// Memory for what is unread, where it is tight; and from what size on a message is counted there.
const TIGHT: usize = 40_000;
const COUNTED: usize = 16 * 1024;
/// A message that is counted there, and fits.
const LARGE: u16 = 18_000;

impl Stage {
    /// A new server.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let clock = Arc::new(Virtual { start: Instant::now(), passed: AtomicU64::new(0) });
        let name: Name = "fuzz".parse().expect("a name");
        let mut options = ServerOptions::new()
            .max_half_open(rules.half_open())
            .max_clients(rules.clients())
            .max_message(rules.limit.into())
            .hello_within(Duration::from_millis(rules.hello()))
            .shared(rules.shared)
            .seams(Seams::default().with_clock(clock.clone()));
        if rules.tight {
            options = options.max_unread(TIGHT);
        }
        let schema = rules.schema.map(u64::from);
        if let Some(schema) = schema {
            options = options.schema(schema);
        }
        let server =
            Server::new_server_with(&name.clone().into(), &options).expect("the last one gave the name back");
        let terms =
            Terms { version: VERSION, scheme: "inproc".to_owned(), limit: rules.limit.into(), schema };
        let clients = Default::default();
        Self { server, name, clock, rules, terms, clients, knocked: 0, accepted: 0, is_stopped: false }
    }

    /// Does a step, and checks what can be seen after it.
    pub fn step(&mut self, step: &Step) {
        match step {
            Step::Knock(who) => self.knock(who.place()),
            Step::Honest(who) => self.honest(who.place()),
            Step::Some(who, most) => self.with(who.place(), |client| client.go_on((*most).into())),
            Step::Say(who, words) => {
                let schema = self.terms.schema;
                self.with(who.place(), |client| client.say(words, schema));
            }
            Step::Finish(who) => self.with(who.place(), Client::finish),
            Step::Deafen(who) => self.with(who.place(), Client::deafen),
            Step::Wait(span) => self.wait(Duration::from_millis((*span).into())),
            Step::Accept => drop(self.accept()),
            Step::Send(who, size) => self.send(who.place(), *size),
            Step::Receive(who) => self.receive(who.place()),
            Step::LetGo(who) => self.let_go(who.place()),
            Step::Stop => self.stop(),
        }
        self.check_counts();
    }

    fn with(&mut self, place: usize, act: impl FnOnce(&mut Client)) {
        if let Some(client) = &mut self.clients[place] {
            act(client);
        }
    }

    fn knock(&mut self, place: usize) {
        if self.clients[place].as_ref().is_some_and(|client| !client.ended) {
            return;
        }
        let client = Client::knock(&self.name, self.terms.schema, self.clock.now());
        assert_eq!(client.is_none(), self.is_stopped, "whether there is a server to knock at");
        self.knocked += u64::from(client.is_some());
        self.clients[place] = client;
    }

    fn honest(&mut self, place: usize) {
        if self.clients[place].is_none() {
            self.knock(place);
        }
        self.with(place, |client| client.go_on(usize::MAX));
    }

    fn wait(&mut self, span: Duration) {
        self.clock.passed.fetch_add(span.as_nanos() as u64, Relaxed);
    }

    /// Gives the place of the client that was accepted.
    fn accept(&mut self) -> Option<usize> {
        let before = self.places_taken();
        let pending = self.pending();
        let result = self.server.try_accept_client();
        self.hear_all(before, pending);
        match result {
            Ok(connection) => {
                let place = self.welcome(connection);
                assert!(self.places_taken() <= self.rules.share(self.rules.clients()), "too many clients");
                Some(place)
            }
            Err(error) => {
                let expected = if self.is_stopped { ErrorKind::Closed } else { ErrorKind::WouldBlock };
                assert_eq!(*error.kind(), expected);
                self.check_idle();
                None
            }
        }
    }

    /// Finds out which client that is: the one that hears it.
    fn welcome(&mut self, mut connection: ipc_core::Connection<Inproc>) -> usize {
        let sent = connection.try_send_info(&[]);
        let mut connection = Some(connection);
        if let Err(error) = sent {
            assert_eq!(*error.kind(), ErrorKind::PeerGone);
            // It is a deaf one: the one that sees its end.
            connection = None;
        }
        let is_it = |client: &mut Client| {
            let could_be = client.is_pending();
            client.hear();
            could_be && (client.ended || client.frames.contains(&(DATA, Vec::new())))
        };
        let places = 0..self.clients.len();
        let found: Vec<usize> =
            places.filter(|place| self.clients[*place].as_mut().is_some_and(is_it)).collect();
        assert_eq!(found.len(), 1, "one connection is one client's");
        let client = self.clients[found[0]].as_mut().expect("just found");
        assert_eq!(client.hello(&self.terms), Word::Right(None), "accepted without a right hello");
        let (ready, at) = client.ready();
        assert_eq!(ready, Word::Right(None), "accepted without the last word");
        client.frames.clear();
        assert!(connection.is_some() || client.deaf, "it could have heard");
        client.accepted = connection.map(|connection| Accepted { connection, at, end: None, is_quiet: true });
        client.was_accepted = true;
        self.accepted += 1;
        found[0]
    }

    fn send(&mut self, place: usize, size: u16) {
        let Some(client) = &mut self.clients[place] else { return };
        let limit = client.said_hello().map_or(0, |hello| hello.terms.limit);
        let Some(accepted) = &mut client.accepted else { return };
        let info = message(size);
        let sent = accepted.connection.try_send_info(&info);
        match sent.as_ref().map_err(Error::kind) {
            Ok(()) => assert!(u32::from(size) <= limit && !client.deaf),
            Err(ErrorKind::TooLarge { .. }) => assert!(u32::from(size) > limit),
            Err(error) => assert!(*error == ErrorKind::PeerGone && client.deaf, "{error:?}"),
        }
        client.hear();
        let heard = std::mem::take(&mut client.frames);
        assert!(
            if sent.is_ok() { heard == [(DATA, info)] } else { heard.is_empty() },
            "what was sent is what came"
        );
    }

    fn receive(&mut self, place: usize) {
        let share = self.share_of_memory(place);
        let Some(client) = &mut self.clients[place] else { return };
        let Some(accepted) = &mut client.accepted else { return };
        let mut info = vec![1, 2, 3];
        let received = accepted.connection.recv_info_by(&mut info, Deadline::Now);
        accepted.is_quiet = accepted.at == client.said.len()
            && received.as_ref().is_err_and(|error| *error.kind() == ErrorKind::WouldBlock);
        let is_violation =
            received.as_ref().is_err_and(|error| matches!(error.kind(), ErrorKind::Protocol { .. }));
        match accepted.end {
            Some(End::Goodbye) => return assert!(matches!(received, Ok(false))),
            Some(End::OverShare) => return assert!(is_violation),
            None => {}
        }
        let rest = &client.said[accepted.at..];
        let end = if rest.is_empty() { ErrorKind::PeerGone } else { ErrorKind::Truncated };
        match ((NATIVE.next)(rest, self.rules.limit.into()), received) {
            (Next::Frame(DATA, body), Ok(true)) => {
                assert!(info == body, "what is received is what was said");
                accepted.at += NATIVE.header + body.len();
            }
            (Next::Frame(GOODBYE, _), Ok(false)) => accepted.end = Some(End::Goodbye),
            (Next::Frame(DATA, _) | Next::Need, Err(_)) if is_violation => {
                let length = rest.first_chunk().map_or(0, |length| u32::from_le_bytes(*length));
                assert!(length as usize > share, "a message within its user's share");
                accepted.end = Some(End::OverShare);
            }
            (Next::Need, Err(error)) if client.finished => assert_eq!(*error.kind(), end),
            (Next::Need, Err(error)) => assert_eq!(*error.kind(), ErrorKind::WouldBlock),
            (Next::Bad, Err(_)) => assert!(is_violation),
            (Next::Frame(kind, _), Err(_)) if ![DATA, GOODBYE].contains(&kind) => assert!(is_violation),
            (said, received) => panic!("{said:?} was received as {received:?}"),
        }
    }

    /// How large a message this client can surely send, whatever the others of its user have here.
    fn share_of_memory(&self, place: usize) -> usize {
        let mut others = self.clients.iter().enumerate().filter(|(other, _)| *other != place);
        let is_quiet = |client: &Client| client.accepted.as_ref().is_none_or(|accepted| accepted.is_quiet);
        match () {
            () if !(self.rules.tight && self.rules.shared) => usize::MAX,
            () if others.all(|(_, client)| client.as_ref().is_none_or(is_quiet)) => TIGHT / 2,
            () => COUNTED - 1,
        }
    }

    fn let_go(&mut self, place: usize) {
        let Some(client) = &mut self.clients[place] else { return };
        let Some(accepted) = client.accepted.take() else { return };
        drop(accepted);
        client.hear();
        assert!(client.ended, "the connection is gone, and the road is not");
        let goodbye: &[_] = if client.deaf { &[] } else { &[(GOODBYE, Vec::new())] };
        assert!(client.frames == goodbye, "a goodbye, and nothing else");
    }

    fn stop(&mut self) {
        let (before, pending) = (self.places_taken(), self.pending());
        self.is_stopped = true;
        self.server.destroy_server().expect("it never fails");
        self.hear_all(before, pending);
        for client in self.clients.iter().flatten() {
            assert_ne!(client.ended, client.accepted.is_some(), "accepted clients stay, and no others");
        }
    }

    /// Hears what the server has just told everybody, and judges it.
    fn hear_all(&mut self, taken_before: usize, pending_before: usize) {
        let welcome_before = self.clients.iter().flatten().filter(|client| client.is_welcome()).count();
        let mut told: Vec<usize> = Vec::new();
        for place in 0..self.clients.len() {
            let Some(client) = &mut self.clients[place] else { continue };
            let (knew, was_over) = (client.verdict.is_some(), client.ended);
            client.hear();
            if !knew && client.verdict.is_some() {
                told.push(place);
            }
            if !was_over && client.ended {
                self.check_end(place);
            }
        }
        let welcome = self.clients.iter().flatten().filter(|client| client.is_welcome()).count();
        let most_taken = taken_before + welcome - welcome_before;
        for place in told {
            self.check_verdict(place, most_taken, pending_before);
        }
    }

    /// Whether this client had to be told what it was told.
    fn check_verdict(&self, place: usize, most_taken: usize, pending: usize) {
        let Some(client) = &self.clients[place] else { return };
        let Some(verdict) = &client.verdict else { return };
        assert_eq!(verdict.terms, self.terms);
        let hello = client.hello(&self.terms);
        let silent = hello == Word::Partial;
        let age = self.clock.now() - client.knocked;
        let (clients, half_open) = (self.rules.clients(), self.rules.half_open());
        let legal = match verdict.refusal {
            _ if self.is_stopped => verdict.refusal == Some(Refusal::Stopping),
            None => hello == Word::Right(None),
            Some(Refusal::WrongVersion | Refusal::WrongTransport | Refusal::SchemaMismatch) => {
                hello == Word::Right(verdict.refusal)
            }
            Some(Refusal::Busy) => hello == Word::Right(None) && most_taken >= clients,
            Some(Refusal::OverShare) => {
                hello == Word::Right(None) && self.rules.shared && most_taken >= self.rules.share(clients)
            }
            Some(Refusal::Crowded) => self.rules.shared && pending > self.rules.share(half_open),
            Some(Refusal::Malformed) => hello == Word::Wrong,
            Some(Refusal::Silent) => silent && age >= self.hello(),
            Some(Refusal::Evicted) => {
                silent && age >= self.patience(50) && pending > self.rules.share(half_open)
            }
            Some(Refusal::Gone) => silent && client.finished,
            _ => false,
        };
        assert!(legal, "{:?} for {hello:?} after {age:?}", verdict.refusal);
        if let (Word::Right(_), Some(said)) = (hello, client.said_hello())
            && !self.is_stopped
            && verdict.refusal != Some(Refusal::Crowded)
        {
            assert_eq!(verdict.echo, said.nonce, "the nonce proves that the hello was read");
        }
    }

    /// Whether the server had a reason to let go of this client, which it has not accepted.
    fn check_end(&self, place: usize) {
        let Some(client) = &self.clients[place] else { return };
        let Some(verdict) = &client.verdict else {
            return assert!(client.deaf, "it could have been told why");
        };
        if verdict.refusal.is_some() || self.is_stopped {
            return;
        }
        let age = self.clock.now() - client.knocked;
        match client.ready().0 {
            Word::Wrong => {}
            Word::Partial => assert!(client.finished || age >= self.patience(5), "it still had time"),
            Word::Right(_) => panic!("its handshake was over"),
        }
    }

    /// After the server has said that there is nobody.
    fn check_idle(&self) {
        if self.is_stopped {
            return;
        }
        let stats = self.server.stats();
        let half_open = self.rules.share(self.rules.half_open());
        let inside = stats.arrived - stats.ready - stats.refused_in_all();
        assert!(inside <= half_open as u64 + 1, "{inside} in mid-handshake");
        let is_free = self.pending() <= half_open;
        for client in self.clients.iter().flatten().filter(|client| client.is_pending()) {
            let (hello, ready) = (client.hello(&self.terms), client.ready().0);
            let is_inside = is_free || client.verdict.is_some();
            assert!(!client.is_welcome() || ready == Word::Partial, "a last word was not heard");
            assert!(!is_inside || client.is_welcome() || hello == Word::Partial, "a hello was not heard");
            assert!(!is_inside || !client.finished, "an end was not seen");
        }
    }

    fn check_counts(&mut self) {
        let stats = self.server.stats();
        assert_eq!((stats.ready, stats.pauses), (self.accepted, 0));
        let decided = stats.ready + stats.refused_in_all();
        if self.is_stopped {
            // Those that were up and never asked for are in no count.
            let lost = self.knocked - decided;
            return assert!(
                self.pending() == 0 && lost <= self.rules.clients() as u64,
                "{lost} are in no count"
            );
        }
        assert!(stats.arrived <= self.knocked);
        assert_eq!(self.knocked - decided, self.pending() as u64, "{stats:?}");
    }

    fn places_taken(&self) -> usize {
        self.clients.iter().flatten().filter(|client| client.holds_a_place()).count()
    }

    fn pending(&self) -> usize {
        self.clients.iter().flatten().filter(|client| client.is_pending()).count()
    }

    fn hello(&self) -> Duration {
        Duration::from_millis(self.rules.hello())
    }

    fn patience(&self, part: u32) -> Duration {
        self.hello().min(Duration::from_secs(60)) / part
    }

    /// Whatever happened: an honest client that comes now is accepted in time, nobody is kept for ever, and nothing
    /// is left.
    pub fn end(mut self) {
        (0..NEWCOMER).for_each(|place| self.is_heard(place));
        (0..NEWCOMER).for_each(|place| self.let_go(place));
        if !self.is_stopped {
            self.honest_newcomer();
            // Each round ends the handshakes of those that are inside at least.
            for _ in 0..2 * self.clients.len() {
                self.wait(self.hello());
                while let Some(place) = self.accept() {
                    self.let_go(place);
                }
                self.check_counts();
            }
            assert_eq!(self.pending(), 0, "nobody is kept for ever");
            self.stop();
            self.check_counts();
        }
    }

    /// A client that can speak is heard, whatever the others have left unread.
    fn is_heard(&mut self, place: usize) {
        let size = self.rules.limit.min(LARGE);
        let Some(client) = &mut self.clients[place] else { return };
        let at = client.said.len();
        let can_speak =
            |accepted: &Accepted| accepted.is_quiet && accepted.end.is_none() && accepted.at == at;
        if client.finished || !client.accepted.as_ref().is_some_and(can_speak) {
            return;
        }
        client.say(&Words::Message(size), None);
        let share = self.share_of_memory(place);
        // And once more, to find that there is nothing.
        self.receive(place);
        self.receive(place);
        let accepted = self.clients[place].as_ref().and_then(|client| client.accepted.as_ref());
        assert!(usize::from(size) > share || accepted.is_some_and(|accepted| accepted.is_quiet));
    }

    /// It may be told to come again while others have all places, and they have them for a while only.
    fn honest_newcomer(&mut self) {
        let come_again = [Refusal::Busy, Refusal::OverShare, Refusal::Crowded];
        for _ in 0..200 {
            self.honest(NEWCOMER);
            while let Some(place) = self.accept() {
                if place == NEWCOMER {
                    self.is_heard(NEWCOMER);
                    return self.let_go(NEWCOMER);
                }
                self.let_go(place);
            }
            let newcomer = self.clients[NEWCOMER].as_ref();
            if let Some(reason) =
                newcomer.filter(|client| client.ended).and_then(|client| client.verdict.as_ref()?.refusal)
            {
                assert!(come_again.contains(&reason), "an honest client that is not slow was told {reason}");
                self.clients[NEWCOMER] = None;
            }
            self.wait(self.hello() / 20);
        }
        panic!("an honest client was not accepted in ten times the time for a hello");
    }
}
