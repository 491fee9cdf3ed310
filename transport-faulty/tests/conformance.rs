//! Every promise, over every transport, while everything goes wrong that nobody dies of.

mod unix {
    conformance::conformance!(transport_faulty::Faulty<transport_unix::Unix>);
    conformance::conformance_of_events!(transport_faulty::Faulty<transport_unix::Unix>);
}

mod fifo {
    conformance::conformance!(transport_faulty::Faulty<transport_fifo::Fifo>);
    conformance::conformance_of_events!(transport_faulty::Faulty<transport_fifo::Fifo>);
}

mod inproc {
    conformance::conformance!(transport_faulty::Faulty<transport_inproc::Inproc>);
    conformance::conformance_of_events!(transport_faulty::Faulty<transport_inproc::Inproc>);
}

mod tcp {
    conformance::conformance!(transport_faulty::Faulty<transport_tcp::Tcp>);
    conformance::conformance_of_events!(transport_faulty::Faulty<transport_tcp::Tcp>);
}

mod seqpacket {
    conformance::conformance!(transport_faulty::Faulty<transport_unix::seqpacket::Seqpacket>);
    conformance::conformance_of_events!(transport_faulty::Faulty<transport_unix::seqpacket::Seqpacket>);
}

mod dgram {
    conformance::conformance!(transport_faulty::Faulty<transport_unix::dgram::Dgram>);
    conformance::conformance_of_events!(transport_faulty::Faulty<transport_unix::dgram::Dgram>);
}
