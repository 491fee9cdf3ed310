//! No runtime, the wrong one, one that is over, one without a timer: a clear error, or it works.
#![cfg(all(feature = "tokio", feature = "smol"))]
#![allow(clippy::unwrap_used)]

mod both;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};

use both::{Connection, Fresh, House, house, house_with, nowhere, once};
use conformance::{Stage, kind_of, watched};
use futures_util::future::{join, join_all};
use ipc_async::{Server, Smol, Tokio};
use ipc_core::{Deadline, ErrorKind, StopHandle, Transport, Wire};
use tokio::runtime::{Builder, Runtime};
use transport_fifo::Fifo;
use transport_inproc::Inproc;
use transport_unix::Unix;

fn told<T>(polled: Poll<ipc_core::Result<T>>, what: &str) {
    let Poll::Ready(Err(error)) = polled else { panic!("it waits, or is done") };
    assert!(error.to_string().contains(what), "{error}");
}

fn lone() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn echo_one<R: ipc_async::Runtime, T: Transport>(house: &mut House<R, T>, info: &[u8]) {
    let mut came = Vec::new();
    let (sent, received) = join(house.client.send_info(info), house.served.recv_info(&mut came)).await;
    assert!(received.unwrap() && came == info);
    sent.unwrap();
}

/// Each test, over every transport.
macro_rules! over_each {
    ($($test:ident)*) => {
        $(#[test]
        fn $test() {
            watched(stringify!($test), || {
                each::$test::<Unix>();
                each::$test::<Fifo>();
                each::$test::<Inproc>();
            });
        })*
    };
}

over_each! {
    outside_of_tokio_it_says_so
    what_has_come_already_is_not_watched_for
    without_a_driver_it_says_which
    another_runtime_takes_over
    one_that_is_over_is_no_hang
    both_runtimes_in_one_program
    a_drop_outside_says_goodbye
    one_handle_ends_many_waits
    a_replaced_handle_ends_waits_too
    one_handle_ends_both_halves
    a_dropped_half_harms_nobody
}

mod each {
    use super::*;

    pub(super) fn outside_of_tokio_it_says_so<T: Transport>() {
        const WHAT: &str = "no tokio runtime is running here";
        let mut there = lone().block_on(house::<Tokio, T>());
        told(nowhere(there.client.recv_info(&mut Vec::new())), WHAT);
        told(nowhere(there.server.accept_client()), WHAT);
        // Also where there is nothing but a time to wait for.
        let stage = Stage::<T>::new();
        let options = stage.client_options().wait_for_server(true);
        told(nowhere(Connection::<Tokio, T>::connect_with(&stage.address, &options)), WHAT);
        // What does not wait needs no runtime; what has begun to is not lost.
        assert!(matches!(nowhere(there.client.recv_info_by(&mut Vec::new(), Deadline::Now)), Poll::Ready(_)));
        lone().block_on(echo_one(&mut there, b"unharmed"));
    }

    /// Such as the request of a client that never heard of hobnob: after a handshake it is not expected yet.
    pub(super) fn what_has_come_already_is_not_watched_for<T: Transport>() {
        if !T::FOREIGN_WIRES {
            return;
        }
        let house = house_with::<Tokio, T>(
            |options| options.wire(Wire::Raw).allow(|_| true),
            |options| options.wire(Wire::Raw),
        );
        let (mut there, mut came) = (lone().block_on(house), Vec::new());
        assert!(matches!(nowhere(there.client.send_info(b"come")), Poll::Ready(Ok(()))));
        assert!(matches!(nowhere(there.served.recv_info(&mut came)), Poll::Ready(Ok(true))));
        assert_eq!(came, b"come");
    }

    pub(super) fn without_a_driver_it_says_which<T: Transport>() {
        let mut there = lone().block_on(house::<Tokio, T>());
        let (none, timeless) =
            (Builder::new_current_thread().build(), Builder::new_current_thread().enable_io().build());
        let waits = none.unwrap().block_on(once(there.client.recv_info(&mut Vec::new())));
        told(waits, "no I/O driver: expected enable_io()");
        let span = Duration::from_secs(3600).into();
        let waits = timeless.unwrap().block_on(async {
            // Where no time is waited for, no timer is missed.
            echo_one(&mut there, b"timeless").await;
            once(there.client.recv_info_by(&mut Vec::new(), span)).await
        });
        told(waits, "no timer: expected enable_time()");
        lone().block_on(echo_one(&mut there, b"unharmed"));
    }

