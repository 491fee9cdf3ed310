//! What the program `actor` does: one function for each role.

mod crowd;
mod deed;
pub mod dying;
pub mod forked;
mod forms;
mod host;
pub mod intruder;
pub mod lingering;
mod loiter;
mod matrix;
mod patient;
pub mod persistent;
mod pouring;
mod puppet;
mod racer;
pub mod reporting;
mod restless;
mod scarce;
mod shared;
mod soak;
mod vandal;
mod visitor;
mod witness;

use std::{
    borrow::BorrowMut,
    io::{self, Read, Write},
};

use hobnob::{AnyConnection, AnyServer, IpcReceiver, IpcSender, IpcServer, Result};

pub use deed::{MARK, MESSAGE, MESSAGES};
pub use forms::FORMS;
pub use racer::{CRASHED, DIARY, DOUBLE, EXIT, FAILED, LOST, OWNED};
pub use soak::converse;

/// Plays the role that the arguments name.
///
/// # Errors
/// What hobnob says; `actor` prints it and ends with status 1.
pub fn play(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["serve", address] => serve(address),
        ["talk", address, times] => talk(address, times.parse().unwrap()),
        ["start-stop", address, times] => start_stop(address, times.parse().unwrap()),
        ["hold", address, words @ ..] => hold(address, words),
        ["matrix-server", address, shared, admits] => {
            matrix::serve(address, *shared == "shared", admits.parse().ok())
        }
        ["visit", address, trusts] => matrix::visit(address, trusts.parse().unwrap()),
        ["puppet", folder] => {
            puppet::obey(folder);
            Ok(())
        }
        ["witness", address] => witness::witness(address),
        ["loiter", scheme, folder, each] => {
            loiter::stay(known(scheme), folder.as_ref(), each.parse().unwrap());
            Ok(())
        }
        ["take-all", address] => loiter::take_all(address),
        ["connect-times", address, times] => loiter::measure(address, times.parse().unwrap()),
        ["serve-shared", address] => shared::serve(address, true),
        ["serve-everybody", address] => shared::serve(address, false),
        ["talk-to", uid, address, times] => {
            shared::talk(uid.parse().unwrap(), address, times.parse().unwrap())
        }
        ["deed", what, address] => deed::play(what, address),
        ["racer", address, place, end] => racer::play(address, place.as_ref(), end.parse().unwrap()),
        ["restless", who, address] => restless::play(who, address),
        ["serve-patiently", address] => patient::serve(address),
        ["deaf", address] => patient::deaf(address),
        ["die", scheme, place] => dying::die(scheme, place),
        ["die-as-host", address, after] => host::die(address, after.parse().unwrap()),
        ["pour", address, seed, most] => pouring::client(address, [seed, most]),
        ["pour-out", address, seed, most] => pouring::server(address, [seed, most]),
        ["pour-by-hand", scheme, seed, most, whole, part] => {
            pouring::by_hand(scheme, [seed, most], whole.parse().unwrap(), part.parse().unwrap())
        }
        ["tell", address] => visitor::tell(address),
        ["echo-back", address] => visitor::echo_back(address),
        ["fork-server", address, deed] => forked::server(address, deed),
        ["fork-client", address, deed] => forked::client(address, deed),
        ["serve-crowd", address] => crowd::serve(address),
        ["crowd", address, clients, messages] => {
            crowd::play(address, clients.parse().unwrap(), messages.parse().unwrap())
        }
        ["serve-form", form, address] => forms::serve(form, address),
        ["trouble", scheme, folder, each] => {
            forms::trouble(known(scheme), folder.as_ref(), each.parse().unwrap());
            Ok(())
        }
        ["storm", address, clients] => forms::storm(address, clients.parse().unwrap()),
        ["hoard"] => crowd::hoard(),
        ["squeeze", address] => crowd::squeeze(address),
        ["linger", scheme, place] => lingering::play(scheme, place),
        ["shake", address] => shake(address),
        ["serve-reporting", address] => reporting::serve(address),
        ["serve-scarce", address, descriptors] => scarce::serve(address, descriptors.parse().unwrap()),
        ["talk-patiently", address, times] => persistent::talk(address, times.parse().unwrap()),
        ["write-rubbish", folder, seed] => {
            intruder::write_rubbish(folder, seed.parse().unwrap());
            Ok(())
        }
        ["soak-serve", address] => soak::serve(address),
        ["soak-talk", address, number] => soak::talk(address, number.parse().unwrap()),
        ["rage", scheme, folder, number] => {
            vandal::rage(known(scheme), folder.as_ref(), number.parse().unwrap())
        }
        other => panic!("no such role: {other:?}"),
    }
}

/// The same scheme, for as long as this process lives.
fn known(scheme: &str) -> &'static str {
    crate::SCHEMES.into_iter().find(|known| *known == scheme).expect("a scheme")
}

/// Tells the test that this process has come so far.
pub fn say(words: &str) {
    println!("{words}");
    io::stdout().flush().unwrap();
}

/// Echoes to every client, each in a thread of its own, until it is killed.
fn serve(address: &str) -> Result<()> {
    let mut server = hobnob::new_server(address)?;
    say("listening");
    loop {
        let client = server.accept_client()?;
        std::thread::spawn(move || {
            let _ = echo(client);
        });
    }
}

/// # Errors
/// What became of the client instead of a goodbye.
pub fn echo(mut client: impl BorrowMut<AnyConnection>) -> Result<()> {
    let client = client.borrow_mut();
    let mut info = Vec::new();
    while client.recv_info(&mut info)? {
        client.send_info(&info)?;
    }
    Ok(())
}

/// Connects, has a message echoed, and says goodbye, so many times.
fn talk(address: &str, times: u64) -> Result<()> {
    for i in 0..times {
        let mut server = hobnob::connect_to(address)?;
        let info = i.to_le_bytes();
        server.send_info(&info)?;
        assert_eq!(server.recv_borrowed()?, Some(&info[..]));
        server.disconnect_from()?;
    }
    say("done");
    Ok(())
}

/// Connects and leaves, over and over: hardly more than handshakes.
fn shake(address: &str) -> Result<()> {
    say("shaking");
    loop {
        hobnob::connect_to(address)?;
    }
}

/// Starts and stops a server, so many times.
fn start_stop(address: &str, times: u64) -> Result<()> {
    for _ in 0..times {
        let mut server: AnyServer = hobnob::new_server(address)?;
        server.destroy_server()?;
    }
    say("done");
    Ok(())
}

/// Connects, leaves word, and stays until its standard input ends.
fn hold(address: &str, words: &[&str]) -> Result<()> {
    let mut server = hobnob::connect_to(address)?;
    for word in words {
        server.send_info(word.as_bytes())?;
    }
    say("connected");
    let _ = io::stdin().read(&mut [0]);
    Ok(())
}
