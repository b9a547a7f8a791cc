//! What operators want to know of, told as it happens: `ops/` counts it, a simulation records it.

use std::time::Duration;

use super::Verdict;
use crate::model::lane::{Splice, SpliceReason, Step};
use crate::model::names::{LaneId, OutputMsn, PackagerId, StreamKey};

/// How a request to a packager ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With what was asked for.
    Ok,
    /// The packager says that it does not exist.
    Gone,
    /// With something that cannot be used: no media, or damaged.
    Damaged,
    /// Any other way.
    Failed,
}

impl Outcome {
    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Gone => "gone",
            Self::Damaged => "damaged",
            Self::Failed => "failed",
        }
    }
}

/// Where the bytes of another proxy's step came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopiedFrom {
    /// The directory that both have, or they were fetched before.
    Held,
    /// The step's packager.
    Packager,
    /// A proxy that holds them.
    Proxy,
}

impl CopiedFrom {
    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Packager => "packager",
            Self::Proxy => "proxy",
        }
    }
}

/// Told of everything that happens to streams. Must not block.
pub trait Observer: Send + Sync {
    /// A playlist was asked for.
    fn refreshed(&self, _packager: &PackagerId, _outcome: Outcome, _took: Duration) {}
    /// An entry playlist was asked for in a viewer's name.
    fn admission(&self, _packager: &PackagerId, _verdict: Verdict, _took: Duration) {}
    /// A segment or init segment was asked for: how many bytes came.
    fn fetched(&self, _packager: &PackagerId, _outcome: Outcome, _bytes: usize) {}
    /// A step was appended, so long after its packager had made it.
    fn appended(&self, _lane: &LaneId, _msn: OutputMsn, _delay: Duration) {}
    /// A lane went on in another run, with this step.
    fn spliced(&self, _stream: &StreamKey, _lane: &LaneId, _step: &Step, _splice: &Splice) {}
    /// A lane opened (or opened again, its log lost).
    fn lane_opened(&self, _lane: &LaneId, _stream: &StreamKey) {}
    /// A lane got its ENDLIST.
    fn lane_ended(&self, _lane: &LaneId) {}
    /// A packager's state for a stream changed: it can be used, or why not.
    fn stream_state(
        &self,
        _stream: &StreamKey,
        _packager: &PackagerId,
        _bad: Option<SpliceReason>,
    ) {
    }
    /// A segment was longer than the lane's target duration allows (a breach of the packager).
    fn too_long(&self, _packager: &PackagerId) {}
    /// A rendition of this packager had nothing in time: its entry is a gap.
    fn gap(&self, _packager: &PackagerId) {}
    /// The store did not do what was asked.
    fn store_failed(&self) {}
    /// From this step on the lane's log here is another than in the store, so other proxies print other
    /// segments under the same numbers until these have left.
    fn split(&self, _stream: &StreamKey, _lane: &LaneId, _from: OutputMsn) {}
    /// A step of another proxy is held here, so long after it was heard of; none: not within half a target
    /// duration, so that it is listed without, and served through its holder.
    fn copied(&self, _lane: &LaneId, _took: Option<Duration>) {}
    /// Bytes of another proxy's step came from there.
    fn copied_from(&self, _from: CopiedFrom, _bytes: usize) {}
}

/// Hears nothing.
pub struct Silent;

impl Observer for Silent {}