    /// The first one lives on, and nobody drives it.
    pub(super) fn another_runtime_takes_over<T: Transport>() {
        let (first, second) = (lone(), lone());
        let mut there = first.block_on(async {
            let mut there = house::<Tokio, T>().await;
            assert!(once(there.served.recv_info(&mut Vec::new())).await.is_pending());
            there
        });
        second.block_on(echo_one(&mut there, b"second"));
        let (mut sender, mut receiver) = there.served.split();
        let (answers, echoed) = second.block_on(async {
            let mut came = Vec::new();
            assert!(once(receiver.recv_info(&mut came)).await.is_pending());
            (sender.send_info(b"halves").await, there.client.recv_info(&mut came).await)
        });
        assert!(echoed.unwrap() && answers.is_ok());
        // Each half on a runtime of its own.
        first.block_on(async { assert!(once(receiver.recv_info(&mut Vec::new())).await.is_pending()) });
        second.block_on(sender.send_info(b"second")).unwrap();
        first.block_on(there.client.send_info(b"first")).unwrap();
        assert!(first.block_on(receiver.recv_info(&mut Vec::new())).unwrap());
    }

    pub(super) fn one_that_is_over_is_no_hang<T: Transport>() {
        let first = lone();
        let mut there = first.block_on(async {
            let mut there = house::<Tokio, T>().await;
            let brief = Duration::from_secs(3600).into();
            assert!(once(there.served.recv_info_by(&mut Vec::new(), brief)).await.is_pending());
            assert!(once(there.server.accept_client()).await.is_pending());
            there
        });
        drop(first);
        lone().block_on(async {
            echo_one(&mut there, b"survives").await;
            let (next, served) = join(
                Connection::<Tokio, T>::connect_with(&there.stage.address, &there.stage.client_options()),
                there.server.accept_client(),
            )
            .await;
            assert!(next.is_ok() && served.is_ok());
        });
        // Shut down with a task that waits.
        let (mut client, second) = (there.client, Builder::new_multi_thread().enable_all().build().unwrap());
        let (begun, has_begun) = std::sync::mpsc::channel();
        second.spawn(async move {
            assert!(once(client.recv_info(&mut Vec::new())).await.is_pending());
            begun.send(()).unwrap();
            client.recv_info(&mut Vec::new()).await
        });
        has_begun.recv().unwrap();
        second.shutdown_background();
        // The task is dropped with its connection.
        assert!(!lone().block_on(there.served.recv_info(&mut Vec::new())).unwrap());
    }

    pub(super) fn both_runtimes_in_one_program<T: Transport>() {
        let stage = Stage::<T>::new();
        let mut server = Server::<Smol, _>::new(stage.server());
        let serving = std::thread::spawn(move || {
            smol::block_on(async move {
                let mut client = server.accept_client().await.unwrap();
                let mut info = Vec::new();
                while client.recv_info(&mut info).await.unwrap() {
                    client.send_info(&info).await.unwrap();
                }
            });
        });
        lone().block_on(async {
            let options = stage.client_options();
            let mut client = Connection::<Tokio, T>::connect_with(&stage.address, &options).await.unwrap();
            for size in [0, 1, 100_000, 2 << 20] {
                client.send_info(&vec![9; size]).await.unwrap();
                let mut info = Vec::new();
                assert!(client.recv_info(&mut info).await.unwrap() && info == vec![9; size]);
            }
            client.disconnect_from().await.unwrap();
        });
        serving.join().unwrap();
        // One that was tokio's becomes smol's.
        let there = lone().block_on(house::<Tokio, T>());
        let client = Connection::<Smol, T>::new(there.client.into_inner());
        let served = Connection::<Smol, T>::new(there.served.into_inner());
        let server = Server::<Smol, _>::new(Stage::<T>::new().server());
        let mut there = House { client, served, server, stage: there.stage };
        smol::block_on(echo_one(&mut there, b"moved"));
    }

    pub(super) fn a_drop_outside_says_goodbye<T: Transport>() {
        fn dropped<R: Fresh, T: Transport>() {
            let (client, mut served, halves, server) = R::run(async {
                let mut there = house::<R, T>().await;
                assert!(once(there.client.recv_info(&mut Vec::new())).await.is_pending());
                assert!(once(there.server.accept_client()).await.is_pending());
                let other = house::<R, T>().await;
                let (sender, mut receiver) = other.client.split();
                assert!(once(receiver.recv_info(&mut Vec::new())).await.is_pending());
                (there.client, there.served, (sender, receiver, other.served), there.server)
            });
            drop((client, server));
            assert!(!R::run(served.recv_info(&mut Vec::new())).unwrap(), "a drop says goodbye");
            let (sender, receiver, mut served) = halves;
            drop((receiver, sender));
            assert!(!R::run(served.recv_info(&mut Vec::new())).unwrap(), "a drop says goodbye");
        }
        dropped::<Tokio, T>();
        dropped::<Smol, T>();
    }

