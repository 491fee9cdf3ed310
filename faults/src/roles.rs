//! What the program `actor` does: one function for each role.

mod crowd;
mod matrix;
mod puppet;
mod shared;
mod witness;

use std::io::{self, Read, Write};

use hobnob::{AnyConnection, AnyServer, IpcReceiver, IpcSender, IpcServer, Result};

/// Plays the role that the arguments name.
///
/// # Errors
/// What hobnob says; `actor` prints it and ends with status 1.
pub fn play(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["serve", address] => serve(address),
        ["talk", address, times] => talk(address, times.parse().unwrap()),
        ["start-stop", address, times] => start_stop(address, times.parse().unwrap()),
        ["hold", address] => hold(address),
        ["matrix-server", address, shared, admits] => {
            matrix::serve(address, *shared == "shared", admits.parse().ok())
        }
        ["visit", address, trusts] => matrix::visit(address, trusts.parse().unwrap()),
        ["puppet", folder] => {
            puppet::obey(folder);
            Ok(())
        }
        ["witness", address] => witness::witness(address),
        ["crowd", scheme, folder, each] => {
            let scheme = if *scheme == "unix" { "unix" } else { "fifo" };
            crowd::stay(scheme, folder.as_ref(), each.parse().unwrap());
            Ok(())
        }
        ["connect-times", address, times] => crowd::measure(address, times.parse().unwrap()),
        ["serve-shared", address] => shared::serve(address, true),
        ["serve-everybody", address] => shared::serve(address, false),
        ["talk-to", uid, address, times] => {
            shared::talk(uid.parse().unwrap(), address, times.parse().unwrap())
        }
        other => panic!("no such role: {other:?}"),
    }
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
pub fn echo(mut client: AnyConnection) -> Result<()> {
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

/// Starts and stops a server, so many times.
fn start_stop(address: &str, times: u64) -> Result<()> {
    for _ in 0..times {
        let mut server: AnyServer = hobnob::new_server(address)?;
        server.destroy_server()?;
    }
    say("done");
    Ok(())
}

/// Connects and stays, without a word, until its standard input ends.
fn hold(address: &str) -> Result<()> {
    let _server = hobnob::connect_to(address)?;
    say("connected");
    let _ = io::stdin().read(&mut [0]);
    Ok(())
}
