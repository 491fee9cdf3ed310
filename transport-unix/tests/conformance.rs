//! Every promise, over this transport.

conformance::conformance!(transport_unix::Unix);
