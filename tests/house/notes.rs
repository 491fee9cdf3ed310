//! What the examples that keep notes promise, whichever protocol they speak over hobnob.

use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use hobnob::{IpcReceiver, IpcSender};
use nix::sys::signal::Signal;

use crate::house::{House, Program, complaint, each_address, said};

/// One of these programs.
pub struct Notes(pub &'static str);

impl Notes {
    fn command(&self, house: &House, arguments: &[&str]) -> Command {
        house.inside(Command::new(self.0), arguments)
    }

    fn run(&self, house: &House, arguments: &[&str]) -> Output {
        self.command(house, arguments).output().unwrap()
    }

    fn serve(&self, house: &House, address: &str) -> Program {
        let mut server = Program::start(&mut self.command(house, &["serve", address]));
        server.wait_for("listening on");
        server
    }

    /// A note says which process wrote it, and how that is known.
    pub fn know_who_wrote_them(&self, name: &'static str) {
        each_address(name, |house, address| {
            let _server = self.serve(house, address);
            let mut put = self.command(house, &["put", address, "milk", "2 litres"]).spawn().unwrap();
            assert!(put.wait().unwrap().success());
            let by = match address {
                "fifo:calc" => format!("(file owner), pid {} (claimed))\n", put.id()),
                "tcp:calc" => format!("(key), pid {} (claimed), at 127.0.0.1:", put.id()),
                _ => format!("(kernel), pid {} (verified))\n", put.id()),
            };
            let uid = nix::unistd::geteuid();
            let note = said(&self.run(house, &["get", address, "milk"]));
            assert!(note.starts_with(&format!("2 litres (by uid {uid} {by}")), "{note}");
            assert!(complaint(&self.run(house, &["get", address, "bread"])).contains("no such note"));
        });
    }

    pub fn may_be_big_and_come_from_many(&self, name: &'static str) {
        each_address(name, |house, address| {
            let _server = self.serve(house, address);
            let texts: Vec<String> =
                (0..8_u8).map(|i| (b'a' + i) as char).map(|c| String::from(c).repeat(100_000)).collect();
            let put = |(i, text): (usize, &String)| {
                let mut command = self.command(house, &["put", address, &i.to_string(), text]);
                command.stdout(Stdio::null()).spawn().unwrap()
            };
            let writers: Vec<_> = texts.iter().enumerate().map(put).collect();
            writers.into_iter().for_each(|mut writer| assert!(writer.wait().unwrap().success()));
            for (i, text) in texts.iter().enumerate() {
                let note = said(&self.run(house, &["get", address, &i.to_string()]));
                assert!(note.starts_with(&format!("{text} (by ")), "note {i}: {note:.20}");
            }
        });
    }

    /// Whoever talks nonsense ends its own connection only; whoever only sits there does not hold up the end.
    pub fn outlive_bad_clients(&self, name: &'static str) {
        each_address(name, |house, address| {
            let mut server = self.serve(house, address);
            let mut nonsense = house.connect(address);
            nonsense.send_info(&[0xff; 1000]).unwrap();
            while let Ok(Some(_)) = nonsense.recv_borrowed() {}
            let idle = house.connect(address);
            said(&self.run(house, &["put", address, "milk", "2 litres"]));
            server.signal(Signal::SIGTERM);
            assert_eq!(server.ended(), (Some(0), None));
            assert_eq!(house.left_over(), Vec::<PathBuf>::new());
            drop(idle);
            let nobody = complaint(&self.run(house, &["get", address, "milk"]));
            assert!(nobody.contains("no such server"), "{nobody}");
        });
    }
}
