//! Foreign wires, while everything goes wrong that nobody dies of.

mod unix {
    conformance::conformance_of_wires!(transport_faulty::Faulty<transport_unix::Unix>);
}

mod inproc {
    conformance::conformance_of_wires!(transport_faulty::Faulty<transport_inproc::Inproc>);
}

mod tcp {
    conformance::conformance_of_wires!(conformance::AtAPort<transport_faulty::Faulty<transport_tcp::Tcp>>);
}
