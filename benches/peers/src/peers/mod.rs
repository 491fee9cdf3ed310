//! The registry: every row of the benchmark.

use crate::core::Peer;

pub mod datagrams;
pub mod hobnob;
pub mod hobnob_events;
pub mod hobnob_wires;
pub mod raw;
pub mod shm;
pub mod steps;

#[cfg(feature = "p-tokio")]
pub mod hobnob_async;
#[cfg(feature = "p-interprocess")]
pub mod interprocess;
#[cfg(feature = "p-iceoryx2")]
pub mod iox2;
#[cfg(feature = "p-ipc-channel")]
pub mod ipcchannel;
#[cfg(feature = "p-nng")]
pub mod nng;
#[cfg(feature = "p-shmem-ipc")]
pub mod shmemipc;
#[cfg(feature = "p-shmipc")]
pub mod shmipc;
#[cfg(feature = "p-tarpc")]
pub mod tarpc;
#[cfg(feature = "p-tokio")]
pub mod tokio;
#[cfg(feature = "p-tonic")]
pub mod tonic;
#[cfg(feature = "p-ttrpc")]
pub mod ttrpc;
#[cfg(feature = "p-zeromq")]
pub mod zeromq;
#[cfg(feature = "p-zmq")]
pub mod zmq;

/// To add a row: write a module with a type that implements `Peer`, and list it here.
pub fn registry() -> Vec<&'static dyn Peer> {
    let mut v: Vec<&'static dyn Peer> = hobnob::ROWS.iter().map(|row| row as &dyn Peer).collect();
    v.extend([
        &hobnob_events::EVENTS as &dyn Peer,
        &hobnob_events::WORKERS,
        &hobnob_wires::RawWire,
        &raw::UNIX,
        &raw::UNIX_1M,
        &raw::UNIX_BIG,
        &raw::UNIX_BATCH,
        &raw::UNIX_EPOLL,
        &raw::UNIX_SPIN,
        &raw::UNIX_SPIN_BIG,
        &raw::SeqPacket,
        &raw::Dgram,
        &datagrams::Raw,
        &datagrams::Hobnob,
        &raw::FIFO,
        &raw::FIFO_1M,
        &raw::FIFO_SPIN,
        &raw::TCP,
        &shm::Slot,
        &shm::SPIN,
        &shm::FUTEX,
        &shm::FUTEX0,
        &shm::EVENTFD,
        &shm::EVENTFD0,
        &shm::YIELD,
        &shm::ADAPT,
        &shm::BATCH,
        &shm::STREAMED,
        &raw::Cma,
        &steps::UNIX,
        &steps::FIFO,
    ]);
    #[cfg(feature = "p-interprocess")]
    v.push(&interprocess::Interprocess);
    #[cfg(feature = "p-ipc-channel")]
    v.extend([&ipcchannel::BYTES as &dyn Peer, &ipcchannel::SHM]);
    #[cfg(feature = "p-iceoryx2")]
    v.extend([&iox2::PUBSUB as &dyn Peer, &iox2::COPY, &iox2::EVENT, &iox2::REQRES]);
    #[cfg(feature = "p-zmq")]
    v.push(&zmq::Zmq);
    #[cfg(feature = "p-nng")]
    v.push(&nng::Nng);
    #[cfg(feature = "p-zeromq")]
    v.push(&zeromq::ZeroMq);
    #[cfg(feature = "p-shmem-ipc")]
    v.push(&shmemipc::ShmemIpc);
    #[cfg(feature = "p-shmipc")]
    v.push(&shmipc::ShmIpc);
    #[cfg(feature = "p-tokio")]
    v.extend([
        &hobnob_async::TOKIO as &dyn Peer,
        &hobnob_async::TOKIO_FIFO,
        &hobnob_async::SMOL,
        &tokio::Tokio,
    ]);
    #[cfg(feature = "p-tarpc")]
    v.push(&tarpc::Tarpc);
    #[cfg(feature = "p-tonic")]
    v.push(&tonic::Tonic);
    #[cfg(feature = "p-ttrpc")]
    v.push(&ttrpc::Ttrpc);
    v
}
