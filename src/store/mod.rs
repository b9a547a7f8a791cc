//! Where lanes' logs live. Everything that must agree between processes is one operation here:
//! `append` succeeds only on the tail it was computed from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::model::lane::{Header, Step};
use crate::model::names::{LaneId, OutputMsn, PackagerId, StreamKey, UnixMs};

mod memory;
mod observed;
mod redis;
mod spec;
mod sqlite;
mod text;

pub use self::redis::{Names, RedisSettings, RedisStore, SystemNames};
pub use memory::MemoryStore;
pub use observed::{Observed, StoreObserver, Unobserved};
pub use spec::StoreSpec;
pub use sqlite::SqliteStore;

/// Changes that a slow receiver may leave unread before it is told `Lagged` and looks at all.
const CHANGES_QUEUED_MAX: usize = 1024;

/// Streams whose highest target duration is remembered; beyond, the first noted is forgotten.
const TARGETS_MAX: usize = 100_000;

/// Opens the store that the configuration names. Touches the disk: for start-up. Redis is connected to beside,
/// so that viewers are served also where it cannot be reached.
///
/// # Errors
/// [`StoreError::Unreachable`] if the file cannot be opened, [`StoreError::Unreadable`] if it is
/// none of ours or was written by a newer Segue.
pub fn open(
    spec: &StoreSpec,
    observer: Arc<dyn StoreObserver>,
) -> Result<Arc<dyn LaneStore>, StoreError> {
    let store: Arc<dyn LaneStore> = match spec {
        StoreSpec::Memory => Arc::new(MemoryStore::new()),
        StoreSpec::Sqlite(path) => Arc::new(SqliteStore::open(path)?),
        StoreSpec::Redis(settings) => Arc::new(RedisStore::open(settings, observer.clone())?),
    };
    if !matches!(spec, StoreSpec::Redis(_)) {
        observer.up();
    }
    Ok(Arc::new(Observed::new(store, observer)))
}

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
    /// The last of the steps is the tail now (or was already: a retry of the same steps is
    /// harmless).
    Done,
    /// Another writer was first: the steps after `expected_tail`, which the caller takes over.
    /// They begin later where the log was trimmed beyond `expected_tail`.
    Lost(Vec<Step>),
}

/// A lane changed, perhaps in another process. `None`: changes were missed, look at all.
pub type Change = Option<Changed>;

/// A lane that was opened, appended to or expired, or of which a rendition is wanted that was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Which.
    pub lane: LaneId,
    /// Its tail afterwards, where the store tells: who has it already need not look.
    pub tail: Option<OutputMsn>,
}

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
    /// The step does not follow the log's tail (or, in an empty log, is not the header's first):
    /// appended, it would leave a hole.
    #[error("step {msn} of lane {lane} does not follow its tail")]
    Hole {
        /// The lane.
        lane: LaneId,
        /// The number of the step that was refused.
        msn: OutputMsn,
    },
}

/// Holes are refused by one rule in all stores, before the tail is looked at.
fn refuse_hole(
    header_first: OutputMsn,
    tail: Option<OutputMsn>,
    expected_tail: Option<OutputMsn>,
    lane: &LaneId,
    steps: &[Step],
) -> Result<(), StoreError> {
    let mut follows = expected_tail.map_or(header_first, OutputMsn::next);
    for step in steps {
        // A tail below the expected one: this log lost steps, and their writer has them.
        if step.msn != follows || tail < expected_tail {
            return Err(StoreError::Hole { lane: lane.clone(), msn: step.msn });
        }
        follows = follows.next();
    }
    Ok(())
}

