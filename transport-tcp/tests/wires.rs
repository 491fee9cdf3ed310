//! Foreign wires, at ports without a key: what strangers are promised.

conformance::conformance_of_wires!(conformance::AtAPort<transport_tcp::Tcp>);
