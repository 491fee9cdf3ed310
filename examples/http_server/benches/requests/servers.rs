//! The processes of a measurement: a server and a load, each on its core.

use std::{
    env, io,
    net::TcpStream,
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
    thread,
};

const SERVERS_CORE: &str = "0";
const LOADS_CORE: &str = "1";

/// Whose listener takes the clients in.
#[derive(Clone, Copy)]
pub enum Listener {
    Hobnob,
    Tokio,
}

/// What sends the requests.
#[derive(Clone, Copy)]
pub enum Tool {
    Wrk,
    /// load.rs
    Ours,
}

/// A running server; killed when it is dropped.
pub struct Server(Child);

impl Server {
    pub fn start(listener: Listener, address: &str) -> io::Result<Self> {
        let mut server = match listener {
            Listener::Hobnob => on_core(SERVERS_CORE, env!("CARGO_BIN_EXE_http_server"), &[address]),
            Listener::Tokio => ourselves(SERVERS_CORE, &["baseline", address])?,
        };
        // Who has come is said, and nobody's time is taken to read it.
        let mut server = Self(server.stdout(Stdio::null()).spawn()?);
        while !answers(address) {
            if let Some(status) = server.0.try_wait()? {
                return Err(io::Error::other(format!("the server at {address} has ended: {status}")));
            }
            thread::yield_now();
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn answers(address: &str) -> bool {
    match address.split_once(':') {
        Some(("unix", path)) => UnixStream::connect(path).is_ok(),
        Some((_, place)) => TcpStream::connect(place).is_ok(),
        None => false,
    }
}

impl Tool {
    /// Requests a second that were answered.
    pub fn run(self, address: &str, clients: usize, seconds: u64) -> io::Result<f64> {
        let (clients, seconds) = (clients.to_string(), seconds.to_string());
        let mut load = match self {
            Self::Ours => ourselves(LOADS_CORE, &["load", address, &clients, &seconds])?,
            Self::Wrk => {
                let url = format!("http://{}/", address.trim_start_matches("tcp:"));
                on_core(LOADS_CORE, "wrk", &["-t1", "-c", &clients, "-d", &seconds, &url])
            }
        };
        let output = load.stderr(Stdio::inherit()).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let is_clean = !said.contains("Socket errors") && !said.contains("Non-2xx");
        let rate = said.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
        rate.filter(|_| output.status.success() && is_clean)
            .ok_or_else(|| io::Error::other(format!("the load on {address} said: {said}")))
    }
}

/// Whether there is a program of this name.
pub fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

fn ourselves(core: &str, arguments: &[&str]) -> io::Result<Command> {
    let this = env::current_exe()?;
    Ok(on_core(core, &this.to_string_lossy(), arguments))
}

fn on_core(core: &str, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core, program]).args(arguments);
    command
}
