//! Plain datagrams: there are no connections, so each is answered on its own.

use hobnob::{
    Address, ErrorKind, Result, StopHandle,
    datagrams::{Server, ServerOptions},
};

use crate::Allow;

pub fn run(address: &Address, allow: Allow, stop: &StopHandle) -> Result<()> {
    let mut server = serve_at(address, ServerOptions::new().allow(allow.rule()))?;
    server.stop_with(stop);
    println!("listening on {address}");
    #[cfg(feature = "activation")]
    hobnob::activation::ready()?;
    let ended = echo(&mut server);
    log::info!("{:?}", server.stats());
    match ended {
        Err(error) if *error.kind() == ErrorKind::Stopped => Ok(()),
        ended => ended,
    }
}

/// On the socket that a service manager has passed, if one has.
fn serve_at(address: &Address, options: ServerOptions) -> Result<Server> {
    #[cfg(feature = "activation")]
    let options = match hobnob::activation::listener()? {
        Some(passed) => options.receive_on(passed.descriptor),
        None => options,
    };
    Server::new_server_with(address, &options)
}

fn echo(server: &mut Server) -> Result<()> {
    let mut info = Vec::new();
    loop {
        let sender = server.recv_info(&mut info)?;
        // Whoever cannot be answered harms nobody else.
        if let Err(error) = server.send_info(&sender, &info) {
            log::info!("{} at {}: {error}", sender.peer(), sender.reply_to());
        }
    }
}
