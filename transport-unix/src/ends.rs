//! The sockets of a road of datagrams: two connected pairs, one for each direction. Who sends into a socket whose other
//! end is closed loses what lies unread in its own (unix(7) does not say so; Linux does so), so no socket is used both
//! ways. The server makes both and gives the client its ends: what a client has made could be connected elsewhere by
//! the client later on, and the server's words would go there in the server's name.

use std::{
    io::{self, IoSlice},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use ipc_core::{Error, ErrorKind, Result};
use nix::{
    errno::Errno,
    sys::socket::{ControlMessage, MsgFlags, SockType, UnixAddr, getsockname, getsockopt, sendmsg, sockopt},
};

use crate::{call::NO_SIGNAL, socket::pair, sys::receive_two};

/// One side's ends.
#[derive(Debug)]
pub struct Ends {
    pub(crate) incoming: OwnedFd,
    pub(crate) outgoing: OwnedFd,
}

/// The descriptors that a server opens for a client, besides the connection.
pub(crate) const DESCRIPTORS: usize = 4;

/// What the ends come with. Another number would be another way to make a road.
const WORD: u8 = 1;

/// The server's ends and the client's.
pub(crate) fn make() -> io::Result<(Ends, Ends)> {
    let (to_server, from_client) = pair(SockType::Datagram)?;
    let (to_client, from_server) = pair(SockType::Datagram)?;
    let ours = Ends { incoming: to_server, outgoing: from_server };
    Ok((ours, Ends { incoming: to_client, outgoing: from_client }))
}

/// Gives the client its ends. A connection that was just made has room for them.
pub(crate) fn hand_over(connection: &UnixStream, ends: Ends) -> io::Result<()> {
    let numbers = [ends.incoming.as_raw_fd(), ends.outgoing.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&numbers)];
    let (word, flags) = ([WORD], MsgFlags::MSG_DONTWAIT | NO_SIGNAL);
    sendmsg::<()>(connection.as_raw_fd(), &[IoSlice::new(&word)], &rights, flags, None)?;
    Ok(())
}

/// The client's ends, once the server has given them.
///
/// # Errors
/// `PeerGone`; `Protocol`: something else came; `TooManyOpen`: this process has no numbers left for them.
pub(crate) fn take(connection: &UnixStream) -> Result<Option<Ends>> {
    let mut word = [0];
    let parcel = match receive_two(connection.as_fd(), &mut word) {
        Ok(parcel) => parcel,
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    match <[OwnedFd; 2]>::try_from(parcel.descriptors) {
        _ if parcel.bytes == 0 => Err(ErrorKind::PeerGone.into()),
        Ok([incoming, outgoing])
            if !parcel.is_cut
                && word == [WORD]
                && speaks_datagrams(&incoming)
                && speaks_datagrams(&outgoing) =>
        {
            Ok(Some(Ends { incoming, outgoing }))
        }
        Err(fewer) if parcel.is_cut && fewer.len() < 2 => Err(Errno::EMFILE.into()),
        _ => Err(strange()),
    }
}

fn speaks_datagrams(socket: &OwnedFd) -> bool {
    getsockopt(socket, sockopt::SockType) == Ok(SockType::Datagram)
        && getsockname::<UnixAddr>(socket.as_raw_fd()).is_ok()
}

fn strange() -> Error {
    let what = "the server's first word is not the two datagram sockets that were expected";
    ErrorKind::Protocol { what }.into()
}
