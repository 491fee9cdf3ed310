//! From an address to a place: on the server's side with the lease taken, on the client's with the record read.

use std::path::Path;

use crate::{
    Address, ClientFile, Config, Error, ErrorKind, Folder, Name, Place, Result, Target, Transport,
    error::is_out_of_descriptors,
    lease::Lease,
    runtime_dir::{self, Found},
};

/// The place to serve at, and the lease on it; names inside this process need none.
pub(crate) fn take_place<T: Transport>(at: &Address, config: &mut Config) -> Result<(Option<Lease>, Place)> {
    if config.given.is_some() {
        return given_place::<T>(at, config);
    }
    match at.target() {
        Target::Name(name) if T::CAPABILITIES.one_process => Ok((None, Place::Process(name.clone()))),
        Target::Path(_) if !T::CAPABILITIES.paths => Err(unfit::<T>(at)),
        Target::Name(_) | Target::Path(_) => {
            let (lease, place) = lease(at, T::SCHEME, config)?;
            if let Place::Path(_) = place {
                // Programs that know nothing of hobnob have nowhere to put a client file.
                config.client_file = ClientFile::Off;
            }
            Ok((Some(lease), place))
        }
        // A port is leased by the kernel.
        Target::HostPort(host, port) if T::CAPABILITIES.ports => Ok((None, Place::Port(host.clone(), *port))),
        _ => Err(unfit::<T>(at)),
    }
}

/// The place of a socket that somebody else has made, whose the name is.
fn given_place<T: Transport>(at: &Address, config: &mut Config) -> Result<(Option<Lease>, Place)> {
    match at.target() {
        Target::Path(path) if T::TAKES_GIVEN => {
            config.client_file = ClientFile::Off;
            Ok((None, Place::Path(path.clone())))
        }
        _ => Err(Error::bad_address(format!(
            "{} cannot serve {at} on a descriptor that was given; expected the path of a socket",
            T::SCHEME
        ))),
    }
}

/// Takes the lease on a name or a path, also for servers that are not made of connections.
///
/// # Errors
/// `NameInUse`; `BadAddress`: it is neither; `Denied`: our directory is not as it must be.
pub fn lease(at: &Address, scheme: &str, config: &Config) -> Result<(Lease, Place)> {
    match at.target() {
        Target::Name(name) => {
            let lease = Lease::take(&runtime_dir::ours(config)?, name.as_str(), name.as_str(), config)?;
            let place = Place::Folder(lease.folder().clone(), None);
            Ok((lease, place))
        }
        Target::Path(path) => Ok((lease_path(path, config)?, Place::Path(path.clone()))),
        Target::HostPort(..) => Err(unfit_for(at, scheme, false)),
    }
}

/// A path is leased like a name, under what its parent *is*, so that two spellings are one.
fn lease_path(path: &Path, config: &Config) -> Result<Lease> {
    let shown = path.display().to_string();
    let wrong = |what: &str| Error::bad_address(format!("the path {shown} {what}"));
    let (parent, name) = path.parent().zip(path.file_name()).ok_or_else(|| wrong("has no file name"))?;
    let name = name
        .to_str()
        .filter(|name| name.len() <= 150)
        .ok_or_else(|| wrong("ends in a name that is not plain text of at most 150 bytes"))?;
    let parent = Folder::open_following(parent).and_then(|parent| parent.itself()).map_err(|error| {
        // That says nothing of the directory.
        if is_out_of_descriptors(&error) {
            return error.into();
        }
        let why = format!("the directory of {shown} cannot be opened; expected one that is there");
        Error::caused(ErrorKind::BadAddress { why }, error)
    })?;
    let (device, inode) = parent.identity;
    let key = format!("@{device:x}-{inode:x}-{name}");
    Lease::take(&runtime_dir::ours(config)?, &key, &shown, config)
}

/// The places to try, in order.
pub(crate) fn places<T: Transport>(at: &Address, config: &Config) -> Result<Vec<Place>> {
    match at.target() {
        Target::Name(name) if T::CAPABILITIES.one_process => Ok(vec![Place::Process(name.clone())]),
        Target::Name(name) => places_of(name, T::SCHEME, config),
        Target::Path(path) if T::CAPABILITIES.paths => Ok(vec![Place::Path(path.clone())]),
        Target::HostPort(host, port) if T::CAPABILITIES.ports => Ok(vec![Place::Port(host.clone(), *port)]),
        _ => Err(unfit::<T>(at)),
    }
}

/// Where servers of this name are that say in their record that they speak over `transport`, in the order of search;
/// empty if nobody does.
///
/// # Errors
/// `WrongTransport`: a live one speaks over another; `ServerUntrusted` or `Denied`: where it lies is not to be believed.
pub fn places_of(name: &Name, transport: &str, config: &Config) -> Result<Vec<Place>> {
    let (ours, others): (Vec<_>, Vec<_>) =
        runtime_dir::find(name, config)?.into_iter().partition(|found| found.record.transport == transport);
    match others.into_iter().find(|found| found.record.seems_alive()) {
        Some(found) if ours.is_empty() => Err(wrong_transport(found, transport)),
        _ => Ok(ours.into_iter().map(|found| Place::Folder(found.folder, Some(found.record))).collect()),
    }
}

fn wrong_transport(found: Found, client: &str) -> Error {
    ErrorKind::WrongTransport { server: found.record.transport, client: client.to_owned() }.into()
}

fn unfit<T: Transport>(at: &Address) -> Error {
    unfit_for(at, T::SCHEME, T::CAPABILITIES.ports)
}

fn unfit_for(at: &Address, scheme: &str, ports: bool) -> Error {
    let or = if ports { format!(" or {scheme}:HOST:PORT") } else { String::new() };
    Error::bad_address(format!("{scheme} cannot serve {at}; expected {scheme}:NAME{or}"))
}
