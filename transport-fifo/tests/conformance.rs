//! Every promise, over this transport.

conformance::conformance!(transport_fifo::Fifo);
conformance::conformance_of_events!(transport_fifo::Fifo);
