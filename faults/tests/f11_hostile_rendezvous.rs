//! F11: three processes write everything but honest records to the rendezvous FIFO while four processes knock.
//! `HOBNOB_WATCHDOG=600 HOBNOB_F11=12000 cargo test --release -p faults --test f11_hostile_rendezvous -- --nocapture`
#![allow(clippy::unwrap_used)]

use faults::{House, Program, budget, roles::reporting::counts_of, saw, watched};

const HOSTILE: u64 = 3;
const HONEST: u64 = 4;

#[test]
fn every_honest_knock_is_heard_among_the_rubbish_of_three_writers() {
    watched("every_honest_knock_is_heard_among_the_rubbish_of_three_writers", || {
        let (house, each) = (House::new(), budget("HOBNOB_F11", 1200).div_ceil(HONEST));
        let address = House::address("fifo");
        let mut server = Program::start(&mut house.actor("serve-reporting", &[&address]));
        server.wait_for("listening");
        let folder = house.folder();
        let intruders: Vec<Program> = (1..=HOSTILE)
            .map(|seed| {
                let arguments = [folder.to_str().unwrap(), &seed.to_string()];
                let mut intruder = Program::start(&mut house.actor("write-rubbish", &arguments));
                intruder.wait_for("writing");
                intruder
            })
            .collect();
        let slowest = talk_from_four(&house, &address, each);
        let cpu = server.process().cpu();
        // None of them has ended: there was rubbish until the last honest request.
        for mut intruder in intruders {
            assert_eq!(intruder.child.try_wait().unwrap(), None, "an intruder gave up");
            intruder.kill();
        }
        let counted = counts_of(&mut server);
        let asked = each * HONEST;
        assert_eq!(counted["ready"], asked, "served, and nobody else was let in");
        assert!(counted["Malformed"] > 0 && counted["Gone"] > 0, "no rubbish came: {counted:?}");
        let refused: u64 =
            counted.iter().filter(|(name, _)| name.starts_with(char::is_uppercase)).map(|(_, n)| n).sum();
        saw(
            "F11",
            "fifo",
            format!("{asked} honest requests, {HOSTILE} hostile writers"),
            format!(
                "{asked} served, 0 forged; {refused} refusals, slowest request {slowest} ms, server's CPU {cpu:?}"
            ),
        );
    });
}

/// Each honest process counts its own; the slowest request of all, in milliseconds.
fn talk_from_four(house: &House, address: &str, each: u64) -> u64 {
    let times = each.to_string();
    let clients: Vec<Program> =
        (0..HONEST).map(|_| Program::start(&mut house.actor("talk-patiently", &[address, &times]))).collect();
    let served = clients.into_iter().map(|mut client| {
        let line = client.wait_for("served");
        assert!(line.starts_with(&format!("served {each} ")), "{line}");
        line.split_whitespace().last().unwrap().parse::<u64>().unwrap()
    });
    served.max().unwrap()
}
