//! Every promise, over this transport.

conformance::conformance!(transport_fifo::Fifo);
