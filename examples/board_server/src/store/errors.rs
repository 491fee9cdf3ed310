//! What can be wrong with the file, in words.

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database {}: {why}", path.display())]
    Opening { path: PathBuf, why: Why },
    #[error("closing the database: {0}")]
    Closing(rusqlite::Error),
    #[error("the thread that keeps the board: {0}")]
    Thread(io::Error),
    #[error("the thread that keeps the board panicked")]
    Panicked,
}

impl StoreError {
    pub fn opening(path: &Path, why: Why) -> Self {
        Self::Opening { path: path.to_owned(), why }
    }
}

/// Why it cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    #[error("{0}; expected a file that this user may read and write, or a directory to make it in")]
    File(#[from] io::Error),
    #[error("{}", in_words(.0))]
    Database(#[from] rusqlite::Error),
    #[error("its journal mode stays {0}; expected a file system on which SQLite can have a write-ahead log")]
    NoLog(String),
    #[error("it is another program's; expected a board's, or a file that is not there yet")]
    NotABoard,
    #[error("it is a board of version {0}; expected version 1")]
    OtherVersion(i32),
}

fn in_words(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process has it open; expected a board of its own for each server".to_owned()
        }
        Some(ErrorCode::NotADatabase) => {
            "it is no SQLite database; expected one, or a file that is not there yet".to_owned()
        }
        _ => error.to_string(),
    }
}
