//! Which renditions are wanted: by viewers of any process that has the file.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::lanes::{Database, changed, find, next_revision, to_i64};
use super::schema::error;
use crate::model::names::{LaneId, UnixMs};
use crate::store::StoreError;
use crate::store::text::read_header;

impl Database {
    pub fn want(
        &mut self,
        lane: &LaneId,
        renditions: &[usize],
        now: UnixMs,
        within: Duration,
    ) -> Result<Vec<usize>, StoreError> {
        let Some(row) = find(&self.connection, lane)? else {
            return Err(StoreError::NoLane(lane.clone()));
        };
        let (at, since) = (to_i64(now.0)?, to_i64(now.minus(within).0)?);
        let known = if renditions.is_empty() { 0 } else { self.renditions(lane, row.number)? };
        let noted = renditions.iter().filter(|r| **r < known).map(|r| to_i64(*r as u64));
        let noted = noted.collect::<Result<Vec<i64>, _>>()?;
        let mut new = false;
        let wanted: Vec<i64> = self.write(|t| {
            for rendition in &noted {
                let select = "SELECT at FROM wanted WHERE lane = ?1 AND rendition = ?2";
                let before: Option<i64> = t
                    .prepare_cached(select)?
                    .query_row([row.number, *rendition], |row| row.get(0))
                    .optional()?;
                new |= before.is_none_or(|before| before < since);
                t.prepare_cached("INSERT OR REPLACE INTO wanted VALUES (?1, ?2, ?3)")?
                    .execute(params![row.number, rendition, at])?;
            }
            if new {
                let revision = next_revision(t)?;
                t.execute(
                    "UPDATE lanes SET revision = ?2 WHERE number = ?1",
                    [row.number, revision],
                )?;
            }
            t.prepare_cached(
                "SELECT rendition FROM wanted WHERE lane = ?1 AND at >= ?2 ORDER BY rendition",
            )?
            .query_map([row.number, since], |row| row.get(0))?
            .collect()
        })?;
        if new {
            // Whoever has its tail has to look all the same.
            self.tell(Some(changed(lane, None)));
        }
        Ok(wanted.into_iter().filter_map(|r| usize::try_from(r).ok()).collect())
    }

    /// How many the header has.
    fn renditions(&self, lane: &LaneId, number: i64) -> Result<usize, StoreError> {
        let text: String = self
            .connection
            .prepare_cached("SELECT header FROM lanes WHERE number = ?1")
            .and_then(|mut select| select.query_row([number], |row| row.get(0)))
            .map_err(|e| error(&e))?;
        Ok(read_header(lane, &text)?.renditions.len())
    }
}
