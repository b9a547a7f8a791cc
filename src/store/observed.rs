//! What a store does, told to whoever counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::{Appended, Change, LaneStore, StoreError, StoredLane};
use crate::model::lane::{Header, Step};
use crate::model::names::{LaneId, OutputMsn, PackagerId, StreamKey, UnixMs};

/// Hears how the store fares.
pub trait StoreObserver: Send + Sync {
    /// An operation ended after so long; it failed if the store could not be reached or read.
    fn asked(&self, _operation: &'static str, _took: Duration, _failed: bool) {}
    /// The store can be reached from now on.
    fn up(&self) {}
    /// It cannot, and why: told again when the cause is another.
    fn down(&self, _cause: &str) {}
    /// Changes may have been missed: receivers were told to look at all.
    fn missed(&self) {}
}

/// Nobody counts.
pub struct Unobserved;

impl StoreObserver for Unobserved {}

/// A store whose operations are counted.
pub struct Observed {
    store: Arc<dyn LaneStore>,
    observer: Arc<dyn StoreObserver>,
}

impl Observed {
    /// Counts what `store` is asked.
    #[must_use]
    pub fn new(store: Arc<dyn LaneStore>, observer: Arc<dyn StoreObserver>) -> Self {
        Self { store, observer }
    }

    async fn timed<T>(
        &self,
        operation: &'static str,
        asked: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        let answer = asked.await;
        let failed = matches!(answer, Err(StoreError::Unreachable(_) | StoreError::Unreadable(_)));
        self.observer.asked(operation, begun.elapsed(), failed);
        answer
    }
}

#[async_trait]
impl LaneStore for Observed {
    async fn create(&self, header: &Header) -> Result<Header, StoreError> {
        self.timed("create", self.store.create(header)).await
    }

    async fn load(&self, lane: &LaneId) -> Result<Option<StoredLane>, StoreError> {
        self.timed("load", self.store.load(lane)).await
    }

    async fn append(
        &self,
        lane: &LaneId,
        expected_tail: Option<OutputMsn>,
        steps: &[Step],
    ) -> Result<Appended, StoreError> {
        self.timed("append", self.store.append(lane, expected_tail, steps)).await
    }

    async fn begin_again(
        &self,
        header: &Header,
        seen: Option<OutputMsn>,
    ) -> Result<bool, StoreError> {
        self.timed("begin_again", self.store.begin_again(header, seen)).await
    }

    async fn newer(&self, lane: &LaneId, tail: Option<OutputMsn>) -> Result<Vec<Step>, StoreError> {
        self.timed("newer", self.store.newer(lane, tail)).await
    }

    async fn lanes_of(&self, stream: &StreamKey) -> Result<Vec<LaneId>, StoreError> {
        self.timed("lanes_of", self.store.lanes_of(stream)).await
    }

    async fn trim(&self, lane: &LaneId, keep_from: OutputMsn) -> Result<(), StoreError> {
        self.timed("trim", self.store.trim(lane, keep_from)).await
    }

    async fn expire(&self, before: UnixMs) -> Result<u64, StoreError> {
        self.timed("expire", self.store.expire(before)).await
    }

    fn keep_lanes_for(&self, idle: Duration) {
        self.store.keep_lanes_for(idle);
    }

    async fn want(
        &self,
        lane: &LaneId,
        renditions: &[usize],
        now: UnixMs,
        within: Duration,
    ) -> Result<Vec<usize>, StoreError> {
        self.timed("want", self.store.want(lane, renditions, now, within)).await
    }

    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        self.timed("secret", self.store.secret(name, fresh)).await
    }

    async fn target_duration(&self, stream: &StreamKey, seconds: u32) -> Result<u32, StoreError> {
        self.timed("target_duration", self.store.target_duration(stream, seconds)).await
    }

    async fn drained(
        &self,
        known: &BTreeMap<PackagerId, UnixMs>,
    ) -> Result<BTreeMap<PackagerId, UnixMs>, StoreError> {
        self.timed("drained", self.store.drained(known)).await
    }

    async fn drain(&self, packager: &PackagerId, since: Option<UnixMs>) -> Result<(), StoreError> {
        self.timed("drain", self.store.drain(packager, since)).await
    }

    async fn kept(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.timed("kept", self.store.kept(prefix)).await
    }

    async fn keep(&self, records: &[(String, Option<String>)]) -> Result<(), StoreError> {
        self.timed("keep", self.store.keep(records)).await
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.store.changes()
    }
}
