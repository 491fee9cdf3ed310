//! A future can be dropped at any of its awaits: nothing is lost, nothing comes twice, and the conversation goes on.
#![cfg(all(feature = "tokio", feature = "smol"))]
#![allow(clippy::unwrap_used)]

use std::{
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use conformance::{Stage, Subject, watched};
use futures_util::future::join;
use ipc_async::{Runtime, Smol, Tokio};
use ipc_core::Transport;
use transport_faulty::Faulty;

type Connection<R, T> = ipc_async::Connection<R, ipc_core::Connection<T>>;

/// A future that is dropped after so many polls that did not end it.
struct Brief<'a, F>(Pin<&'a mut F>, u32);

impl<F: Future> Future for Brief<'_, F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        if self.1 == 0 {
            return Poll::Ready(None);
        }
        self.1 -= 1;
        match self.0.as_mut().poll(cx) {
            Poll::Pending if self.1 == 0 => Poll::Ready(None),
            polled => Poll::Ready(Some(ready!(polled))),
        }
    }
}

async fn brief<F: Future>(polls: u32, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    Brief(future.as_mut(), polls).await
}

/// After 0, 1, 2 and more polls, and after few ones again.
fn polls() -> impl Iterator<Item = u32> {
    (0..30).cycle()
}

/// Another one for each number, and its number can be read from it.
fn message(number: u32) -> Vec<u8> {
    let size = number as usize * 7919 % 150_000;
    let body = (0..size).map(|at| (at as u32 ^ number).wrapping_mul(31) as u8);
    number.to_le_bytes().into_iter().chain(body).collect()
}

/// Of tries that are given up again and again, until so many were seen to be done; the goodbye likewise.
async fn send<R: Runtime, T: Transport>(connection: &mut Connection<R, T>) -> Vec<u32> {
    let mut done = Vec::new();
    for (number, polls) in (0..).zip(polls()) {
        if let Some(sent) = brief(polls, connection.send_info(&message(number))).await {
            sent.unwrap();
            done.push(number);
        }
        if done.len() == 60 {
            break;
        }
    }
    for polls in polls() {
        if let Some(left) = brief(polls, connection.disconnect_from()).await {
            left.unwrap();
            break;
        }
    }
    done
}

/// The numbers of what came, to the goodbye.
async fn receive<R: Runtime, T: Transport>(connection: &mut Connection<R, T>) -> Vec<u32> {
    let (mut came, mut info) = (Vec::new(), vec![1, 2, 3]);
    for polls in polls() {
        let before = info.clone();
        match brief(polls, connection.recv_info(&mut info)).await {
            None => assert!(info == before, "one that was given up has left something"),
            Some(more) => {
                if !more.unwrap() {
                    break;
                }
                let number = u32::from_le_bytes(*info.first_chunk().unwrap());
                assert!(info == message(number), "message {number} is not as it was sent");
                came.push(number);
            }
        }
    }
    came
}

/// Each once and in order, all that were seen to leave among them, and none that was not accepted.
fn compare(done: &[u32], came: &[u32], accepted: u64) {
    assert!(came.is_sorted_by(|one, next| one < next), "{came:?}");
    let lost: Vec<_> = done.iter().filter(|number| !came.contains(number)).collect();
    assert!(lost.is_empty(), "sent and lost: {lost:?}");
    assert_eq!(came.len() as u64, accepted, "accepted and lost, or sent and not accepted");
}

async fn converse<R: Runtime, T: Transport>() {
    let stage = Stage::<Faulty<T>>::new();
    let mut server = ipc_async::Server::<R, _>::new(stage.server());
    let options = stage.client_options();
    let connects = async {
        for polls in polls() {
            let connecting = Connection::<R, Faulty<T>>::connect_with(&stage.address, &options);
            if let Some(connected) = brief(polls, connecting).await {
                return connected.unwrap();
            }
        }
        unreachable!("it goes on for ever")
    };
    let accepts = async {
        for polls in polls() {
            if let Some(accepted) = brief(polls, server.accept_client()).await {
                return accepted.unwrap();
            }
        }
        unreachable!("it goes on for ever")
    };
    let (mut client, mut served) = join(connects, accepts).await;
    let (done, came) = join(send(&mut client), receive(&mut served)).await;
    let (answered, heard) = join(send(&mut served), receive(&mut client)).await;
    let traffic = |connection: Connection<R, Faulty<T>>| Faulty::<T>::traffic(connection.into_inner());
    let (client, served) = (traffic(client), traffic(served));
    compare(&done, &came, client.0.messages);
    compare(&answered, &heard, served.0.messages);
    assert_eq!((client.1.messages, served.1.messages), (heard.len() as u64, came.len() as u64));
}

/// A dropped connect is a client that died in the handshake; each that was not comes in once.
async fn knock<R: Runtime, T: Transport>() {
    let stage = Stage::<Faulty<T>>::new();
    let mut server = ipc_async::Server::<R, _>::new(stage.server());
    let (options, stop) = (stage.client_options(), server.stop_handle().unwrap());
    let connects = async {
        let mut clients = Vec::new();
        for polls in (0..12).cycle().take(120) {
            let connecting = Connection::<R, Faulty<T>>::connect_with(&stage.address, &options);
            clients.extend(brief(polls, connecting).await.map(Result::unwrap));
        }
        stop.stop();
        clients
    };
    let accepts = async {
        let mut served = Vec::new();
        for polls in (1..8).cycle() {
            match brief(polls, server.accept_client()).await {
                None => {}
                Some(Ok(client)) => served.push(client),
                Some(Err(_)) => break,
            }
        }
        // A stop ends waits; who is through may still come in.
        while let Ok(client) = server.accept_client_by(ipc_core::Deadline::Now).await {
            served.push(client);
        }
        served
    };
    let (clients, served) = join(connects, accepts).await;
    assert!(!clients.is_empty());
    assert_eq!(clients.len(), served.len(), "a client was lost between two futures");
}

fn on_both<F: Future, G: Future>(name: &'static str, tokio: impl Fn() -> F, smol: impl Fn() -> G) {
    watched(name, || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(tokio());
        smol::block_on(smol());
    });
}

macro_rules! rows {
    ($($module:ident: $transport:ty),*) => {
        $(mod $module {
            use super::*;

            #[test]
            fn a_conversation_survives_every_drop() {
                on_both("converse", converse::<Tokio, $transport>, converse::<Smol, $transport>);
            }

            #[test]
            fn no_client_is_lost_between_two_futures() {
                on_both("knock", knock::<Tokio, $transport>, knock::<Smol, $transport>);
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
