//! What is read from and written to the SQLite file: one transaction each.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio::sync::broadcast;

use super::schema::error;
use crate::model::lane::{Header, Step};
use crate::model::names::{LaneId, OutputMsn, PackagerId, StreamKey, UnixMs};
use crate::store::text::{damaged, read_header, read_step, to_text};
use crate::store::{Appended, Change, Changed, StoreError, StoredLane, TARGETS_MAX, refuse_hole};

/// The open file, used by one thread.
pub struct Database {
    pub(super) connection: Connection,
    changes: broadcast::Sender<Change>,
    /// Rises when another connection has written.
    data_version: i64,
    /// Changes up to this revision were told.
    revision: i64,
    /// Lanes expired so far, by whichever process.
    expired: i64,
}

/// A lane's row, without the header's text.
pub(super) struct Row {
    pub(super) number: i64,
    first_msn: OutputMsn,
    pub(super) tail: Option<OutputMsn>,
}

impl Database {
    pub fn new(
        connection: Connection,
        changes: broadcast::Sender<Change>,
    ) -> Result<Self, StoreError> {
        let mut database = Self { connection, changes, data_version: 0, revision: 0, expired: 0 };
        let read = |db: &Self| -> rusqlite::Result<(i64, i64, i64)> {
            Ok((db.data_version()?, db.counter("revision")?, db.counter("expired")?))
        };
        (database.data_version, database.revision, database.expired) =
            read(&database).map_err(|e| error(&e))?;
        Ok(database)
    }

