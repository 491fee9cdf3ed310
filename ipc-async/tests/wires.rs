//! Foreign wires, as futures: on every runtime, plain and while everything goes wrong.
#![cfg(any(feature = "tokio", feature = "smol"))]
#![allow(clippy::unwrap_used)]

mod blocking;

#[cfg(feature = "tokio")]
mod tokio {
    mod plain {
        conformance::conformance_of_wires!(crate::blocking::Adapted<ipc_async::Tokio, transport_unix::Unix>);
    }
    mod faulty {
        use transport_faulty::Faulty;
        use transport_unix::Unix;
        conformance::conformance_of_wires!(crate::blocking::Adapted<ipc_async::Tokio, Faulty<Unix>>);
    }
    mod at_a_port {
        use conformance::AtAPort;
        conformance::conformance_of_wires!(
            AtAPort<crate::blocking::Adapted<ipc_async::Tokio, transport_tcp::Tcp>>
        );
    }
}

#[cfg(feature = "smol")]
mod smol {
    mod plain {
        conformance::conformance_of_wires!(crate::blocking::Adapted<ipc_async::Smol, transport_unix::Unix>);
    }
    mod faulty {
        use transport_faulty::Faulty;
        use transport_unix::Unix;
        conformance::conformance_of_wires!(crate::blocking::Adapted<ipc_async::Smol, Faulty<Unix>>);
    }
    mod at_a_port {
        use conformance::AtAPort;
        conformance::conformance_of_wires!(
            AtAPort<crate::blocking::Adapted<ipc_async::Smol, transport_tcp::Tcp>>
        );
    }
}
