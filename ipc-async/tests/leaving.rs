//! A half that waits until what it has sent has arrived takes no wake-up from the half that receives meanwhile.
#![cfg(all(target_os = "linux", not(hobnob_portable), feature = "tokio", feature = "smol"))]
#![allow(clippy::unwrap_used)]

mod both;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Wake, Waker},
};

use both::{Fresh, House, house, once};
use conformance::watched;
use ipc_async::{Smol, Tokio};
use transport_tcp::Tcp;

/// A task that is told.
#[derive(Default)]
struct Told(AtomicBool);

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

async fn the_other_half_is_told<R: Fresh>() {
    let House { mut client, mut served, .. } = house::<R, Tcp>().await;
    // Its descriptor is watched: that is what both halves share.
    assert!(once(client.recv_info(&mut Vec::new())).await.is_pending());
    let (mut sender, mut receiver) = client.split();
    // Our kernel takes it, and the peer's does not before it is read.
    sender.send_info(&[1; 1 << 20]).await.unwrap();
    let (told, mut info) = (Arc::<Told>::default(), Vec::new());
    let receiving = Waker::from(told.clone());
    let mut receives = pin!(receiver.recv_info(&mut info));
    assert!(receives.as_mut().poll(&mut Context::from_waker(&receiving)).is_pending());
    let leaving = Waker::from(Arc::<Told>::default());
    let mut leaves = pin!(sender.disconnect_from());
    assert!(leaves.as_mut().poll(&mut Context::from_waker(&leaving)).is_pending());
    served.send_info(b"meanwhile").await.unwrap();
    while !told.0.load(SeqCst) {
        smol::future::yield_now().await;
    }
    assert!(receives.await.unwrap(), "a message");
    let mut came = Vec::new();
    assert!(served.recv_info(&mut came).await.unwrap() && came == [1; 1 << 20]);
    assert!(!served.recv_info(&mut came).await.unwrap());
    leaves.await.unwrap();
}

#[test]
fn a_half_that_leaves_takes_no_wake_up_from_the_other() {
    watched("a_half_that_leaves_takes_no_wake_up_from_the_other", || {
        Tokio::run(the_other_half_is_told::<Tokio>());
        Smol::run(the_other_half_is_told::<Smol>());
    });
}
