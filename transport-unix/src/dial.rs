//! The client's side of the rendezvous: bind the client file, connect, look who listens.

use std::{
    io,
    marker::PhantomData,
    mem,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use ipc_core::{
    CLIENTS, ClientFile, Config, Error, ErrorKind, Folder, Handshake, Interest, Interests, Link, Place,
    Result, Wait, random_nonces, strange,
};
use nix::{
    errno::Errno,
    sys::socket::{SockType, UnixAddr, bind, connect},
};

use crate::{
    client_file,
    listen::{SOCKET, too_long},
    peer::peer_of,
    road::Road,
    socket::nonblocking,
};

/// A client on its way out.
#[derive(Debug)]
pub struct Outgoing<R: Road> {
    stage: Stage,
    there: PathBuf,
    /// The folder of a server with a name; `there` leads through its descriptor.
    folder: Option<Folder>,
    /// Unlinks the client file once the handshake is over, if the server has not.
    file: Option<client_file::Guard>,
    retry: Option<Instant>,
    pause: Duration,
    config: Config,
    road: PhantomData<fn() -> R>,
}

#[derive(Debug)]
enum Stage {
    Knocking(OwnedFd),
    /// Connected; the road is not up before the server has answered.
    Waiting(Arc<UnixStream>),
    Up,
}

/// A full backlog gives EAGAIN, and poll(2) says ready all the same: the only way is to ask again, ever less often.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn dial<R: Road>(place: &Place, config: &Config) -> Result<Outgoing<R>> {
    let socket = nonblocking(R::MEETS_BY)?;
    let (there, folder, file) = match place {
        Place::Folder(folder, _) => {
            (folder.path_to(SOCKET), Some(folder.clone()), bind_file(&socket, folder, config)?)
        }
        Place::Path(path) => (path.clone(), None, None),
        _ => return Err(Error::bad_address("expected a name or a path")),
    };
    Ok(Outgoing {
        stage: Stage::Knocking(socket),
        there,
        folder,
        file,
        retry: None,
        pause: FIRST_PAUSE,
        config: config.clone(),
        road: PhantomData,
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

impl<R: Road> Handshake<R> for Outgoing<R> {
    fn step(&mut self, now: Instant) -> Result<Option<Link<R>>> {
        if self.retry.is_some_and(|retry| now < retry) {
            return Ok(None);
        }
        let socket = match mem::replace(&mut self.stage, Stage::Up) {
            Stage::Knocking(socket) => match self.knock(socket, now)? {
                Some(connected) => connected,
                None => return Ok(None),
            },
            Stage::Waiting(socket) => socket,
            Stage::Up => return Ok(None),
        };
        let link = R::connected(&socket, peer_of(&socket)?, &self.config)?;
        if link.is_none() {
            self.stage = Stage::Waiting(socket);
        }
        Ok(link)
    }

    fn welcome(&mut self) {
        // A server that looks at client files has unlinked this one.
        self.file.take().into_iter().for_each(client_file::Guard::forget);
    }
}

fn errno(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

impl<R: Road> Outgoing<R> {
    /// Connects, or sets the time to ask again.
    fn knock(&mut self, socket: OwnedFd, now: Instant) -> Result<Option<Arc<UnixStream>>> {
        match self.connect(&socket) {
            Ok(()) => {}
            Err(Errno::EAGAIN | Errno::EINTR) => {
                (self.stage, self.retry) = (Stage::Knocking(socket), Some(now + self.pause));
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
        let connected = UnixStream::from(socket);
        connected.set_nonblocking(false)?;
        Ok(Some(Arc::new(connected)))
    }

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
        let kind = match R::MEETS_BY {
            SockType::SeqPacket => "seqpacket",
            _ => "stream",
        };
        let why = format!("{} is no {kind} socket to connect to", self.there.display());
        Error::caused(ErrorKind::BadAddress { why }, errno.into())
    }
}

impl<R: Road> Wait for Outgoing<R> {
    fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        if let Stage::Waiting(socket) = &self.stage {
            into.add(socket.as_fd(), Interest::Readable);
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.retry
    }
}
