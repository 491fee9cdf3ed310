//! The database.

mod errors;
mod schema;

use std::path::Path;

use rusqlite::{Connection, ErrorCode, Statement, Transaction, params};

pub use self::errors::StoreError;
use crate::{author::Author, board::Refusal, literal};

/// A board in a file that no other process has.
pub struct Store {
    connection: Connection,
    limits: Limits,
}

/// What a board keeps at most, and shows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many messages it shows.
    pub recent: u32,
    /// How many messages it keeps of one author.
    pub per_author: u32,
    /// How large the file may become.
    pub mebibytes: u32,
}

/// A message that is to be kept.
pub struct Message {
    pub text: String,
    pub author: Author,
}

impl Store {
    /// Opens the file, or makes it for this user alone.
    pub fn open(path: &Path, limits: Limits) -> Result<Self, StoreError> {
        let connection =
            schema::open(path, limits.mebibytes).map_err(|why| StoreError::opening(path, why))?;
        Ok(Self { connection, limits })
    }

    /// Keeps messages, all of them by one commit. Once this returns, those that were kept are on the disk.
    pub fn keep(&mut self, messages: &[Message]) -> Vec<Result<(), Refusal>> {
        self.try_keep(messages).unwrap_or_else(|error| {
            log::warn!("{} messages were not kept: {error}", messages.len());
            let is_full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
            let refusal = if is_full { Refusal::Full } else { Refusal::Unavailable };
            vec![Err(refusal); messages.len()]
        })
    }

    fn try_keep(&mut self, messages: &[Message]) -> rusqlite::Result<Vec<Result<(), Refusal>>> {
        // Dropped without a commit, it is taken back.
        let transaction = self.connection.transaction()?;
        let kept = Insertion::new(&transaction, self.limits.per_author)?.all(messages)?;
        transaction.commit()?;
        Ok(kept)
    }

    /// The most recent messages, the oldest of them first, as a list that Python reads.
    pub fn recent(&self) -> Result<String, Refusal> {
        self.try_recent().map_err(|error| {
            log::warn!("the messages cannot be read: {error}");
            Refusal::Unavailable
        })
    }

    fn try_recent(&self) -> rusqlite::Result<String> {
        let mut newest =
            self.connection.prepare("SELECT id, text FROM messages ORDER BY id DESC LIMIT ?1")?;
        let rows = newest.query_map([self.limits.recent], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let messages = rows.collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
        Ok(literal::list(messages.iter().rev().map(|(id, text)| (*id, text.as_str()))))
    }

    /// Takes what was committed from the log to the file itself, and lets go of it.
    pub fn close(self) -> Result<(), StoreError> {
        self.connection.close().map_err(|(_, why)| StoreError::Closing(why))
    }
}

/// The statements of one transaction.
struct Insertion<'a> {
    count: Statement<'a>,
    insert: Statement<'a>,
    per_author: u32,
}

impl<'a> Insertion<'a> {
    fn new(transaction: &'a Transaction<'_>, per_author: u32) -> rusqlite::Result<Self> {
        let count = transaction.prepare(
            "INSERT INTO authors (account, messages) VALUES (?1, 1)
             ON CONFLICT (account) DO UPDATE SET messages = messages + 1 WHERE messages < ?2",
        )?;
        let insert = transaction.prepare(
            "INSERT INTO messages (text, uid, pid, address, posted_at) VALUES (?1, ?2, ?3, ?4, unixepoch('subsec'))",
        )?;
        Ok(Self { count, insert, per_author })
    }

    fn all(&mut self, messages: &[Message]) -> rusqlite::Result<Vec<Result<(), Refusal>>> {
        messages.iter().map(|message| self.one(message)).collect()
    }

    fn one(&mut self, Message { text, author }: &Message) -> rusqlite::Result<Result<(), Refusal>> {
        if self.count.execute(params![author.account(), self.per_author])? == 0 {
            return Ok(Err(Refusal::AuthorHasTooMany));
        }
        let address = author.address.map(|address| address.to_string());
        self.insert.execute(params![text, author.uid, author.pid, address])?;
        Ok(Ok(()))
    }
}
