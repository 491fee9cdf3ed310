//! Posts that came at the same time are committed together: the disk is waited for once.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use tokio::sync::{mpsc, oneshot};

use crate::{
    author::Author,
    store::{Message, Store, StoreError},
};

/// Why a board does not do what was asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    AuthorHasTooMany,
    Full,
    Unavailable,
}

/// The board, for those who post and read.
#[derive(Clone)]
pub struct Board(mpsc::Sender<Request>);

enum Request {
    Post(Message, oneshot::Sender<Result<(), Refusal>>),
    Recent(oneshot::Sender<Result<Arc<[u8]>, Refusal>>),
}

/// How many requests may wait, and how many of them are served together at most.
const MOST: usize = 1024;

impl Board {
    /// One thread has the database. It ends when nobody has the board any more.
    pub fn kept_by_a_thread(store: Store) -> Result<(Self, Keeper), StoreError> {
        let (board, requests) = mpsc::channel(MOST);
        let thread = thread::Builder::new().name("board".into()).spawn(move || keep(store, requests));
        Ok((Self(board), Keeper(thread.map_err(StoreError::Thread)?)))
    }

    /// Once this is `Ok`, the message is on the disk.
    pub async fn post(&self, text: String, author: Author) -> Result<(), Refusal> {
        self.ask(|answer| Request::Post(Message { text, author }, answer)).await
    }

    /// The most recent messages, as they are sent.
    pub async fn recent(&self) -> Result<Arc<[u8]>, Refusal> {
        self.ask(Request::Recent).await
    }

    async fn ask<R>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<R, Refusal>>) -> Request,
    ) -> Result<R, Refusal> {
        let (answer, answered) = oneshot::channel();
        // There is no thread any more only if it has panicked.
        self.0.send(request(answer)).await.map_err(|_| Refusal::Unavailable)?;
        answered.await.unwrap_or(Err(Refusal::Unavailable))
    }
}

/// The thread that has the database.
pub struct Keeper(JoinHandle<Result<(), StoreError>>);

impl Keeper {
    /// Waits until all that was asked is done and the database is closed.
    pub fn end(self) -> Result<(), StoreError> {
        self.0.join().unwrap_or(Err(StoreError::Panicked))
    }
}

fn keep(mut store: Store, mut requests: mpsc::Receiver<Request>) -> Result<(), StoreError> {
    let mut waiting = Vec::new();
    while requests.blocking_recv_many(&mut waiting, MOST) > 0 {
        serve(&mut store, waiting.drain(..));
    }
    store.close()
}

/// Posts first: who reads at the same time sees them.
fn serve(store: &mut Store, requests: impl Iterator<Item = Request>) {
    let (mut messages, mut authors, mut readers) = (Vec::new(), Vec::new(), Vec::new());
    for request in requests {
        match request {
            Request::Post(message, answer) => {
                messages.push(message);
                authors.push(answer);
            }
            Request::Recent(answer) => readers.push(answer),
        }
    }
    // Whoever has left by now is not told.
    if !messages.is_empty() {
        for (answer, kept) in authors.into_iter().zip(store.keep(&messages)) {
            let _ = answer.send(kept);
        }
    }
    if !readers.is_empty() {
        let recent = store.recent().map(|list| Arc::from(format!("MSG{list}").into_bytes()));
        for answer in readers {
            let _ = answer.send(recent.clone());
        }
    }
}
