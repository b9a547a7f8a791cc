//! Records by name: what is worth keeping over restarts beside lanes.

use rusqlite::params;

use super::lanes::Database;
use super::schema::error;
use crate::store::StoreError;

impl Database {
    pub fn kept(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let read = || -> rusqlite::Result<Vec<String>> {
            // Not LIKE, to which `_` and `%` in a name mean something.
            let select = "SELECT record FROM kept WHERE substr(name, 1, length(?1)) = ?1";
            let mut select = self.connection.prepare_cached(select)?;
            select.query_map([prefix], |row| row.get(0))?.collect()
        };
        read().map_err(|e| error(&e))
    }

    pub fn keep(&mut self, records: &[(String, Option<String>)]) -> Result<(), StoreError> {
        self.write(|t| {
            for (name, record) in records {
                match record {
                    Some(record) => t
                        .prepare_cached("INSERT OR REPLACE INTO kept VALUES (?1, ?2)")?
                        .execute(params![name, record])?,
                    None => {
                        t.prepare_cached("DELETE FROM kept WHERE name = ?1")?.execute([name])?
                    }
                };
            }
            Ok(())
        })
    }
}
