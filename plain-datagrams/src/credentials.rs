//! The kernel's word on who sent a datagram.

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use linux::{ask, of, room};
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) use unknown::{ask, of, room};

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use std::os::fd::AsFd;

    use ipc_core::{Peer, PeerPid, Proof};
    use nix::{
        cmsg_space,
        sys::socket::{
            ControlMessageOwned, RecvMsg, SockaddrLike, UnixCredentials, setsockopt, sockopt::PassCred,
        },
    };

    /// From now on the kernel says of each datagram who sent it (SO_PASSCRED, unix(7)).
    pub(crate) fn ask(socket: &impl AsFd) -> nix::Result<()> {
        setsockopt(socket, PassCred, &true)
    }

    /// Room for the credentials and not a byte more. The kernel puts them first, so no descriptor that a sender adds can
    /// come in: the kernel drops those that find no room, and says so (MSG_CTRUNC).
    pub(crate) fn room() -> Vec<u8> {
        cmsg_space!(UnixCredentials)
    }

    pub(crate) fn of<A: SockaddrLike>(message: &RecvMsg<'_, '_, A>) -> Option<Peer> {
        let credentials = message.cmsgs().ok()?.find_map(|control| match control {
            ControlMessageOwned::ScmCredentials(credentials) => Some(credentials),
            _ => None,
        })?;
        let pid = u32::try_from(credentials.pid()).ok().filter(|pid| *pid != 0);
        // What was sent before we asked carries nobody's.
        if pid.is_none() && credentials.uid() == NOBODY && credentials.gid() == NOBODY {
            return None;
        }
        // 0: a process outside our PID namespace.
        let pid = pid.map_or(PeerPid::Unknown, PeerPid::Verified);
        Some(Peer::new(Some(credentials.uid()), Some(credentials.gid()), pid, Proof::Kernel))
    }

    /// What the kernel says for a user whom it cannot name here (user_namespaces(7)).
    const NOBODY: u32 = 65_534;
}

/// Other systems have other ways (LOCAL_CREDS), or none; nothing of them was written yet. A sender is nobody in
/// particular there, and is let in only by a policy that says so.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod unknown {
    use std::os::fd::AsFd;

    use ipc_core::{Peer, PeerPid, Proof};
    use nix::sys::socket::{RecvMsg, SockaddrLike};

    pub(crate) fn ask(_: &impl AsFd) -> nix::Result<()> {
        Ok(())
    }

    pub(crate) fn room() -> Vec<u8> {
        Vec::new()
    }

    pub(crate) fn of<A: SockaddrLike>(_: &RecvMsg<'_, '_, A>) -> Option<Peer> {
        Some(Peer::new(None, None, PeerPid::Unknown, Proof::None))
    }
}
