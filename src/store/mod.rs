//! Where lanes' logs live. Everything that must agree between processes is one operation here:
//! `append` succeeds only on the tail it was computed from (design.md, "Store").

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::model::lane::{Header, Step};
use crate::model::names::{LaneId, OutputMsn, StreamKey, UnixMs};

/// A lane as the store holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredLane {
    /// Its header.
    pub header: Header,
    /// Its steps from the oldest kept to the tail, without holes.
    pub steps: Vec<Step>,
}

/// What became of an `append`.
#[derive(Clone, Debug, PartialEq)]
pub enum Appended {
    /// The step is the tail now (or was already: a retry of the same step is harmless).
    Done,
    /// Another writer was first: the steps after `expected_tail`, which the caller takes over.
    Lost(Vec<Step>),
}

/// A lane changed, perhaps in another process. `None`: changes were missed, look at all.
pub type Change = Option<LaneId>;

/// Why the store did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached or does not answer.
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    /// It holds something that this version cannot read.
    #[error("the store holds what this version cannot read: {0}")]
    Unreadable(String),
    /// No such lane, so nothing can be appended to it.
    #[error("the store knows no lane {0}")]
    NoLane(LaneId),
}

/// The store of lanes' logs. One conformance suite (`tests/`) holds for every implementation.
#[async_trait]
pub trait LaneStore: Send + Sync {
    /// Opens a lane, first writer wins: returns the header that stands.
    async fn create(&self, header: &Header) -> Result<Header, StoreError>;
    /// A lane's header and log.
    async fn load(&self, lane: &LaneId) -> Result<Option<StoredLane>, StoreError>;
    /// Appends `step` if the tail's number is `expected_tail` (none: the log is empty).
    async fn append(
        &self,
        lane: &LaneId,
        expected_tail: Option<OutputMsn>,
        step: &Step,
    ) -> Result<Appended, StoreError>;
    /// The lanes of a stream, in the order of opening.
    async fn lanes_of(&self, stream: &StreamKey) -> Result<Vec<LaneId>, StoreError>;
    /// Drops the steps before `keep_from`: no playlist lists them any more.
    async fn trim(&self, lane: &LaneId, keep_from: OutputMsn) -> Result<(), StoreError>;
    /// Drops lanes whose last step (or opening, without one) is older than `before`; returns how many.
    async fn expire(&self, before: UnixMs) -> Result<u64, StoreError>;
    /// A secret of the installation: the one stored, or `fresh`, stored now. First writer wins.
    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError>;
    /// The highest target duration seen for a stream before, raised to `seconds` (design.md, law 4).
    async fn target_duration(&self, stream: &StreamKey, seconds: u32) -> Result<u32, StoreError>;
    /// Changes made by any process that shares the store, this one among them.
    fn changes(&self) -> broadcast::Receiver<Change>;
}
