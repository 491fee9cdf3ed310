//! Every promise, over each transport of this family.

mod unix {
    conformance::conformance!(transport_unix::Unix);
    conformance::conformance_of_events!(transport_unix::Unix);
}

mod seqpacket {
    conformance::conformance!(transport_unix::seqpacket::Seqpacket);
    conformance::conformance_of_events!(transport_unix::seqpacket::Seqpacket);
}

mod dgram {
    conformance::conformance!(transport_unix::dgram::Dgram);
    conformance::conformance_of_events!(transport_unix::dgram::Dgram);
}
