//! Every promise, over this transport.

conformance::conformance!(transport_tcp::Tcp);
conformance::conformance_of_events!(transport_tcp::Tcp);
