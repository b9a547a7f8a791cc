//! A pool's limit of viewers: newcomers beyond it are refused, those who watch go on.
//!
//! Viewers are counted once a second. Those who came since then, and those who are being given a lane, count
//! on top, so that a crowd that comes at once does not slip in.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::model::names::PoolName;

/// The pool has as many viewers as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("as many watch as the pool may have (limits.viewers)")]
pub struct AtCapacity;

/// One newcomer; counts until dropped.
#[derive(Debug)]
pub struct Place(Option<Arc<Gate>>);

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(gate) = &self.0 {
            gate.entering.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[derive(Debug, Default)]
struct Gate {
    /// As last counted.
    counted: AtomicU64,
    /// Came since.
    since: AtomicU64,
    /// Are being given a lane.
    entering: AtomicU64,
    refused: AtomicU64,
}

/// The gates of all pools.
#[derive(Default)]
pub(super) struct Gates(RwLock<HashMap<PoolName, Arc<Gate>>>);

impl Gates {
    /// There are these pools now. Gates of others stay, since viewers may be inside.
    pub fn of_pools<'a>(&self, pools: impl Iterator<Item = &'a PoolName>) {
        let mut gates = self.0.write();
        for pool in pools {
            gates.entry(pool.clone()).or_default();
        }
    }

    fn gate(&self, pool: &PoolName) -> Option<Arc<Gate>> {
        self.0.read().get(pool).cloned()
    }

    pub fn enter(&self, pool: &PoolName, limit: Option<u64>) -> Result<Place, AtCapacity> {
        let Some(gate) = self.gate(pool) else { return Ok(Place(None)) };
        let before = gate.entering.fetch_add(1, Ordering::AcqRel);
        let place = Place(Some(Arc::clone(&gate)));
        let inside = gate.counted.load(Ordering::Acquire) + gate.since.load(Ordering::Acquire);
        if limit.is_some_and(|limit| inside + before >= limit) {
            gate.refused.fetch_add(1, Ordering::Relaxed);
            return Err(AtCapacity);
        }
        Ok(place)
    }

    /// A newcomer is among those who will be counted.
    pub fn arrived(&self, pool: &PoolName) {
        if let Some(gate) = self.gate(pool) {
            gate.since.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Who came until now is going to be counted.
    pub fn before_counting(&self) -> HashMap<PoolName, u64> {
        let gates = self.0.read();
        let since = |gate: &Gate| gate.since.load(Ordering::Acquire);
        gates.iter().map(|(pool, gate)| (pool.clone(), since(gate))).collect()
    }

    /// So many are inside, `arrivals` among them.
    pub fn counted(&self, arrivals: &HashMap<PoolName, u64>, inside: &dyn Fn(&PoolName) -> u64) {
        for (pool, gate) in self.0.read().iter() {
            gate.counted.store(inside(pool), Ordering::Release);
            gate.since.fetch_sub(arrivals.get(pool).copied().unwrap_or(0), Ordering::AcqRel);
        }
    }

    pub fn refused(&self, pool: &PoolName) -> u64 {
        self.gate(pool).map_or(0, |gate| gate.refused.load(Ordering::Relaxed))
    }

    pub fn all_refused(&self) -> u64 {
        self.0.read().values().map(|gate| gate.refused.load(Ordering::Relaxed)).sum()
    }
}
