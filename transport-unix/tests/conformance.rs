//! Every promise, over this transport.

conformance::conformance!(transport_unix::Unix);
conformance::conformance_of_events!(transport_unix::Unix);
