//! What each pool takes: its streams are counted, and its bytes paid for, apart from those of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::streams::Deps;
use crate::segments::Allowance;

/// One pool, and what its streams are carried with.
pub(super) struct PoolUse {
    pub deps: Arc<Deps>,
    pub allowance: Arc<Allowance>,
    streams: Arc<AtomicUsize>,
}

impl PoolUse {
    pub fn new(deps: Arc<Deps>, allowance: Arc<Allowance>) -> Self {
        Self { deps, allowance, streams: Arc::default() }
    }

    pub fn now(&self) -> Usage {
        Usage {
            streams: self.streams.load(Ordering::Acquire),
            lanes: self.deps.own_lanes(),
            segment_bytes: self.allowance.held(),
        }
    }

    /// Counts one stream more; none where there are `max` already.
    pub fn watch(&self, max: usize) -> Option<Counted> {
        Counted::below(&self.streams, max)
    }
}

/// A lane, counted for its pool and for all: from before it opens, since that takes a while.
pub(super) type LaneRoom = [Counted; 2];

/// One more of what is counted, until dropped.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    /// None: there are `max` already.
    pub fn below(counter: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        let add = |count: usize| (count < max).then_some(count + 1);
        let added = counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
        added.ok().map(|_| Self(Arc::clone(counter)))
    }

    /// However many there are.
    pub fn anyway(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(counter))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a pool takes now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Streams watched.
    pub streams: usize,
    /// Lanes that they are carried on.
    pub lanes: usize,
    /// Bytes of segments held.
    pub segment_bytes: u64,
}
