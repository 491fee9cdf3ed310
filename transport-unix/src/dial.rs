//! The client's side of the rendezvous: bind the client file, connect, look who listens.

use std::{
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    time::{Duration, Instant},
};

use ipc_core::{
    CLIENTS, ClientFile, Config, Error, ErrorKind, Folder, Handshake, Interests, Link, Place, Result, Wait,
    random_nonces, strange,
};
use nix::{
    errno::Errno,
    sys::socket::{UnixAddr, bind, connect},
};

use crate::{
    Unix, client_file,
    half::link,
    listen::{SOCKET, too_long},
    peer::peer_of,
    socket::nonblocking_socket,
};

/// A client on its way out.
#[derive(Debug)]
pub struct Outgoing {
    socket: Option<OwnedFd>,
    there: PathBuf,
    /// The folder of a server with a name; `there` leads through its descriptor.
    folder: Option<Folder>,
    /// Unlinks the client file once the handshake is over, if the server has not.
    file: Option<client_file::Guard>,
    retry: Option<Instant>,
    pause: Duration,
    config: Config,
}

/// A full backlog gives EAGAIN, and poll(2) says ready all the same: the only way is to ask again, ever less often.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn dial(place: &Place, config: &Config) -> Result<Outgoing> {
    let socket = nonblocking_socket()?;
    let (there, folder, file) = match place {
        Place::Folder(folder, _) => {
            (folder.path_to(SOCKET), Some(folder.clone()), bind_file(&socket, folder, config)?)
        }
        Place::Path(path) => (path.clone(), None, None),
        _ => return Err(Error::bad_address("expected a name or a path")),
    };
    Ok(Outgoing {
        socket: Some(socket),
        there,
        folder,
        file,
        retry: None,
        pause: FIRST_PAUSE,
        config: config.clone(),
    })
}

fn bind_file(socket: &OwnedFd, folder: &Folder, config: &Config) -> Result<Option<client_file::Guard>> {
    if config.client_file == ClientFile::Off {
        return Ok(None);
    }
    let clients = match folder.enter(CLIENTS) {
        Ok(clients) => clients,
        // No server is there any more, or it looks at no files: connecting will tell.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(strange(folder, CLIENTS, error)),
    };
    let [id] = random_nonces()?;
    let name = client_file::name(std::process::id(), id);
    config.seams.reach("unix.client_bind")?;
    client_file::wish_mode(socket);
    match bind(socket.as_raw_fd(), &client_file::address(&clients, &name)?) {
        Ok(()) => {}
        Err(Errno::ENOENT) => return Err(nobody(folder.path().to_owned())),
        Err(errno) => return Err(errno.into()),
    }
    let guard = client_file::Guard::new(clients, name);
    match guard.set_mode() {
        Ok(()) => Ok(Some(guard)),
        // Swept by a server that is just taking over: as if there were none yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(nobody(folder.path().to_owned())),
        Err(error) => Err(error.into()),
    }
}

fn nobody(place: PathBuf) -> Error {
    ErrorKind::NoSuchServer { searched: vec![place] }.into()
}

impl Handshake<Unix> for Outgoing {
    fn step(&mut self, now: Instant) -> Result<Option<Link<Unix>>> {
        if self.retry.is_some_and(|retry| now < retry) {
            return Ok(None);
        }
        let Some(socket) = self.socket.take() else { return Ok(None) };
        match self.connect(&socket) {
            Ok(()) => {}
            Err(Errno::EAGAIN | Errno::EINTR) => {
                (self.socket, self.retry) = (Some(socket), Some(now + self.pause));
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                return Ok(None);
            }
            Err(Errno::ENOENT | Errno::ECONNREFUSED) => return Err(nobody(self.there.clone())),
            Err(errno @ (Errno::ENOTSOCK | Errno::EPROTOTYPE | Errno::ENOTDIR | Errno::ENAMETOOLONG)) => {
                return Err(self.bad(errno));
            }
            Err(errno) => return Err(errno.into()),
        }
        self.retry = None;
        self.config.seams.reach("unix.connected")?;
        let stream = UnixStream::from(socket);
        stream.set_nonblocking(false)?;
        let peer = peer_of(&stream)?;
        Ok(Some(link(stream, peer, &self.config)))
    }

    fn welcome(&mut self) {
        // A server that looks at client files has unlinked this one.
        self.file.take().into_iter().for_each(client_file::Guard::forget);
    }
}

fn errno(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

impl Outgoing {
    /// connect(2) follows links; what is in a server's folder is held before, so that a link there leads nowhere.
    fn connect(&self, socket: &OwnedFd) -> nix::Result<()> {
        #[cfg(all(target_os = "linux", not(hobnob_portable)))]
        if let Some(folder) = &self.folder {
            let (_pinned, path) = folder.pin(SOCKET).map_err(errno)?;
            return connect(socket.as_raw_fd(), &UnixAddr::new(&path)?);
        }
        // What cannot be held is looked at just before.
        #[cfg(not(all(target_os = "linux", not(hobnob_portable))))]
        if let Some(folder) = &self.folder
            && folder.look(SOCKET).map_err(errno)?.kind != ipc_core::Kind::Socket
        {
            return Err(Errno::ENOTSOCK);
        }
        connect(socket.as_raw_fd(), &UnixAddr::new(&self.there)?)
    }

    fn bad(&self, errno: Errno) -> Error {
        if errno == Errno::ENAMETOOLONG {
            return too_long(&self.there);
        }
        let why = format!("{} is no stream socket to connect to", self.there.display());
        Error::caused(ErrorKind::BadAddress { why }, errno.into())
    }
}

impl Wait for Outgoing {
    fn interests<'a>(&'a self, _: &mut Interests<'a>) {}

    fn wake_at(&self) -> Option<Instant> {
        self.retry
    }
}
