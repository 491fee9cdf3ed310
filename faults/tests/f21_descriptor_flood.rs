//! F21: descriptors sent by a client, as many as a message can hold, with every part of a valid stream.
//! `HOBNOB_F21=10000 cargo test --release -p faults --test f21_descriptor_flood -- --nocapture`
#![allow(clippy::unwrap_used)]

use std::{
    fs::File,
    io::{self, IoSlice},
    os::fd::{AsRawFd, RawFd},
    thread,
};

use faults::{
    House, Program, budget,
    roles::reporting::counts_of,
    saw, watched,
    wire::{DATA, READY, Road, VERDICT, frame, verdict},
};
use hobnob::{IpcReceiver, IpcSender};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

/// The most that the kernel takes with one message (SCM_MAX_FD).
const AT_ONCE: usize = 253;

#[test]
fn descriptors_that_a_client_sends_do_not_stay_with_the_server() {
    watched("descriptors_that_a_client_sends_do_not_stay_with_the_server", || {
        let (house, times) = (House::new(), budget("HOBNOB_F21", 1000));
        let mut server = Program::start(&mut house.actor("serve-reporting", &[&House::address("unix")]));
        server.wait_for("listening");
        let mut honest = house.connect("unix");
        let idle = server.process().descriptors();
        let mut flood = Flood::new(&house);
        let (mut carried, mut ended) = (0, 0);
        let mut road = flood.shaken();
        for i in 0..times {
            // Every tenth time with the words of the handshake, on a road of its own.
            if i % 10 == 0 {
                drop(road);
                road = flood.shaken();
            }
            match flood.echoed(&mut road, i) {
                Ok(()) => carried += 1,
                Err(_) => {
                    ended += 1;
                    road = flood.shaken();
                }
            }
            // The echo has come, so what came with the message has been read; the road's own is the one more. The
            // road before it may be on its way out.
            wait_until(|| {
                let open = server.process().descriptors();
                assert!(open < idle + AT_ONCE, "{open} descriptors after {} messages; {idle} before", i + 1);
                open <= idle + 1
            });
            assert_eq!(server.process().descriptors(), idle + 1, "after {} messages", i + 1);
            honest.send_info(b"honest").unwrap();
            assert_eq!(honest.recv_borrowed().unwrap(), Some(&b"honest"[..]));
        }
        drop((road, honest));
        wait_until(|| server.process().descriptors() == idle - 1);
        let counts = counts_of(&mut server);
        assert_eq!(counts["Malformed"] + counts["Gone"], 0, "{counts:?}");
        saw(
            "F21",
            "unix",
            format!("{} messages with {AT_ONCE} descriptors each", flood.sent),
            format!("{carried} echoed right, {ended} connections ended; descriptors constant at {idle} + 1"),
        );
    });
}

/// A client that sends descriptors with everything.
struct Flood<'a> {
    house: &'a House,
    null: File,
    sent: u64,
}

impl<'a> Flood<'a> {
    fn new(house: &'a House) -> Self {
        Self { house, null: File::open("/dev/null").unwrap(), sent: 0 }
    }

    /// A road whose hello and last word came with descriptors.
    fn shaken(&mut self) -> Road {
        let mut road = self.house.knock("unix");
        let hello = road.hello();
        // In two parts, so that descriptors come in the middle of a frame, too.
        let (one, other) = hello.split_at(11);
        self.send(&road, one).unwrap();
        self.send(&road, other).unwrap();
        let (kind, body) = road.read_frame().unwrap();
        let (code, _, nonce) = verdict(&body);
        assert_eq!((kind, code), (VERDICT, 0));
        self.send(&road, &frame(READY, &nonce)).unwrap();
        road
    }

    /// Sends a message of one size or another in one or two parts, and reads what comes back.
    fn echoed(&mut self, road: &mut Road, i: u64) -> io::Result<()> {
        let info = vec![i as u8; [0, 1, 100, 5000, 20_000, 70_000][i as usize % 6]];
        let bytes = frame(DATA, &info);
        let cut = [bytes.len(), 3, bytes.len() / 2][i as usize / 6 % 3];
        self.send(road, &bytes[..cut])?;
        if cut < bytes.len() {
            self.send(road, &bytes[cut..])?;
        }
        assert_eq!(road.read_frame()?, (DATA, info), "another message than was sent");
        Ok(())
    }

    /// All of the bytes, the first of them with as many descriptors as can be, one of which is the socket itself.
    fn send(&mut self, road: &Road, bytes: &[u8]) -> io::Result<()> {
        let socket = road.writer().as_raw_fd();
        let mut descriptors: [RawFd; AT_ONCE] = [self.null.as_raw_fd(); AT_ONCE];
        descriptors[AT_ONCE - 1] = socket;
        let rights = [ControlMessage::ScmRights(&descriptors)];
        let sent = sendmsg::<()>(socket, &[IoSlice::new(bytes)], &rights, MsgFlags::MSG_NOSIGNAL, None)?;
        assert_eq!(sent, bytes.len(), "a blocking send takes all");
        self.sent += 1;
        Ok(())
    }
}

/// The watchdog ends it if that never comes.
fn wait_until(mut come: impl FnMut() -> bool) {
    while !come() {
        thread::yield_now();
    }
}
