//! Which transport to connect over: by the address, else by the server's record.

use std::{sync::Arc, time::Instant};

use ipc_core::{
    Address, ConnectOptions, Connecting, Connection, Error, ErrorKind, Interests, IpcConnecting, Name,
    Result, Target, Transport, look_up, nobody_serves,
};

use crate::{
    AnyConnection,
    any::{compiled_in, no_transport, row_of},
    transports::{LIST, Row},
};

/// A connection that is being made over whatever transport its address or the server's record names.
pub struct AnyConnecting {
    at: Address,
    options: ConnectOptions,
    way: Way,
    current: Box<Dialing>,
}

/// What to do when there is nobody where it is tried.
#[derive(Clone, Copy)]
enum Way {
    /// Nothing: the address says where.
    Fixed,
    /// Try the next transport whose names live in this process, from this row on; then follow the record.
    Here(usize),
    /// Follow the record once more if, while the server was waited for, one came that speaks over another transport.
    Record { last_try: bool },
}

/// A connect whose connection has lost its type.
pub(crate) type Dialing = dyn IpcConnecting<Connection = AnyConnection>;

/// Gives the connection of one transport up for one of any.
pub(crate) struct Erased<T: Transport>(pub(crate) Connecting<T>);

impl<T: Transport> IpcConnecting for Erased<T> {
    type Connection = AnyConnection;

    fn try_connect(&mut self) -> Result<AnyConnection> {
        let connection: Connection<T> = self.0.try_connect()?;
        Ok(AnyConnection(Box::new(connection)))
    }

    fn connect_interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.0.connect_interests(into);
    }

    fn connect_wake_at(&self) -> Option<Instant> {
        self.0.connect_wake_at()
    }

    fn address(&self) -> Arc<str> {
        self.0.address()
    }
}

impl AnyConnecting {
    pub(crate) fn new(at: &Address, options: &ConnectOptions) -> Result<Self> {
        let options = options.clone().deadline(options.deadline_from(Instant::now()));
        let (way, current) = match (at.scheme(), at.target()) {
            (Some(scheme), _) => (Way::Fixed, (row_of(scheme)?.dial)(at, &options)?),
            (None, Target::Name(_)) if LIST.is_empty() => return Err(no_transport()),
            (None, Target::Name(name)) => here(0, at, &options)
                .unwrap_or_else(|| by_record(at, name, &options, false, || nobody_serves(&options)))?,
            (None, _) => return Err(Error::bad_address("expected SCHEME:PATH or a name")),
        };
        Ok(Self { at: at.clone(), options, way, current })
    }

    /// Nobody, or nobody of this kind: tries elsewhere, if there is an elsewhere.
    fn go_elsewhere(&mut self, error: Error) -> Result<()> {
        let Self { at, options, way, .. } = self;
        let Target::Name(name) = at.target() else { return Err(error) };
        let next = match (*way, error.kind()) {
            (Way::Here(row), ErrorKind::NoSuchServer { .. }) => {
                here(row + 1, at, options).unwrap_or_else(|| by_record(at, name, options, false, || error))
            }
            (Way::Record { last_try: false }, ErrorKind::WrongTransport { .. }) => {
                by_record(at, name, options, true, || error)
            }
            _ => Err(error),
        };
        (self.way, self.current) = next?;
        Ok(())
    }
}

/// Tries the servers of this process, over the transports from this row on.
fn here(from: usize, at: &Address, options: &ConnectOptions) -> Option<Result<(Way, Box<Dialing>)>> {
    let (row, found) = LIST.iter().enumerate().skip(from).find(|(_, row)| row.one_process)?;
    // There may be one outside: nobody is waited for here.
    let options = options.clone().wait_for_server(false);
    Some((found.dial)(at, &options).map(|current| (Way::Here(row), current)))
}

/// Tries what the record says, or `error` if no transport leads out of this process.
fn by_record(
    at: &Address,
    name: &Name,
    options: &ConnectOptions,
    last_try: bool,
    error: impl FnOnce() -> Error,
) -> Result<(Way, Box<Dialing>)> {
    let Some(default) = LIST.iter().find(|row| !row.one_process) else { return Err(error()) };
    let row = row_by_record(name, options, default)?;
    Ok((Way::Record { last_try }, (row.dial)(at, options)?))
}

fn row_by_record(name: &Name, options: &ConnectOptions, default: &'static Row) -> Result<&'static Row> {
    match look_up(name, options)? {
        Some(record) => match LIST.iter().find(|row| row.scheme == record.transport) {
            Some(found) => Ok(found),
            None if record.seems_alive() => {
                let (server, client) = (record.transport, compiled_in());
                Err(ErrorKind::WrongTransport { server, client }.into())
            }
            None => Ok(default),
        },
        None if options.waits() => Ok(default),
        None => Err(nobody_serves(options)),
    }
}

impl IpcConnecting for AnyConnecting {
    type Connection = AnyConnection;

    fn try_connect(&mut self) -> Result<AnyConnection> {
        loop {
            match self.current.try_connect() {
                Err(error) if *error.kind() != ErrorKind::WouldBlock => self.go_elsewhere(error)?,
                tried => return tried,
            }
        }
    }

    fn connect_interests<'a>(&'a self, into: &mut Interests<'a>) {
        self.current.connect_interests(into);
    }

    fn connect_wake_at(&self) -> Option<Instant> {
        self.current.connect_wake_at()
    }

    fn address(&self) -> Arc<str> {
        self.current.address()
    }
}
