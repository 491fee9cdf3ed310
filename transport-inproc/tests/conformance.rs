//! Every promise, over this transport.

conformance::conformance!(transport_inproc::Inproc);
conformance::conformance_of_events!(transport_inproc::Inproc);
