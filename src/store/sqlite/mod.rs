//! The store in a SQLite file: the default. One thread of its own does all the work, since SQLite
//! blocks; callers wait for its answer. Two processes share the file during an upgrade.
//!
//! `schema` the file's layout and opening; `lanes` what is read and written, one transaction each; `kept`
//! and `wanted` the same of other records, and of what viewers want.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, oneshot};

use super::{Appended, CHANGES_QUEUED_MAX, Change, LaneStore, StoreError, StoredLane};
use crate::model::lane::{Header, Step};
use crate::model::names::{LaneId, OutputMsn, PackagerId, StreamKey, UnixMs};
use lanes::Database;

mod kept;
mod lanes;
mod schema;
mod wanted;

/// Commands that wait for the thread at once; further callers wait before they get in.
const QUEUE_MAX: usize = 256;
/// A caller waits no longer than this for an answer. What became of its command is then not
/// known; a retry of the same step is harmless.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often another process's changes are looked for.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

type Job = Box<dyn FnOnce(&mut Database) + Send>;

/// Lanes' logs in a SQLite file. Safe against `kill -9` at any moment; a power cut may cost the
/// newest steps (`synchronous=NORMAL`), never the file.
pub struct SqliteStore {
    jobs: mpsc::SyncSender<Job>,
    places: Arc<Semaphore>,
    changes: broadcast::Sender<Change>,
}

impl SqliteStore {
    /// Opens or makes the file at `path`, readable by its owner alone, since it holds secrets.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] if it cannot be opened, [`StoreError::Unreadable`] if it is
    /// none of ours or was written by a newer Segue.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let (changes, _) = broadcast::channel(CHANGES_QUEUED_MAX);
        let connection = schema::open(path)?;
        let database = Database::new(connection, changes.clone())?;
        let (jobs, queue) = mpsc::sync_channel(QUEUE_MAX);
        thread::Builder::new()
            .name("segue-store".into())
            .spawn(move || work(database, &queue))
            .map_err(|e| StoreError::Unreachable(e.to_string()))?;
        Ok(Self { jobs, places: Arc::new(Semaphore::new(QUEUE_MAX)), changes })
    }

    /// Has the thread do `job` and waits for its answer.
    async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let waiting = async {
            let place = self.place().await?;
            let job: Job = Box::new(move |database| {
                let _place = place;
                // An error means that the caller has gone.
                let _ = answer.send(job(database));
            });
            self.jobs.try_send(job).map_err(|_| stopped())?;
            answered.await.map_err(|_| stopped())?
        };
        let late = |_| StoreError::Unreachable(format!("no answer in {ANSWER_TIMEOUT:?}"));
        tokio::time::timeout(ANSWER_TIMEOUT, waiting).await.map_err(late)?
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        self.places.clone().acquire_owned().await.map_err(|_| stopped())
    }
}

fn stopped() -> StoreError {
    StoreError::Unreachable("its thread has stopped".into())
}

/// The thread: jobs as they come, a look at the other process's changes in between. Ends, and
/// closes the file, when the store is dropped and its queue is empty.
fn work(mut database: Database, queue: &mpsc::Receiver<Job>) {
    let mut looked = Instant::now();
    loop {
        match queue.recv_timeout(POLL_INTERVAL.saturating_sub(looked.elapsed())) {
            Ok(job) => job(&mut database),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if looked.elapsed() >= POLL_INTERVAL {
            let _ = database.look_for_changes();
            looked = Instant::now();
        }
    }
}

#[async_trait]
impl LaneStore for SqliteStore {
    async fn create(&self, header: &Header) -> Result<Header, StoreError> {
        let header = header.clone();
        self.ask(move |db| db.create(&header)).await
    }

    async fn load(&self, lane: &LaneId) -> Result<Option<StoredLane>, StoreError> {
        let lane = lane.clone();
        self.ask(move |db| db.load(&lane)).await
    }

    async fn append(
        &self,
        lane: &LaneId,
        expected_tail: Option<OutputMsn>,
        steps: &[Step],
    ) -> Result<Appended, StoreError> {
        let (lane, steps) = (lane.clone(), steps.to_vec());
        self.ask(move |db| db.append(&lane, expected_tail, &steps)).await
    }

    async fn begin_again(
        &self,
        header: &Header,
        seen: Option<OutputMsn>,
    ) -> Result<bool, StoreError> {
        let header = header.clone();
        self.ask(move |db| db.begin_again(&header, seen)).await
    }

    async fn newer(&self, lane: &LaneId, tail: Option<OutputMsn>) -> Result<Vec<Step>, StoreError> {
        let lane = lane.clone();
        self.ask(move |db| db.newer(&lane, tail)).await
    }

    async fn lanes_of(&self, stream: &StreamKey) -> Result<Vec<LaneId>, StoreError> {
        let stream = stream.clone();
        self.ask(move |db| db.lanes_of(&stream)).await
    }

    async fn trim(&self, lane: &LaneId, keep_from: OutputMsn) -> Result<(), StoreError> {
        let lane = lane.clone();
        self.ask(move |db| db.trim(&lane, keep_from)).await
    }

    async fn expire(&self, before: UnixMs) -> Result<u64, StoreError> {
        self.ask(move |db| db.expire(before)).await
    }

    async fn want(
        &self,
        lane: &LaneId,
        renditions: &[usize],
        now: UnixMs,
        within: Duration,
    ) -> Result<Vec<usize>, StoreError> {
        let (lane, renditions) = (lane.clone(), renditions.to_vec());
        self.ask(move |db| db.want(&lane, &renditions, now, within)).await
    }

    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        let name = name.to_owned();
        self.ask(move |db| db.secret(&name, fresh)).await
    }

    async fn target_duration(&self, stream: &StreamKey, seconds: u32) -> Result<u32, StoreError> {
        let stream = stream.clone();
        self.ask(move |db| db.target_duration(&stream, seconds)).await
    }

    async fn drained(
        &self,
        _known: &BTreeMap<PackagerId, UnixMs>,
    ) -> Result<BTreeMap<PackagerId, UnixMs>, StoreError> {
        self.ask(Database::drained).await
    }

    async fn drain(&self, packager: &PackagerId, since: Option<UnixMs>) -> Result<(), StoreError> {
        let packager = packager.clone();
        self.ask(move |db| db.drain(&packager, since)).await
    }

    async fn kept(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let prefix = prefix.to_owned();
        self.ask(move |db| db.kept(&prefix)).await
    }

    async fn keep(&self, records: &[(String, Option<String>)]) -> Result<(), StoreError> {
        let records = records.to_vec();
        self.ask(move |db| db.keep(&records)).await
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }
}
