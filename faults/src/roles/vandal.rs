//! A hostile client of the chaos soak, made of the raw protocol. It does one deed after the other, at random, and is
//! only ended by a kill.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::{
        fd::AsRawFd,
        unix::{
            fs::{OpenOptionsExt, symlink},
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
    thread,
    time::Duration,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, connect, socket},
    sys::stat::Mode,
    unistd::mkfifo,
};

use super::{say, soak::end_with_standard_input};
use crate::{
    Dice,
    wire::{self, Road},
};

struct Vandal<'a> {
    scheme: &'static str,
    folder: &'a Path,
    dice: Dice,
    /// What it has begun and not ended.
    begun: Vec<Road>,
}

/// How many roads it leaves open at most: two of its kind fill the server's half-open table.
const MOST: usize = 60;

pub(super) fn rage(scheme: &'static str, folder: &Path, number: u64) -> ! {
    end_with_standard_input();
    say("raging");
    let mut vandal = Vandal { scheme, folder, dice: Dice::of(number), begun: Vec::new() };
    loop {
        // The server may be gone, or fight back.
        let _ = vandal.deed();
        if vandal.begun.len() > MOST {
            vandal.begun.clear();
        }
        thread::park_timeout(vandal.dice.below(Duration::from_millis(4)));
    }
}

impl Vandal<'_> {
    fn deed(&mut self) -> io::Result<()> {
        match self.dice.roll() % 10 {
            0 => self.silent(),
            1 => self.garbage(),
            2 => self.half_a_hello(),
            3 => self.half_a_message(),
            4 => self.a_byte_to_each(),
            5 => self.in_and_out(),
            6 => self.flood(),
            7 => self.swap(),
            8 => self.a_wrong_hello(),
            _ => self.litter(),
        }
    }

    fn knock(&self) -> io::Result<Road> {
        let road = Road::knock(self.folder, self.scheme)?;
        // It waits for nobody: a server that does not listen is what it wants.
        fcntl(road.writer(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(road)
    }

    fn silent(&mut self) -> io::Result<()> {
        let road = self.knock()?;
        self.begun.push(road);
        Ok(())
    }

    fn garbage(&mut self) -> io::Result<()> {
        let mut road = self.knock()?;
        let garbage = self.noise(5000);
        road.write_all(&garbage)?;
        self.begun.push(road);
        Ok(())
    }

    fn half_a_hello(&mut self) -> io::Result<()> {
        let mut road = self.knock()?;
        let hello = road.hello();
        road.write_all(&hello[..self.dice.roll() as usize % hello.len()])?;
        self.begun.push(road);
        Ok(())
    }

    /// Whole, and with one byte that is not as it should be: the version, the transport, the schema or a nonce.
    fn a_wrong_hello(&mut self) -> io::Result<()> {
        let mut road = self.knock()?;
        let mut hello = road.hello();
        let at = 8 + self.dice.roll() as usize % (hello.len() - 8);
        hello[at] ^= 1 + (self.dice.roll() % 255) as u8;
        road.write_all(&hello)?;
        self.begun.push(road);
        Ok(())
    }

    fn half_a_message(&mut self) -> io::Result<()> {
        let mut road = self.knock()?;
        if road.shake()? == 0 {
            road.write_all(&wire::header(wire::DATA, 1_000_000))?;
            let part = self.noise(20_000);
            road.write_all(&part)?;
            self.begun.push(road);
        }
        Ok(())
    }

    /// One byte now and then, to whoever still listens.
    fn a_byte_to_each(&mut self) -> io::Result<()> {
        self.begun.retain_mut(|road| road.write_all(b"h").is_ok());
        Ok(())
    }

    fn in_and_out(&mut self) -> io::Result<()> {
        (0..30).try_for_each(|_| self.knock().map(drop))
    }

    /// Messages without end, whose answers nobody reads.
    fn flood(&mut self) -> io::Result<()> {
        let mut road = self.knock()?;
        if road.shake()? == 0 {
            let message = wire::frame(wire::DATA, &[7; 3000]);
            while road.write(&message)? == message.len() {}
        }
        self.begun.push(road);
        Ok(())
    }

    /// Knocks under a name that is one thing now and another the next moment.
    fn swap(&mut self) -> io::Result<()> {
        let (pid, id) = (std::process::id(), wire::fresh());
        let stem = self.folder.join("clients").join(wire::stem(pid, id));
        if self.scheme == "unix" {
            let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
            bind(socket.as_raw_fd(), &UnixAddr::new(&stem)?)?;
            self.replace(&stem)?;
            return Ok(connect(socket.as_raw_fd(), &UnixAddr::new(&self.folder.join("sock"))?)?);
        }
        let ends = ["c2s", "s2c"].map(|end| stem.with_extension(end));
        for end in &ends {
            mkfifo(end, Mode::from_bits_truncate(0o600))?;
        }
        let _reader = wire::open(&ends[1], false)?;
        self.rendezvous()?.write_all(&wire::knock_record(pid, id, wire::fresh()))?;
        let one = self.dice.roll() as usize % 2;
        self.replace(&ends[one])
    }

    fn replace(&mut self, name: &Path) -> io::Result<()> {
        let other = name.with_extension("other");
        match self.dice.roll() % 4 {
            0 => symlink("/dev/zero", &other)?,
            1 => mkfifo(&other, Mode::from_bits_truncate(0o600))?,
            2 => drop(UnixListener::bind(&other)?),
            _ => fs::write(&other, "x")?,
        }
        fs::rename(other, name)
    }

    /// Bytes at the rendezvous that are no knock, and files in the clients' directory that are no client's.
    fn litter(&mut self) -> io::Result<()> {
        let noise = self.noise(600);
        if self.scheme == "unix" {
            drop(UnixStream::connect(self.folder.join("sock"))?);
        } else {
            self.rendezvous()?.write_all(&noise)?;
        }
        let name = format!("litter-{}", self.dice.roll() % 50);
        fs::write(self.folder.join("clients").join(name), noise)
    }

    fn rendezvous(&self) -> io::Result<File> {
        OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(self.folder.join("fifo"))
    }

    fn noise(&mut self, most: u64) -> Vec<u8> {
        (0..self.dice.roll() % most).map(|_| self.dice.roll() as u8).collect()
    }
}