    pub(super) fn one_handle_ends_many_waits<T: Transport>() {
        fn ended<R: Fresh, T: Transport>() {
            R::run(async {
                let stop = StopHandle::new().unwrap();
                let mut houses = Vec::new();
                for _ in 0..10 {
                    let mut there = house::<R, T>().await;
                    there.client.stop_with(&stop);
                    there.server.stop_with(&stop);
                    houses.push(there);
                }
                let waits = join_all(houses.iter_mut().map(|there| async {
                    let mut info = Vec::new();
                    let House { client, server, .. } = there;
                    let (received, accepted) =
                        join(client.recv_info(&mut info), server.accept_client()).await;
                    (kind_of(&received).cloned(), kind_of(&accepted).cloned())
                }));
                let stops = async {
                    // Not before all of them wait: `join` polls them first.
                    stop.stop();
                };
                let (ended, ()) = join(waits, stops).await;
                let stopped = Some(ErrorKind::Stopped);
                assert!(ended.iter().all(|pair| *pair == (stopped.clone(), stopped.clone())), "{ended:?}");
            });
        }
        ended::<Tokio, T>();
        ended::<Smol, T>();
    }

    /// Its descriptors are closed, and whoever has their numbers next is watched although the other half goes later.
    pub(super) fn a_dropped_half_harms_nobody<T: Transport>() {
        fn harmless<R: Fresh, T: Transport>() {
            R::run(async {
                let House { mut client, mut server, stage, served: _full } = house::<R, T>().await;
                assert!(once(client.recv_info(&mut Vec::new())).await.is_pending());
                // Whole, it waits for room, too.
                while once(client.send_info(&[0; 100_000])).await.is_ready() {}
                let (sender, receiver) = client.split();
                drop(sender);
                let options = stage.client_options();
                let connecting = Connection::<R, T>::connect_with(&stage.address, &options);
                let (next, served) = join(connecting, server.accept_client()).await;
                let (mut next, mut served) = (next.unwrap(), served.unwrap());
                assert!(once(next.recv_info(&mut Vec::new())).await.is_pending());
                assert!(once(served.recv_info(&mut Vec::new())).await.is_pending());
                drop(receiver);
                let mut there = House { client: next, served, server, stage };
                echo_one(&mut there, b"to the server").await;
                let House { client, served, .. } = there;
                let mut there = House { client: served, served: client, ..there };
                echo_one(&mut there, b"to the client").await;
            });
        }
        harmless::<Tokio, T>();
        harmless::<Smol, T>();
    }

    /// Two tasks wait for the same descriptor, and both are woken.
    pub(super) fn one_handle_ends_both_halves<T: Transport>() {
        fn ended<R: Fresh, T: Transport>() {
            R::run(async {
                let stop = StopHandle::new().unwrap();
                let House { mut client, served, .. } = house::<R, T>().await;
                client.stop_with(&stop);
                assert!(once(client.recv_info(&mut Vec::new())).await.is_pending());
                while once(client.send_info(&[0; 100_000])).await.is_ready() {}
                let (mut sender, mut receiver) = client.split();
                let (tells, told) = std::sync::mpsc::channel();
                let waits = Arc::new(AtomicUsize::new(0));
                let (tell, wait) = (tells.clone(), waits.clone());
                R::spawn(async move {
                    assert!(once(receiver.recv_info(&mut Vec::new())).await.is_pending());
                    wait.fetch_add(1, SeqCst);
                    tell.send(kind_of(&receiver.recv_info(&mut Vec::new()).await).cloned()).unwrap();
                });
                let wait = waits.clone();
                R::spawn(async move {
                    assert!(once(sender.flush_info()).await.is_pending());
                    wait.fetch_add(1, SeqCst);
                    tells.send(kind_of(&sender.flush_info().await).cloned()).unwrap();
                });
                while waits.load(SeqCst) < 2 {
                    smol::future::yield_now().await;
                }
                // They wait again by now, or soon: either way they are stopped.
                for _ in 0..100 {
                    smol::future::yield_now().await;
                }
                stop.stop();
                for _ in 0..2 {
                    let ended = loop {
                        match told.try_recv() {
                            Ok(ended) => break ended,
                            Err(_) => smol::future::yield_now().await,
                        }
                    };
                    assert_eq!(ended, Some(ErrorKind::Stopped));
                }
                drop(served);
            });
        }
        ended::<Tokio, T>();
        ended::<Smol, T>();
    }

    /// The descriptors of the old handle are closed, and those of the new one may have their numbers.
    pub(super) fn a_replaced_handle_ends_waits_too<T: Transport>() {
        fn ended<R: Fresh, T: Transport>() {
            R::run(async {
                let mut there = house::<R, T>().await;
                for _ in 0..5 {
                    let stop = StopHandle::new().unwrap();
                    there.client.stop_with(&stop);
                    assert!(once(there.client.recv_info(&mut Vec::new())).await.is_pending());
                }
                let stop = StopHandle::new().unwrap();
                there.client.stop_with(&stop);
                let mut info = Vec::new();
                let stops = async { stop.stop() };
                let (ended, ()) = join(there.client.recv_info(&mut info), stops).await;
                assert_eq!(kind_of(&ended), Some(&ErrorKind::Stopped));
            });
        }
        ended::<Tokio, T>();
        ended::<Smol, T>();
    }
}
