//! The key handshake by hand, from the table in `words.rs`: a second reading of it, and a way to break it.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
};

use conformance::Stage;
use hmac::{Hmac, KeyInit, Mac};
use ipc_core::{
    Refusal, Target,
    frame::{HEADER, parse_header},
    hello::Verdict,
};
use sha2::Sha256;
use transport_tcp::Tcp;

pub const MAGIC: &[u8; 8] = b"hobnobK1";

/// What lies in a server's folder.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn of(stage: &Stage<Tcp>) -> Self {
        let Target::Name(name) = stage.address.target() else { unreachable!("stages use names") };
        Self(stage.names().join(name.as_str()))
    }

    pub fn key(&self) -> Vec<u8> {
        std::fs::read(self.0.join("key")).unwrap()
    }

    pub fn address(&self) -> SocketAddr {
        std::fs::read_to_string(self.0.join("address")).unwrap().trim_end().parse().unwrap()
    }

    /// Leads clients astray.
    pub fn lead_to(&self, address: SocketAddr) {
        std::fs::write(self.0.join("address"), address.to_string()).unwrap();
    }
}

#[derive(Clone, Copy)]
pub struct Exchange {
    pub port: u16,
    pub client: [u8; 16],
    pub server: [u8; 16],
}

pub fn claim(pid: u32, is_owner: bool) -> [u8; 8] {
    let [a, b, c, d] = pid.to_le_bytes();
    [a, b, c, d, u8::from(is_owner), 0, 0, 0]
}

/// A claim and its code. `role` is "client" or "server".
pub fn signed(key: &[u8], role: &str, exchange: Exchange, claim: [u8; 8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(format!("hobnob 1 {role}\0").as_bytes());
    mac.update(&exchange.port.to_le_bytes());
    mac.update(&exchange.client);
    mac.update(&exchange.server);
    mac.update(&claim);
    [&claim[..], &mac.finalize().into_bytes()].concat()
}

pub fn knock(nonce: [u8; 16]) -> Vec<u8> {
    [&MAGIC[..], &nonce].concat()
}

/// The server's nonce, and its claim with the code.
pub fn read_answer(stream: &mut TcpStream) -> ([u8; 16], [u8; 40]) {
    let mut answer = [0; 64];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..8], MAGIC[..]);
    (answer[8..24].try_into().unwrap(), answer[24..].try_into().unwrap())
}

/// What the server says no with.
pub fn read_refusal(stream: &mut TcpStream) -> Option<Refusal> {
    let mut head = [0; HEADER];
    stream.read_exact(&mut head).unwrap();
    let (_, length) = parse_header(head).unwrap();
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).unwrap();
    Verdict::decode(&body).unwrap().refusal
}

/// A client that has knocked at `at`, and what the server has answered.
pub fn knocked(at: SocketAddr, nonce: [u8; 16]) -> (TcpStream, Exchange, [u8; 40]) {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.write_all(&knock(nonce)).unwrap();
    let (server, said) = read_answer(&mut stream);
    (stream, Exchange { port: at.port(), client: nonce, server }, said)
}

/// Where nobody serves yet.
pub fn free_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}
