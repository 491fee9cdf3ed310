//! The file: how it is opened, what makes commits durable, and what is in it.

use std::{fs::File, os::unix::fs::OpenOptionsExt, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::errors::Why;

/// In the header of the file: it is a board's. "hobb" in ASCII.
const APPLICATION: i32 = 0x686f_6262;
const VERSION: i32 = 1;

const TABLES: &str = "
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY,
        text TEXT NOT NULL,
        uid INTEGER,
        pid INTEGER,
        address TEXT,
        posted_at REAL NOT NULL
    ) STRICT;
    CREATE TABLE authors (account TEXT PRIMARY KEY, messages INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

pub fn open(path: &Path, mebibytes: u32) -> Result<Connection, Why> {
    make(path)?;
    // Absolute, since SQLite takes some other names for something else than files.
    let path = std::path::absolute(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    // Who has it now keeps it.
    connection.busy_timeout(Duration::ZERO)?;
    let is_new = look(&connection)?;
    make_durable(&connection)?;
    if is_new {
        make_tables(&mut connection)?;
    }
    let pages = i64::from(mebibytes) * (1 << 20)
        / connection.pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0))?;
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    Ok(connection)
}

/// For this user alone: what is in it is not for those who may not connect.
fn make(path: &Path) -> Result<(), Why> {
    File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    Ok(())
}

/// Whose it is, before anything is changed. EXCLUSIVE keeps the lock from here on, so that a second server is refused
/// (<https://sqlite.org/pragma.html#pragma_locking_mode>); the kernel releases it when this process is gone.
fn look(connection: &Connection) -> Result<bool, Why> {
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let objects: u32 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (number("application_id")?, number("user_version")?) {
        (APPLICATION, VERSION) => Ok(false),
        (0, 0) if objects == 0 => Ok(true),
        (APPLICATION, version) => Err(Why::OtherVersion(version)),
        _ => Err(Why::NotABoard),
    }
}

/// With a write-ahead log a commit is one write and one fsync(2), and with FULL that has happened when the commit
/// returns; with NORMAL it could be lost with the power (<https://sqlite.org/pragma.html#pragma_synchronous>).
fn make_durable(connection: &Connection) -> Result<(), Why> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Why::NoLog(mode));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(())
}

fn make_tables(connection: &mut Connection) -> Result<(), Why> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}