    pub fn create(&mut self, header: &Header) -> Result<Header, StoreError> {
        let text = to_text(header)?;
        let (opened_at, first_msn) = (to_i64(header.opened_at.0)?, to_i64(header.first_msn.0)?);
        let stream = &header.stream;
        let write = |t: &Transaction<'_>| -> rusqlite::Result<(bool, String)> {
            let made = t.execute(
                "INSERT OR IGNORE INTO lanes
                   (id, pool, path, query, header, opened_at, first_msn, last_at, revision)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6,
                         (SELECT value + 1 FROM counters WHERE name = 'revision'))",
                params![
                    header.lane.as_str(),
                    stream.pool.as_str(),
                    &*stream.path,
                    &*stream.query,
                    text,
                    opened_at,
                    first_msn
                ],
            )? > 0;
            if made {
                next_revision(t)?;
            }
            let select = "SELECT header FROM lanes WHERE id = ?1";
            Ok((made, t.query_row(select, [header.lane.as_str()], |row| row.get(0))?))
        };
        let (made, standing) = self.write(write)?;
        if made {
            self.tell(Some(changed(&header.lane, None)));
        }
        read_header(&header.lane, &standing)
    }

    pub fn load(&mut self, lane: &LaneId) -> Result<Option<StoredLane>, StoreError> {
        // One transaction, so that header, tail and steps are of one moment.
        let transaction = self.connection.transaction().map_err(|e| error(&e))?;
        let Some(row) = find(&transaction, lane)? else {
            return Ok(None);
        };
        let header: String = transaction
            .query_row("SELECT header FROM lanes WHERE number = ?1", [row.number], |r| r.get(0))
            .map_err(|e| error(&e))?;
        let steps = steps_after(&transaction, lane, &row, None)?;
        if steps.last().map(|s| s.msn) != row.tail {
            return Err(damaged(lane, "its tail is missing"));
        }
        Ok(Some(StoredLane { header: read_header(lane, &header)?, steps }))
    }

    pub fn append(
        &mut self,
        lane: &LaneId,
        expected_tail: Option<OutputMsn>,
        steps: &[Step],
    ) -> Result<Appended, StoreError> {
        let texts = steps.iter().map(|step| Ok((to_i64(step.msn.0)?, to_text(step)?)));
        let texts: Vec<(i64, String)> = texts.collect::<Result<_, StoreError>>()?;
        let Some(last) = steps.last() else { return Ok(Appended::Done) };
        let (tail, listed_at) = (to_i64(last.msn.0)?, to_i64(last.listed_at.0)?);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|e| error(&e))?;
        let Some(row) = find(&transaction, lane)? else {
            return Err(StoreError::NoLane(lane.clone()));
        };
        refuse_hole(row.first_msn, row.tail, expected_tail, lane, steps)?;
        if row.tail != expected_tail {
            let after = steps_after(&transaction, lane, &row, expected_tail)?;
            // Read back, not compared as text: an older version may have written it.
            return Ok(if after.starts_with(steps) {
                Appended::Done
            } else {
                Appended::Lost(after)
            });
        }
        let write = |t: &Transaction<'_>| -> rusqlite::Result<()> {
            let mut insert =
                t.prepare_cached("INSERT INTO steps (lane, msn, step) VALUES (?1, ?2, ?3)")?;
            for (msn, text) in &texts {
                insert.execute(params![row.number, msn, text])?;
            }
            let revision = next_revision(t)?;
            t.prepare_cached(
                "UPDATE lanes SET tail = ?2, last_at = ?3, revision = ?4 WHERE number = ?1",
            )?
            .execute(params![row.number, tail, listed_at, revision])?;
            Ok(())
        };
        write(&transaction).map_err(|e| error(&e))?;
        transaction.commit().map_err(|e| error(&e))?;
        self.tell(Some(changed(lane, Some(last.msn))));
        Ok(Appended::Done)
    }

    pub fn begin_again(
        &mut self,
        header: &Header,
        seen: Option<OutputMsn>,
    ) -> Result<bool, StoreError> {
        let text = to_text(header)?;
        let (opened_at, first_msn) = (to_i64(header.opened_at.0)?, to_i64(header.first_msn.0)?);
        let seen = seen.map(|seen| to_i64(seen.0)).transpose()?;
        let id = header.lane.as_str();
        let begun = self.write(|t| {
            let begun = t.execute(
                "UPDATE lanes SET header = ?2, opened_at = ?3, first_msn = ?4, tail = NULL, last_at = ?3,
                   revision = (SELECT value + 1 FROM counters WHERE name = 'revision')
                 WHERE id = ?1 AND tail IS ?5",
                params![id, text, opened_at, first_msn, seen],
            )? > 0;
            if begun {
                for had in ["steps", "wanted"] {
                    let of_lane = "lane = (SELECT number FROM lanes WHERE id = ?1)";
                    t.execute(&format!("DELETE FROM {had} WHERE {of_lane}"), [id])?;
                }
                next_revision(t)?;
            }
            Ok(begun)
        })?;
        if begun {
            self.tell(Some(changed(&header.lane, None)));
        }
        Ok(begun)
    }

    pub fn newer(
        &mut self,
        lane: &LaneId,
        tail: Option<OutputMsn>,
    ) -> Result<Vec<Step>, StoreError> {
        let transaction = self.connection.transaction().map_err(|e| error(&e))?;
        match find(&transaction, lane)? {
            Some(row) if row.tail > tail => steps_after(&transaction, lane, &row, tail),
            _ => Ok(Vec::new()),
        }
    }

    pub fn lanes_of(&mut self, stream: &StreamKey) -> Result<Vec<LaneId>, StoreError> {
        let read = || -> rusqlite::Result<Vec<LaneId>> {
            self.connection
                .prepare_cached(
                    "SELECT id FROM lanes WHERE pool = ?1 AND path = ?2 AND query = ?3
                     ORDER BY number",
                )?
                .query_map([stream.pool.as_str(), &*stream.path, &*stream.query], read_lane_id)?
                .collect()
        };
        read().map_err(|e| error(&e))
    }

    pub fn trim(&mut self, lane: &LaneId, keep_from: OutputMsn) -> Result<(), StoreError> {
        let keep_from = to_i64(keep_from.0)?;
        self.connection
            .prepare_cached(
                "DELETE FROM steps
                 WHERE lane = (SELECT number FROM lanes WHERE id = ?1)
                   AND msn < min(?2, (SELECT tail FROM lanes WHERE id = ?1))",
            )
            .and_then(|mut delete| delete.execute(params![lane.as_str(), keep_from]))
            .map_err(|e| error(&e))?;
        Ok(())
    }

    pub fn expire(&mut self, before: UnixMs) -> Result<u64, StoreError> {
        let before = to_i64(before.0)?;
        let gone = self.write(|t| {
            let gone: Vec<LaneId> = t
                .prepare_cached("DELETE FROM lanes WHERE last_at < ?1 RETURNING id")?
                .query_map([before], read_lane_id)?
                .collect::<rusqlite::Result<_>>()?;
            if !gone.is_empty() {
                t.execute("UPDATE counters SET value = value + 1 WHERE name = 'expired'", [])?;
            }
            Ok(gone)
        })?;
        let count = u64::try_from(gone.len()).unwrap_or(u64::MAX);
        for lane in &gone {
            self.tell(Some(changed(lane, None)));
        }
        Ok(count)
    }

    pub fn secret(&mut self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        self.write(|t| {
            t.execute("INSERT OR IGNORE INTO secrets VALUES (?1, ?2)", params![name, fresh])?;
            t.query_row("SELECT value FROM secrets WHERE name = ?1", [name], |row| row.get(0))
        })
    }

    pub fn target_duration(&mut self, stream: &StreamKey, seconds: u32) -> Result<u32, StoreError> {
        let kept = i64::try_from(TARGETS_MAX).unwrap_or(i64::MAX);
        self.write(|t| {
            let highest = t.query_row(
                "INSERT INTO targets (pool, path, query, seconds) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET seconds = max(seconds, excluded.seconds)
                 RETURNING seconds",
                params![stream.pool.as_str(), &*stream.path, &*stream.query, seconds],
                |row| row.get(0),
            )?;
            t.execute(
                "DELETE FROM targets WHERE number <= (SELECT max(number) FROM targets) - ?1",
                [kept],
            )?;
            Ok(highest)
        })
    }

    pub fn drained(&mut self) -> Result<BTreeMap<PackagerId, UnixMs>, StoreError> {
        let read = || -> rusqlite::Result<Vec<(String, i64)>> {
            let mut select =
                self.connection.prepare_cached("SELECT packager, since FROM drained")?;
            select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        let rows = read().map_err(|e| error(&e))?;
        let moment = |since| UnixMs(u64::try_from(since).unwrap_or_default());
        Ok(rows.into_iter().map(|(id, since)| (PackagerId::new(id), moment(since))).collect())
    }

    pub fn drain(
        &mut self,
        packager: &PackagerId,
        since: Option<UnixMs>,
    ) -> Result<(), StoreError> {
        let since = since.map(|since| to_i64(since.0)).transpose()?;
        self.write(|t| match since {
            Some(since) => t.execute(
                "INSERT OR IGNORE INTO drained VALUES (?1, ?2)",
                params![packager.as_str(), since],
            ),
            None => t.execute("DELETE FROM drained WHERE packager = ?1", [packager.as_str()]),
        })?;
        Ok(())
    }

    /// Tells what other processes changed since the last look. After an error the next look tells
    /// the same; whoever asks the store meanwhile hears of the error.
    pub fn look_for_changes(&mut self) -> rusqlite::Result<()> {
        let data_version = self.data_version()?;
        if data_version == self.data_version {
            return Ok(());
        }
        // Read before the lanes: what is written in between is told twice rather than not at all.
        let (revision, expired) = (self.counter("revision")?, self.counter("expired")?);
        let read = |row: &rusqlite::Row<'_>| {
            // One that is no number is of a damaged lane: whoever looks is told.
            let tail = row.get::<_, Option<i64>>(1)?.and_then(|tail| u64::try_from(tail).ok());
            Ok((read_lane_id(row)?, tail.map(OutputMsn)))
        };
        let lanes: Vec<(LaneId, Option<OutputMsn>)> = self
            .connection
            .prepare_cached("SELECT id, tail FROM lanes WHERE revision > ?1 ORDER BY revision")?
            .query_map([self.revision], read)?
            .collect::<rusqlite::Result<_>>()?;
        if expired != self.expired {
            self.tell(None);
        }
        for (lane, tail) in lanes {
            self.tell(Some(changed(&lane, tail)));
        }
        (self.data_version, self.revision, self.expired) = (data_version, revision, expired);
        Ok(())
    }

    fn data_version(&self) -> rusqlite::Result<i64> {
        self.connection.pragma_query_value(None, "data_version", |row| row.get(0))
    }

    fn counter(&self, name: &str) -> rusqlite::Result<i64> {
        self.connection
            .prepare_cached("SELECT value FROM counters WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
    }

    pub(super) fn write<T>(
        &mut self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let write = || {
            let immediate = TransactionBehavior::Immediate;
            let transaction = self.connection.transaction_with_behavior(immediate)?;
            let value = change(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        write().map_err(|e| error(&e))
    }

    pub(super) fn tell(&self, change: Change) {
        // An error means that nobody listens.
        let _ = self.changes.send(change);
    }
}

pub(super) fn changed(lane: &LaneId, tail: Option<OutputMsn>) -> Changed {
    Changed { lane: lane.clone(), tail }
}

pub(super) fn next_revision(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    transaction
        .prepare_cached(
            "UPDATE counters SET value = value + 1 WHERE name = 'revision' RETURNING value",
        )?
        .query_row([], |row| row.get(0))
}

fn read_lane_id(row: &rusqlite::Row<'_>) -> rusqlite::Result<LaneId> {
    Ok(LaneId::new(row.get::<_, String>(0)?))
}

pub(super) fn find(connection: &Connection, lane: &LaneId) -> Result<Option<Row>, StoreError> {
    let read = || {
        connection
            .prepare_cached("SELECT number, first_msn, tail FROM lanes WHERE id = ?1")?
            .query_row([lane.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()
    };
    let row: Option<(i64, i64, Option<i64>)> = read().map_err(|e| error(&e))?;
    let Some((number, first_msn, tail)) = row else {
        return Ok(None);
    };
    let first_msn = to_msn(lane, first_msn)?;
    let tail = tail.map(|t| to_msn(lane, t)).transpose()?;
    Ok(Some(Row { number, first_msn, tail }))
}

/// The steps after `after` (none: all), checked to be without holes.
fn steps_after(
    transaction: &Transaction<'_>,
    lane: &LaneId,
    row: &Row,
    after: Option<OutputMsn>,
) -> Result<Vec<Step>, StoreError> {
    let after = after.map_or(Ok(-1), |m| to_i64(m.0))?;
    let read = || -> rusqlite::Result<Vec<(i64, String)>> {
        transaction
            .prepare_cached(
                "SELECT msn, step FROM steps WHERE lane = ?1 AND msn > ?2 ORDER BY msn",
            )?
            .query_map([row.number, after], |r| Ok((r.get(0)?, r.get(1)?)))?
            .collect()
    };
    let mut steps: Vec<Step> = Vec::new();
    for (msn, text) in read().map_err(|e| error(&e))? {
        let step = read_step(lane, &text)?;
        let expected = steps.last().map_or(step.msn, |last| last.msn.next());
        if step.msn != to_msn(lane, msn)? || step.msn != expected {
            return Err(damaged(lane, "its steps have a hole"));
        }
        steps.push(step);
    }
    Ok(steps)
}

pub(super) fn to_i64(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number)
        .map_err(|_| StoreError::Unreadable(format!("{number} is beyond what SQLite holds")))
}

fn to_msn(lane: &LaneId, number: i64) -> Result<OutputMsn, StoreError> {
    u64::try_from(number).map(OutputMsn).map_err(|_| damaged(lane, "a negative number"))
}
