//! Which store.

use std::path::PathBuf;

use super::RedisSettings;

/// A store, and what it wants to know.
#[derive(Clone, Debug)]
pub enum StoreSpec {
    /// Gone with the process: tests and demonstrations.
    Memory,
    /// A SQLite file on a local disk. Its write-ahead log does not work on a network file system.
    Sqlite(PathBuf),
    /// Redis or Valkey: of several proxies.
    Redis(RedisSettings),
}
