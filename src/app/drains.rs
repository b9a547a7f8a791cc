//! Taking packagers out and bringing them back. The store says who is out, so that a restart, an
//! upgrade and every proxy that shares it know; the pools follow it, and what it has lost is noted there again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use crate::model::names::{PackagerId, PoolName, UnixMs};
use crate::ops::{DrainError, PackagerState};
use crate::packagers::{Packager, Pool, Pools};
use crate::store::{LaneStore, StoreError};
use crate::stream::{Clock, Streams};

pub struct Drains {
    pub store: Arc<dyn LaneStore>,
    pub pools: Arc<Pools>,
    pub streams: Arc<Streams>,
    pub clock: Clock,
    /// Per pool: what a packager is asked at one time, `origin.requests`.
    pub requests: ArcSwap<HashMap<PoolName, usize>>,
    /// What was read from the store must not be taken after what was written to it since.
    pub one: Mutex<()>,
}

impl Drains {
    /// Takes over what the store says.
    pub async fn follow(&self) -> Result<(), StoreError> {
        let _one = self.one.lock().await;
        self.take(&self.pools.drained()).await
    }

    /// `known`: who is out as far as is known here, should the store have lost it.
    async fn take(&self, known: &BTreeMap<PackagerId, UnixMs>) -> Result<(), StoreError> {
        let out = self.store.drained(known).await?;
        self.pools.drain(&out, |id| self.spread(id));
        Ok(())
    }

    /// Each lane that leaves wants a segment of a sibling before those it would ask for anyway: as many
    /// lanes a second leave as a packager may be asked at one time.
    pub fn spread(&self, id: &PackagerId) -> Duration {
        let Some((pool, _)) = self.find(id) else { return Duration::ZERO };
        let requests = self.requests.load().get(&pool.name).copied().unwrap_or(1).max(1);
        let lanes = u64::try_from(self.lanes(id) / requests).unwrap_or(u64::MAX);
        Duration::from_secs(lanes.min(3600))
    }

    pub async fn set(&self, id: &PackagerId, out: bool) -> Result<PackagerState, DrainError> {
        let before = self.state(id)?;
        let unreachable = |e: StoreError| DrainError::Store(e.to_string());
        {
            let _one = self.one.lock().await;
            let since = out.then(|| self.clock.now());
            self.store.drain(id, since).await.map_err(unreachable)?;
            let mut known = self.pools.drained();
            match since {
                Some(since) => drop(known.entry(id.clone()).or_insert(since)),
                None => drop(known.remove(id)),
            }
            self.take(&known).await.map_err(unreachable)?;
        }
        let state = self.state(id)?;
        if out && state.siblings == 0 {
            tracing::warn!(packager = %id, lanes = state.lanes, "drained without a sibling that is up: it goes on serving");
        } else if out && !before.drained {
            tracing::info!(packager = %id, lanes = state.lanes, "its lanes leave");
        }
        Ok(state)
    }

    pub fn state(&self, id: &PackagerId) -> Result<PackagerState, DrainError> {
        let Some((pool, packager)) = self.find(id) else {
            let mut ids: Vec<PackagerId> = self.pools.packagers().map(|p| p.id.clone()).collect();
            ids.sort();
            return Err(DrainError::NoPackager(ids));
        };
        let others = pool.packagers();
        let up =
            |p: &&Arc<Packager>| p.id != *id && p.drained().is_none() && p.health().is_usable();
        Ok(PackagerState {
            packager: id.clone(),
            pool: pool.name.to_string(),
            health: format!("{:?}", packager.health()).to_lowercase(),
            drained: packager.drained().is_some(),
            drained_since: packager.drained().map(|d| d.since),
            lanes: self.lanes(id),
            siblings: others.iter().filter(up).count(),
        })
    }

    fn find(&self, id: &PackagerId) -> Option<(Arc<Pool>, Arc<Packager>)> {
        self.pools.all().into_iter().find_map(|pool| {
            let packager = pool.packagers().iter().find(|p| p.id == *id).cloned()?;
            Some((pool, packager))
        })
    }

    /// Lanes that are on it and go on.
    fn lanes(&self, id: &PackagerId) -> usize {
        self.lanes_by_packager().get(id).copied().unwrap_or(0)
    }

    /// Lanes that go on, by the packager that they are on.
    pub fn lanes_by_packager(&self) -> HashMap<PackagerId, usize> {
        let mut counts = HashMap::new();
        let status = self.streams.status();
        for lane in status.iter().flat_map(|s| &s.lanes).filter(|lane| !lane.ended) {
            if let Some(packager) = &lane.packager {
                *counts.entry(packager.clone()).or_insert(0) += 1;
            }
        }
        counts
    }
}