/// The store of lanes' logs. One conformance suite (`tests/`) holds for every implementation.
#[async_trait]
pub trait LaneStore: Send + Sync {
    /// Opens a lane, first writer wins: returns the header that stands.
    async fn create(&self, header: &Header) -> Result<Header, StoreError>;
    /// A lane's header and log.
    async fn load(&self, lane: &LaneId) -> Result<Option<StoredLane>, StoreError>;
    /// Appends `steps`, all or none, if the tail's number is `expected_tail` (none: the log is
    /// empty). More than one is what a lane opens with on a long window.
    async fn append(
        &self,
        lane: &LaneId,
        expected_tail: Option<OutputMsn>,
        steps: &[Step],
    ) -> Result<Appended, StoreError>;
    /// Begins a lane's log anew, with `header` and without a step, if its tail still is `seen` (none: it has no
    /// step): whatever the lane had there is gone. False: it is not, or there is no such lane, and nothing is done.
    async fn begin_again(
        &self,
        header: &Header,
        seen: Option<OutputMsn>,
    ) -> Result<bool, StoreError>;
    /// The steps after `tail` (none: all), without reading those before.
    async fn newer(&self, lane: &LaneId, tail: Option<OutputMsn>) -> Result<Vec<Step>, StoreError>;
    /// The lanes of a stream, in the order in which the store took them: the same for every proxy, whatever
    /// their clocks say.
    async fn lanes_of(&self, stream: &StreamKey) -> Result<Vec<LaneId>, StoreError>;
    /// Drops the steps before `keep_from`: no playlist lists them any more. The tail stays
    /// whatever is asked, since the lane goes on from it. A store may leave a few of them until it is asked again.
    async fn trim(&self, lane: &LaneId, keep_from: OutputMsn) -> Result<(), StoreError>;
    /// Drops lanes whose last step (or opening, without one) is older than `before`; returns how many.
    async fn expire(&self, before: UnixMs) -> Result<u64, StoreError>;
    /// From now on lanes go by themselves so long after their last step, in a store that can do so.
    fn keep_lanes_for(&self, _idle: Duration) {}
    /// Notes that viewers of the caller want these renditions of a lane (places in its header) at `now`, by
    /// the caller's clock, and tells which were wanted by anybody's viewers within `within` before: whatever
    /// one proxy appends must do for the viewers of all. One that was not wanted before is a change.
    async fn want(
        &self,
        _lane: &LaneId,
        renditions: &[usize],
        _now: UnixMs,
        _within: Duration,
    ) -> Result<Vec<usize>, StoreError> {
        Ok(renditions.to_vec())
    }
    /// A secret of the installation: the one stored, or `fresh`, stored now. First writer wins.
    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError>;
    /// The highest target duration seen for a stream before, raised to `seconds` (ARCHITECTURE.md, law 4).
    async fn target_duration(&self, stream: &StreamKey, seconds: u32) -> Result<u32, StoreError>;
    /// The packagers that operators have taken out, and since when: like a secret, of the whole
    /// installation, so that every proxy that shares the store leaves them. `known`: who is out as far as the
    /// caller knows. A store that may lose what it had puts those back of whom it knows nothing; who was brought
    /// back meanwhile, by whomever, is none of these.
    async fn drained(
        &self,
        known: &BTreeMap<PackagerId, UnixMs>,
    ) -> Result<BTreeMap<PackagerId, UnixMs>, StoreError>;
    /// Takes a packager out, where it is not already, or (`since`: none) brings it back.
    async fn drain(&self, packager: &PackagerId, since: Option<UnixMs>) -> Result<(), StoreError>;
    /// Records kept under names that begin with `prefix`, in no order: what is worth keeping over restarts
    /// and that lanes do not depend on. A store that keeps none answers with none. Names that begin with `of/OWNER/`
    /// are one proxy's: a store may forget them once it has kept nothing for months, and finds them only by a prefix
    /// that names it.
    async fn kept(&self, _prefix: &str) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
    /// Keeps each record under its name, in place of what was, or (none) forgets it; all or nothing.
    async fn keep(&self, _records: &[(String, Option<String>)]) -> Result<(), StoreError> {
        Ok(())
    }
    /// Changes made by any process that shares the store, this one among them: lanes opened,
    /// appended to or expired. Told at least once, perhaps late, perhaps more than once.
    fn changes(&self) -> broadcast::Receiver<Change>;
}
