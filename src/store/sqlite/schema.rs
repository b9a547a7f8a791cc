//! The SQLite file: its layout, how it is opened, and which files are refused.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use crate::store::StoreError;

/// The layout written and read here (`PRAGMA user_version`).
const SCHEMA_VERSION: i64 = 1;
/// How long a transaction waits for another process's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);
/// The write-ahead log is cut back to this many bytes once it was worked off.
const JOURNAL_BYTES_MAX: i64 = 16 << 20;

// `revision` orders changes, so that another process's are found without reading all lanes.
const SCHEMA: &str = "
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters VALUES ('revision', 0), ('expired', 0);
CREATE TABLE lanes (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  pool TEXT NOT NULL, path TEXT NOT NULL, query TEXT NOT NULL,
  header TEXT NOT NULL,
  opened_at INTEGER NOT NULL,
  first_msn INTEGER NOT NULL,
  tail INTEGER,
  last_at INTEGER NOT NULL,
  revision INTEGER NOT NULL);
CREATE INDEX lanes_by_stream ON lanes (pool, path, query);
CREATE INDEX lanes_by_revision ON lanes (revision);
CREATE TABLE steps (
  lane INTEGER NOT NULL REFERENCES lanes (number) ON DELETE CASCADE,
  msn INTEGER NOT NULL,
  step TEXT NOT NULL,
  PRIMARY KEY (lane, msn)) WITHOUT ROWID;
CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE targets (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  pool TEXT NOT NULL, path TEXT NOT NULL, query TEXT NOT NULL,
  seconds INTEGER NOT NULL,
  UNIQUE (pool, path, query));
";

/// What came later and whoever does not know it may leave alone: the layout keeps its number, so that
/// an older Segue still opens the file.
const ADDED: &str = "
CREATE TABLE IF NOT EXISTS drained (
  packager TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept (
  name TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS wanted (
  lane INTEGER NOT NULL REFERENCES lanes (number) ON DELETE CASCADE,
  rendition INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (lane, rendition)) WITHOUT ROWID;
";

/// A `StoreError` of what SQLite says: a damaged file cannot be read, all else may pass.
pub fn error(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Unreadable(error.to_string())
        }
        _ => match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..) => StoreError::Unreadable(error.to_string()),
            _ => StoreError::Unreachable(error.to_string()),
        },
    }
}

/// Opens or makes the file, laid out as above.
pub fn open(path: &Path) -> Result<Connection, StoreError> {
    make_private(path)?;
    let mut connection = Connection::open(path).map_err(|e| error(&e))?;
    set_up(&connection).map_err(|e| error(&e))?;
    lay_out(&mut connection)?;
    Ok(connection)
}

/// Makes the file, if there is none, for its owner alone; SQLite gives its companions the same mode.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(StoreError::Unreachable(format!("{}: {e}", path.display()))),
    }
}

// Sleeps where nobody is served yet: the store is opened before the first listener.
#[allow(clippy::disallowed_methods)]
fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // SQLite does not wait for others by itself when two processes change a new file's mode.
    let begun = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(e) if is_busy(&e) && begun.elapsed() < BUSY_TIMEOUT => {
                thread::sleep(Duration::from_millis(10));
            }
            other => break other?,
        }
    }
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES_MAX)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn lay_out(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|e| error(&e))?;
    let version: i64 = transaction
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|e| error(&e))?;
    match version {
        SCHEMA_VERSION => return add(transaction).map_err(|e| error(&e)),
        0 => {}
        _ => {
            return Err(StoreError::Unreadable(format!(
                "the file has layout {version}, written by a newer Segue; \
                 this one knows layouts up to {SCHEMA_VERSION}"
            )));
        }
    }
    let tables: i64 = transaction
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|e| error(&e))?;
    if tables > 0 {
        return Err(StoreError::Unreadable("the file is another program's database".into()));
    }
    transaction
        .execute_batch(SCHEMA)
        .and_then(|()| transaction.pragma_update(None, "user_version", SCHEMA_VERSION))
        .and_then(|()| add(transaction))
        .map_err(|e| error(&e))
}

fn add(transaction: Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(ADDED)?;
    transaction.commit()
}
