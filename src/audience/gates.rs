//! A pool's limit of viewers: newcomers beyond it are refused, those who watch go on.
//!
//! Viewers are counted once a second. Those who came since then, and those who are being given a lane, count
//! on top, so that a crowd that comes at once does not slip in.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

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
            gate.viewers.lock().entering -= 1;
        }
    }
}

#[derive(Debug, Default)]
struct Gate {
    viewers: Mutex<Viewers>,
    refused: AtomicU64,
}

/// Changed together: read one by one whoever passes from one to another would count in none.
#[derive(Debug, Default)]
struct Viewers {
    /// As last counted.
    counted: u64,
    /// Came since.
    since: u64,
    /// Are being given a lane.
    entering: u64,
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
        {
            let mut viewers = gate.viewers.lock();
            let all = viewers.counted + viewers.since + viewers.entering;
            if limit.is_some_and(|limit| all >= limit) {
                gate.refused.fetch_add(1, Ordering::Relaxed);
                return Err(AtCapacity);
            }
            viewers.entering += 1;
        }
        Ok(Place(Some(gate)))
    }

    /// A newcomer is among those who will be counted.
    pub fn arrived(&self, pool: &PoolName) {
        if let Some(gate) = self.gate(pool) {
            gate.viewers.lock().since += 1;
        }
    }

    /// Who came until now is going to be counted.
    pub fn before_counting(&self) -> HashMap<PoolName, u64> {
        let gates = self.0.read();
        let since = |gate: &Gate| gate.viewers.lock().since;
        gates.iter().map(|(pool, gate)| (pool.clone(), since(gate))).collect()
    }

    /// So many are inside, `arrivals` among them.
    pub fn counted(&self, arrivals: &HashMap<PoolName, u64>, inside: &dyn Fn(&PoolName) -> u64) {
        for (pool, gate) in self.0.read().iter() {
            let inside = inside(pool);
            let mut viewers = gate.viewers.lock();
            viewers.counted = inside;
            let counted = arrivals.get(pool).copied().unwrap_or(0);
            viewers.since = viewers.since.saturating_sub(counted);
        }
    }

    pub fn refused(&self, pool: &PoolName) -> u64 {
        self.gate(pool).map_or(0, |gate| gate.refused.load(Ordering::Relaxed))
    }

    pub fn all_refused(&self) -> u64 {
        self.0.read().values().map(|gate| gate.refused.load(Ordering::Relaxed)).sum()
    }
}
