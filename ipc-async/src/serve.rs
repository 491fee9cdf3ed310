//! A whole server in one call: a task for each client, and an orderly end.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use atomic_waker::AtomicWaker;
use ipc_core::{Deadline, ErrorKind, IpcServer, Result, Served};
use pin_project_lite::pin_project;

use crate::{Connection, Runtime, Server, ender::Ender, waiter::Timer};

/// Takes clients in and gives each a task that runs `handler`, until the server's
/// [`StopHandle`](ipc_core::StopHandle) is pulled. There are never more tasks than the server admits clients; one more
/// client is told `Busy`.
///
/// When stopped, the name is given back at once. Handlers get what their clients had already sent; the first receive
/// or send that would have to wait returns `Stopped`. Handlers that are not done within `drain` have every further
/// call answered with `Stopped`, and after another tenth of it are left behind.
///
/// A handler that returns an error or panics ends its own connection only. Handlers have the connection: one that drops it
/// says goodbye if there is room for that at once; `disconnect_from` waits for the room.
///
/// # Errors
/// A failure of the listener itself.
pub async fn serve<R, S, H, F>(mut server: Server<R, S>, drain: Duration, handler: H) -> Result<Served>
where
    R: Runtime,
    S: IpcServer,
    H: Fn(Connection<R, S::Client>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let _stop = server.stop_handle()?;
    let (running, mut clients) = (Arc::new(Running::default()), 0);
    let ended = loop {
        match server.accept_client_by(Deadline::Forever).await {
            Ok(mut client) => {
                clients += 1;
                let place = Running::enter(&running);
                client.end_with(&place.ender);
                // It may panic before there is a future.
                match catch_unwind(AssertUnwindSafe(|| handler(client))) {
                    Ok(handler) => R::spawn(Handling { handler, place }),
                    Err(_) => log::warn!("a client's handler panicked"),
                }
            }
            Err(error) if *error.kind() == ErrorKind::Stopped => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    log::debug!("{}: {} clients left, drained within {drain:?}", server.address(), running.count());
    server.destroy_server()?;
    running.tell(Ender::drain);
    if running.wait::<R>(drain).await? > 0 {
        running.tell(Ender::stop);
    }
    let abandoned = running.wait::<R>(drain / 10).await?;
    ended.map(|()| Served::new(clients, abandoned, server.stats()))
}

pin_project! {
    /// Runs a handler to its end, however it ends. As an async function it would have room for the handler twice.
    struct Handling<F> {
        #[pin]
        handler: F,
        place: Place,
    }
}

impl<F: Future<Output = Result<()>>> Future for Handling<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let handler = self.project().handler;
        // What a handler leaves half-done is dropped with it.
        match catch_unwind(AssertUnwindSafe(|| handler.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Err(error))) if *error.kind() != ErrorKind::Stopped => {
                log::debug!("a client's handler ended: {error}")
            }
            Ok(Poll::Ready(_)) => {}
            Err(_) => log::warn!("a client's handler panicked"),
        }
        Poll::Ready(())
    }
}

/// The handlers that are running.
#[derive(Default)]
struct Running {
    count: AtomicUsize,
    enders: Mutex<Vec<Weak<Ender>>>,
    fewer: AtomicWaker,
}

/// One running handler.
struct Place {
    running: Arc<Running>,
    ender: Arc<Ender>,
}

impl Running {
    fn enter(running: &Arc<Self>) -> Place {
        let ender = Ender::new();
        let mut enders = running.enders();
        // As many are forgotten as are kept, so that this costs little on average.
        if enders.len() == enders.capacity() {
            enders.retain(|ender| ender.strong_count() > 0);
            let room = enders.len() + 8;
            enders.reserve(room);
        }
        enders.push(Arc::downgrade(&ender));
        running.count.fetch_add(1, SeqCst);
        Place { running: running.clone(), ender }
    }

    fn enders(&self) -> MutexGuard<'_, Vec<Weak<Ender>>> {
        // A list is whole at every instant.
        self.enders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) -> usize {
        self.count.load(SeqCst)
    }

    fn tell(&self, what: impl Fn(&Ender)) {
        self.enders().iter().filter_map(Weak::upgrade).for_each(|ender| what(&ender));
    }

    /// Waits until none is left or the time is over, and says how many are left.
    async fn wait<R: Runtime>(&self, span: Duration) -> Result<usize> {
        let (ends, mut timer) = (Instant::now().checked_add(span), Timer::<R>::new());
        poll_fn(|cx| {
            self.fewer.register(cx.waker());
            let is_over = self.count() == 0 || timer.is_over(cx, ends)?;
            if is_over { Poll::Ready(Ok(self.count())) } else { Poll::Pending }
        })
        .await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.running.count.fetch_sub(1, SeqCst) == 1 {
            self.running.fewer.wake();
        }
    }
}
