//! THE LIST: one row per transport. The order is the preference of a server with a bare name.

use ipc_core::{Address, ConnectOptions, Connecting, Result, Server, ServerOptions, Transport};

use crate::{
    AnyServer,
    any::ErasedServer,
    following::{Dialing, Erased},
};

pub(crate) const LIST: &[Row] = &[
    #[cfg(feature = "unix")]
    row::<Road<transport_unix::Unix>>(),
    #[cfg(feature = "fifo")]
    row::<Road<transport_fifo::Fifo>>(),
    #[cfg(feature = "seqpacket")]
    row::<Road<transport_unix::seqpacket::Seqpacket>>(),
    #[cfg(feature = "dgram")]
    row::<Road<transport_unix::dgram::Dgram>>(),
    #[cfg(feature = "inproc")]
    row::<Road<transport_inproc::Inproc>>(),
    #[cfg(feature = "tcp")]
    row::<Road<transport_tcp::Tcp>>(),
];

/// What a row speaks over: the transport, behind the faults that the options ask for if that is compiled in.
#[cfg(not(feature = "faulty"))]
#[allow(dead_code, reason = "with no transport compiled in there is no row")]
type Road<T> = T;
#[cfg(feature = "faulty")]
#[allow(dead_code, reason = "with no transport compiled in there is no row")]
type Road<T> = transport_faulty::Faulty<T>;

/// Every scheme there is, compiled in or not, for the sake of error texts.
pub(crate) const FEATURES: &str = "unix, fifo, seqpacket, dgram, inproc, tcp";

/// A transport, by its scheme.
pub(crate) struct Row {
    pub(crate) scheme: &'static str,
    /// Its names live in this process, not in the file system.
    pub(crate) one_process: bool,
    pub(crate) new_server: fn(&Address, &ServerOptions) -> Result<AnyServer>,
    pub(crate) dial: fn(&Address, &ConnectOptions) -> Result<Box<Dialing>>,
}

#[allow(dead_code, reason = "with no transport compiled in there is no row")]
const fn row<T: Transport>() -> Row {
    Row {
        scheme: T::SCHEME,
        one_process: T::CAPABILITIES.one_process,
        new_server: |at, options| {
            let server = Server::<T>::new_server_with(at, options)?;
            Ok(AnyServer(Box::new(server) as Box<dyn ErasedServer>))
        },
        dial: |at, options| Ok(Box::new(Erased(Connecting::<T>::new(at, options)?))),
    }
}
