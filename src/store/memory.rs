//! The store in memory: for tests, the simulation and demonstrations. Several proxies of one
//! process may share it. Never waits, so that a simulated clock stands still meanwhile.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::broadcast;

use super::{
    Appended, CHANGES_QUEUED_MAX, Change, Changed, LaneStore, StoreError, StoredLane, TARGETS_MAX,
    refuse_hole,
};
use crate::model::lane::{Header, Step};
use crate::model::names::{LaneId, OutputMsn, PackagerId, StreamKey, UnixMs};

/// Lanes' logs in memory.
pub struct MemoryStore {
    state: Mutex<State>,
    changes: broadcast::Sender<Change>,
}

#[derive(Default)]
struct State {
    lanes: BTreeMap<LaneId, Lane>,
    /// Lanes opened so far, expired ones among them.
    opened: u64,
    secrets: BTreeMap<String, [u8; 32]>,
    targets: BTreeMap<StreamKey, u32>,
    /// The keys of `targets` in the order they came.
    targets_order: VecDeque<StreamKey>,
    drained: BTreeMap<PackagerId, UnixMs>,
    kept: BTreeMap<String, String>,
}

struct Lane {
    header: Header,
    steps: VecDeque<Step>,
    /// `State::opened` when it was: orders lanes.
    number: u64,
    /// When each rendition was last wanted.
    wanted: BTreeMap<usize, UnixMs>,
}

impl Lane {
    fn last_at(&self) -> UnixMs {
        self.steps.back().map_or(self.header.opened_at, |s| s.listed_at)
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        let (changes, _) = broadcast::channel(CHANGES_QUEUED_MAX);
        Self { state: Mutex::default(), changes }
    }

