//! Every promise, as futures: on every runtime, over every transport, plain and while everything goes wrong.
#![cfg(any(feature = "tokio", feature = "smol"))]
#![allow(clippy::unwrap_used)]

mod blocking;

/// A row for each transport, plain and faulty.
macro_rules! rows {
    ($($module:ident: $transport:ty),* $(,)?) => {
        mod plain {
            $(mod $module {
                conformance::conformance!(crate::blocking::Adapted<super::super::Runtime, $transport>);
            })*
        }
        mod faulty {
            $(mod $module {
                conformance::conformance!(
                    crate::blocking::Adapted<super::super::Runtime, transport_faulty::Faulty<$transport>>
                );
            })*
        }
    };
}

#[cfg(feature = "tokio")]
mod tokio {
    use ipc_async::Tokio as Runtime;
    rows! {
        unix: transport_unix::Unix,
        seqpacket: transport_unix::seqpacket::Seqpacket,
        dgram: transport_unix::dgram::Dgram,
        fifo: transport_fifo::Fifo,
        inproc: transport_inproc::Inproc,
        tcp: transport_tcp::Tcp,
    }
}

#[cfg(feature = "smol")]
mod smol {
    use ipc_async::Smol as Runtime;
    rows! {
        unix: transport_unix::Unix,
        seqpacket: transport_unix::seqpacket::Seqpacket,
        dgram: transport_unix::dgram::Dgram,
        fifo: transport_fifo::Fifo,
        inproc: transport_inproc::Inproc,
        tcp: transport_tcp::Tcp,
    }
}
