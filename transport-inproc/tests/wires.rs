//! Foreign wires over this transport.

conformance::conformance_of_wires!(transport_inproc::Inproc);
