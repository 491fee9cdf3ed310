//! F27: clients that never read, never write or die inside a message, and more of them at once than there is room for,
//! against each form of `serve`. `HOBNOB_F27` is how many come at once.
#![allow(clippy::unwrap_used)]

use faults::{House, Program, budget, each_transport, roles::FORMS, saw, settles};
use hobnob::{IpcReceiver, IpcSender};

/// As many as a server admits.
const PLACES: usize = 1024;
const EACH: usize = 20;

fn at_once() -> u64 {
    budget("HOBNOB_F27", 1300)
}

#[test]
fn troublesome_clients_of_any_form_of_serve_hold_up_nobody_and_leave_nothing() {
    each_form(
        "troublesome_clients_of_any_form_of_serve_hold_up_nobody_and_leave_nothing",
        |house, form, scheme| {
            let mut server = serve(house, form, scheme);
            let process = server.process();
            warm(house, scheme);
            let (descriptors, folder) = (process.descriptors(), house.folder());
            let trouble = &[scheme, folder.to_str().unwrap(), &EACH.to_string()];
            let mut trouble = Program::start(&mut house.actor("trouble", trouble));
            trouble.wait_for("all have come");
            let mut honest = Program::start(&mut house.actor("talk", &[&House::address(scheme), "200"]));
            honest.wait_for("done");
            trouble.kill();
            settles("descriptors", &true, || process.descriptors() <= descriptors);
            let said = stop(&mut server);
            assert!(said.contains("abandoned 0"), "{form} over {scheme}: {said}");
            assert!(house.left_over().is_empty(), "{:?}", house.left_over());
            let tried =
                format!("{form}: {EACH} deaf clients, {EACH} that stop in a message, {EACH} that die in one");
            saw("F27", scheme, tried, "200 honest ones served beside them; nothing left");
        },
    );
}

#[test]
fn more_clients_than_there_is_room_for_are_told_so_by_any_form_of_serve() {
    each_form(
        "more_clients_than_there_is_room_for_are_told_so_by_any_form_of_serve",
        |house, form, scheme| {
            let mut server = serve(house, form, scheme);
            let process = server.process();
            warm(house, scheme);
            let descriptors = process.descriptors();
            let storm = &[&House::address(scheme)[..], &at_once().to_string()];
            let mut storm = Program::start(&mut house.actor("storm", storm));
            let ends = storm.wait_for("ends");
            let told = at_once() as usize - PLACES;
            assert!(ends.contains(&format!("\"in\": {PLACES}")), "{form} over {scheme}: {ends}");
            let busy = format!("as many clients as it admits\": {told}");
            assert!(ends.contains(&busy), "{form} over {scheme}: {ends}");
            storm.kill();
            settles("descriptors", &true, || process.descriptors() <= descriptors);
            warm(house, scheme);
            stop(&mut server);
            saw("F27", scheme, format!("{form}: {} clients at once", at_once()), ends);
        },
    );
}

fn each_form(name: &'static str, test: impl Fn(&House, &str, &str)) {
    each_transport(name, |house, scheme| FORMS.iter().for_each(|form| test(house, form, scheme)));
}

fn serve(house: &House, form: &str, scheme: &str) -> Program {
    let mut server = Program::start(&mut house.actor("serve-form", &[form, &House::address(scheme)]));
    server.wait_for("listening");
    server
}

/// A runtime has its threads, timers and descriptors after the first client; whose descriptor may still be there.
fn warm(house: &House, scheme: &str) {
    let mut server = house.connect(scheme);
    server.send_info(b"hello").unwrap();
    assert!(server.recv_info(&mut Vec::new()).unwrap());
    server.disconnect_from().unwrap();
    assert!(!server.recv_info(&mut Vec::new()).unwrap(), "its goodbye");
}

/// Ends its standard input, and gives its last word.
fn stop(server: &mut Program) -> String {
    std::io::Write::write_all(&mut server.stdin, b"!").unwrap();
    let said = server.wait_for("served");
    assert_eq!(server.ended(), (Some(0), None));
    said
}