    fn tell(&self, lane: &LaneId, tail: Option<OutputMsn>) {
        // An error means that nobody listens.
        let _ = self.changes.send(Some(Changed { lane: lane.clone(), tail }));
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl LaneStore for MemoryStore {
    async fn create(&self, header: &Header) -> Result<Header, StoreError> {
        let mut state = self.state.lock();
        if let Some(lane) = state.lanes.get(&header.lane) {
            return Ok(lane.header.clone());
        }
        let number = state.opened;
        state.opened += 1;
        let lane = Lane {
            header: header.clone(),
            steps: VecDeque::new(),
            number,
            wanted: BTreeMap::new(),
        };
        state.lanes.insert(header.lane.clone(), lane);
        drop(state);
        self.tell(&header.lane, None);
        Ok(header.clone())
    }

    async fn load(&self, lane: &LaneId) -> Result<Option<StoredLane>, StoreError> {
        Ok(self.state.lock().lanes.get(lane).map(|l| StoredLane {
            header: l.header.clone(),
            steps: l.steps.iter().cloned().collect(),
        }))
    }

    async fn append(
        &self,
        lane: &LaneId,
        expected_tail: Option<OutputMsn>,
        steps: &[Step],
    ) -> Result<Appended, StoreError> {
        let mut state = self.state.lock();
        let Some(log) = state.lanes.get_mut(lane) else {
            return Err(StoreError::NoLane(lane.clone()));
        };
        let tail = log.steps.back().map(|s| s.msn);
        refuse_hole(log.header.first_msn, tail, expected_tail, lane, steps)?;
        if tail == expected_tail {
            log.steps.extend(steps.iter().cloned());
            let tail = log.steps.back().map(|s| s.msn);
            drop(state);
            self.tell(lane, tail);
            return Ok(Appended::Done);
        }
        let after = log.steps.iter().filter(|s| Some(s.msn) > expected_tail);
        let after: Vec<Step> = after.cloned().collect();
        Ok(if after.starts_with(steps) { Appended::Done } else { Appended::Lost(after) })
    }

    async fn begin_again(
        &self,
        header: &Header,
        seen: Option<OutputMsn>,
    ) -> Result<bool, StoreError> {
        let mut state = self.state.lock();
        let Some(log) = state.lanes.get_mut(&header.lane) else { return Ok(false) };
        if log.steps.back().map(|s| s.msn) != seen {
            return Ok(false);
        }
        log.header = header.clone();
        log.steps.clear();
        log.wanted.clear();
        drop(state);
        self.tell(&header.lane, None);
        Ok(true)
    }

    async fn newer(&self, lane: &LaneId, tail: Option<OutputMsn>) -> Result<Vec<Step>, StoreError> {
        let state = self.state.lock();
        let steps = state.lanes.get(lane).into_iter().flat_map(|l| &l.steps);
        Ok(steps.filter(|s| Some(s.msn) > tail).cloned().collect())
    }

    async fn lanes_of(&self, stream: &StreamKey) -> Result<Vec<LaneId>, StoreError> {
        let state = self.state.lock();
        let mut lanes: Vec<_> =
            state.lanes.values().filter(|l| l.header.stream == *stream).collect();
        lanes.sort_by_key(|l| l.number);
        Ok(lanes.into_iter().map(|l| l.header.lane.clone()).collect())
    }

    async fn trim(&self, lane: &LaneId, keep_from: OutputMsn) -> Result<(), StoreError> {
        if let Some(log) = self.state.lock().lanes.get_mut(lane) {
            while log.steps.len() > 1 && log.steps.front().is_some_and(|s| s.msn < keep_from) {
                log.steps.pop_front();
            }
        }
        Ok(())
    }

    async fn expire(&self, before: UnixMs) -> Result<u64, StoreError> {
        let mut gone = Vec::new();
        self.state.lock().lanes.retain(|id, lane| {
            let stays = lane.last_at() >= before;
            if !stays {
                gone.push(id.clone());
            }
            stays
        });
        for lane in &gone {
            self.tell(lane, None);
        }
        Ok(u64::try_from(gone.len()).unwrap_or(u64::MAX))
    }

    async fn want(
        &self,
        lane: &LaneId,
        renditions: &[usize],
        now: UnixMs,
        within: Duration,
    ) -> Result<Vec<usize>, StoreError> {
        let mut state = self.state.lock();
        let Some(log) = state.lanes.get_mut(lane) else {
            return Err(StoreError::NoLane(lane.clone()));
        };
        let since = now.minus(within);
        let mut new = false;
        for at in renditions.iter().filter(|at| **at < log.header.renditions.len()) {
            let before = log.wanted.insert(*at, now);
            new |= before.is_none_or(|before| before < since);
        }
        let wanted = log.wanted.iter().filter(|(_, at)| **at >= since).map(|(r, _)| *r).collect();
        drop(state);
        if new {
            // Whoever has its tail has to look all the same.
            self.tell(lane, None);
        }
        Ok(wanted)
    }

    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        Ok(*self.state.lock().secrets.entry(name.to_owned()).or_insert(fresh))
    }

    async fn target_duration(&self, stream: &StreamKey, seconds: u32) -> Result<u32, StoreError> {
        let mut state = self.state.lock();
        if let Some(highest) = state.targets.get_mut(stream) {
            *highest = seconds.max(*highest);
            return Ok(*highest);
        }
        state.targets.insert(stream.clone(), seconds);
        state.targets_order.push_back(stream.clone());
        if state.targets_order.len() > TARGETS_MAX
            && let Some(first) = state.targets_order.pop_front()
        {
            state.targets.remove(&first);
        }
        Ok(seconds)
    }

    async fn drained(
        &self,
        _known: &BTreeMap<PackagerId, UnixMs>,
    ) -> Result<BTreeMap<PackagerId, UnixMs>, StoreError> {
        Ok(self.state.lock().drained.clone())
    }

    async fn drain(&self, packager: &PackagerId, since: Option<UnixMs>) -> Result<(), StoreError> {
        let drained = &mut self.state.lock().drained;
        match since {
            Some(since) => {
                drained.entry(packager.clone()).or_insert(since);
            }
            None => {
                drained.remove(packager);
            }
        }
        Ok(())
    }

    async fn kept(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let state = self.state.lock();
        let named = state.kept.iter().filter(|(name, _)| name.starts_with(prefix));
        Ok(named.map(|(_, record)| record.clone()).collect())
    }

    async fn keep(&self, records: &[(String, Option<String>)]) -> Result<(), StoreError> {
        let kept = &mut self.state.lock().kept;
        for (name, record) in records {
            match record {
                Some(record) => drop(kept.insert(name.clone(), record.clone())),
                None => drop(kept.remove(name)),
            }
        }
        Ok(())
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }
}
