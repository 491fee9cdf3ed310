//! A half that dies closes its descriptors, while a runtime may watch them. Whoever gets their numbers next is not to
//! suffer for it.
#![cfg(all(feature = "tokio", feature = "smol"))]
#![allow(clippy::unwrap_used)]

mod both;

use both::{Connection, Fresh, House, house, once};
use conformance::{kind_of, watched};
use futures_util::future::join;
use ipc_async::{Runtime, Smol, Tokio};
use ipc_core::{ErrorKind, Faults, Result, Transport};
use transport_faulty::Faulty;

/// A client that dies of the first large message, and what the server has of it.
async fn doomed<R: Runtime, T: Transport>(
    there: &mut House<R, Faulty<T>>,
) -> (Connection<R, Faulty<T>>, Connection<R, Faulty<T>>) {
    let options = there.stage.client_options().seams(Faults::none().die_after_sending(2000));
    let connecting = Connection::<R, Faulty<T>>::connect_with(&there.stage.address, &options);
    let (client, served) = join(connecting, there.server.accept_client()).await;
    (client.unwrap(), served.unwrap())
}

fn gone<T>(result: &Result<T>) {
    assert_eq!(kind_of(result), Some(&ErrorKind::PeerGone));
}

async fn numbers_are_used_again<R: Runtime, T: Transport>() {
    let mut there = house::<R, Faulty<T>>().await;
    let mut info = Vec::new();
    for in_halves in [false, true] {
        let (mut client, mut served) = doomed(&mut there).await;
        assert!(once(client.recv_info(&mut info)).await.is_pending());
        // Some of it must leave before that: what is kept back does not kill.
        let dead: Box<dyn std::any::Any> = if in_halves {
            let (mut sender, mut receiver) = client.split();
            assert!(once(receiver.recv_info(&mut info)).await.is_pending());
            gone(&sender.send_info(&[1; 3000]).await);
            gone(&receiver.recv_info(&mut info).await);
            Box::new((sender, receiver))
        } else {
            gone(&client.send_info(&[1; 3000]).await);
            gone(&client.recv_info(&mut info).await);
            Box::new(client)
        };
        assert_eq!(kind_of(&served.recv_info(&mut info).await), Some(&ErrorKind::Truncated));
        let options = there.stage.client_options();
        let connecting = Connection::<R, Faulty<T>>::connect_with(&there.stage.address, &options);
        let (next, next_served) = join(connecting, there.server.accept_client()).await;
        let (mut next, mut next_served) = (next.unwrap(), next_served.unwrap());
        assert!(once(next.recv_info(&mut info)).await.is_pending());
        assert!(once(next_served.recv_info(&mut info)).await.is_pending());
        drop(dead);
        let (asked, answered) = join(
            async {
                next.send_info(b"asked").await.unwrap();
                next.recv_info(&mut info).await.unwrap()
            },
            async {
                let came = next_served.recv_info(&mut Vec::new()).await.unwrap();
                next_served.send_info(b"answered").await.unwrap();
                came
            },
        )
        .await;
        assert!(asked && answered);
    }
}

/// A task that waits for messages learns that its other half has died.
async fn the_other_half_is_told<R: Runtime, T: Transport>() {
    let mut there = house::<R, Faulty<T>>().await;
    let (client, served) = doomed(&mut there).await;
    let (mut sender, mut receiver) = client.split();
    let mut info = Vec::new();
    let (received, sent) = join(receiver.recv_info(&mut info), sender.send_info(&[1; 3000])).await;
    gone(&received);
    gone(&sent);
    drop(served);
}

fn everywhere<F: Future>(test: impl Fn() -> F, run: impl Fn(F)) {
    (0..5).for_each(|_| run(test()));
}

macro_rules! rows {
    ($($module:ident: $transport:ty),*) => {
        $(mod $module {
            use super::*;

            #[test]
            fn numbers_are_used_again() {
                watched("numbers_are_used_again", || {
                    everywhere(super::numbers_are_used_again::<Tokio, $transport>, Tokio::run);
                    everywhere(super::numbers_are_used_again::<Smol, $transport>, Smol::run);
                });
            }

            #[test]
            fn the_other_half_is_told() {
                watched("the_other_half_is_told", || {
                    everywhere(super::the_other_half_is_told::<Tokio, $transport>, Tokio::run);
                    everywhere(super::the_other_half_is_told::<Smol, $transport>, Smol::run);
                });
            }
        })*
    };
}

rows! {
    unix: transport_unix::Unix,
    seqpacket: transport_unix::seqpacket::Seqpacket,
    dgram: transport_unix::dgram::Dgram,
    fifo: transport_fifo::Fifo,
    inproc: transport_inproc::Inproc
}
