//! Server and client in different PID namespaces.

use faults::{ATTACKER, House, Program, Puppet, file, in_new_pids, saw};
use hobnob::Refusal;

use super::stage::Stage;

/// A server that cannot name its client: the pid is unknown, the uid is right.
pub fn foreign_client(house: &House, scheme: &str) {
    let actor = house.actor("witness", &[&House::address(scheme)]);
    let mut server = Program::start(&mut in_new_pids(&actor, 0));
    server.wait_for("listening");
    let client = Puppet::start(house, ATTACKER);
    let name = client.fresh_name();
    if scheme == "unix" {
        client.does(&format!("bind {name}"));
        client.does("connect");
    } else {
        client.does(&format!("pair {name}"));
        client.does(&format!("knock {name}"));
        while file(&house.folder().join(format!("{name}.s2c"))).is_some() {
            std::thread::yield_now();
        }
    }
    assert_eq!(client.does("shake"), "0");
    client.does("say x");
    let pid = if scheme == "unix" { "unknown".to_owned() } else { format!("claimed:{}", client.pid) };
    assert_eq!(server.wait_for("heard"), format!("heard {ATTACKER} {pid} x"));
    saw("F8", scheme, "a server in a PID namespace of its own", format!("uid {ATTACKER}, pid {pid}"));
}

/// A client that does not know its number in the server's namespace: it shows a file with the wrong one.
pub fn inner_client(house: &House, scheme: &str) {
    let stage = Stage::new(house, scheme);
    let client = Puppet::start_in_new_pids(house, ATTACKER);
    assert_eq!(client.pid, 1, "it has a number of its own");
    let name = client.fresh_name();
    stage.knock(&client, &name);
    if scheme == "unix" {
        stage.keep(&name);
        stage.is_refused(&client, Refusal::BadClientFile);
    } else {
        assert_eq!(client.does("shake"), "0");
        stage.says(&client, ATTACKER);
    }
    stage.settle("a client in a PID namespace of its own");
}
