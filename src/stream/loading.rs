//! Loading lanes that other processes opened: the log from the store, or where that cannot be had from another
//! proxy; the bytes from the directory, or from other proxies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Lane;
use super::carry::Carried;
use super::following::Coming;
use super::opening::opened_on;
use super::worker::Worker;
use crate::model::lane::{Entry, Held, Log, Step, none_ahead};
use crate::model::names::{LaneId, OutputMsn};
use crate::store::StoredLane;

/// Other proxies tell in so long what they carry.
const OTHERS_ANSWER: Duration = Duration::from_millis(500);

impl Worker {
    /// Carries a lane on that the store has.
    pub(super) async fn load(&mut self, id: &LaneId) -> Option<&Carried> {
        // A process that has just begun would list only what it holds itself.
        self.deps.fleet.met().await;
        match self.deps.store.load(id).await {
            Ok(Some(stored)) => self.take_up(id, stored, 0).await,
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(lane = %id, %error, "its log cannot be read");
                None
            }
        }
    }

    /// Carries a lane on that the store does not give, as another proxy carries it: the store gets it back from here
    /// as well.
    pub(super) async fn load_from_another(&mut self, id: &LaneId) -> Option<&Carried> {
        if self.deps.fleet.others() == 0 {
            return None;
        }
        let stored = self.deps.fleet.lane(&self.key, id, OTHERS_ANSWER).await?;
        tracing::warn!(lane = %id, stream = %self.key, "its log comes from another proxy");
        let unsaved = stored.steps.len();
        self.take_up(id, stored, unsaved).await
    }

    async fn take_up(
        &mut self,
        id: &LaneId,
        mut stored: StoredLane,
        unsaved: usize,
    ) -> Option<&Carried> {
        if stored.header.stream != self.key {
            return None;
        }
        none_ahead(self.deps.clock.now(), &mut stored.steps);
        let header = Arc::new(stored.header);
        let mut log = Log::new(header.clone());
        for step in stored.steps {
            if let Err(error) = log.push(step) {
                tracing::warn!(lane = %id, %error, "its log is damaged");
                return None;
            }
        }
        self.hold_empty_subtitles(&header).await;
        let shared = Arc::new(Lane::new(header, self.deps.clock));
        let mut lane = Carried::new(shared.clone(), log, opened_on(id), self.deps.clock.now());
        lane.unsaved = unsaved;
        // Its tail was listed by another proxy's clock, of which nothing is known yet; whoever carries it leaves in
        // time where it has to.
        let writer = lane.log.tail().and_then(|t| t.holders.first());
        if self.deps.fleet.others() > 0 && writer.is_some() && writer != self.deps.fleet.own_id() {
            lane.since = self.deps.clock.now();
        }
        self.find_assets(&lane.log).await;
        for r in 0..lane.held_from.len() {
            let from = self.held_from(&lane.log, r).await;
            if let Some(slot) = lane.held_from.get_mut(r) {
                *slot = from;
            }
        }
        self.expect_bytes(&mut lane).await;
        tracing::info!(lane = %id, stream = %self.key, steps = lane.log.steps().len(), "lane loaded");
        shared.index(&lane.log);
        self.slot.remember(id, shared, self.deps.lane_room_anyway());
        self.lanes.insert(id.clone(), lane);
        self.lanes.get(id)
    }

    /// In a fleet what is missing of a loaded lane's window is brought before anything is listed, from its packager
    /// or from the others, who may have gone on meanwhile: a list that begins after it would be short.
    async fn expect_bytes(&self, lane: &mut Carried) {
        let (now, keep) = (self.deps.clock.now(), self.kept_until(lane.log.header()));
        let tail = lane.log.tail().map(|t| t.msn);
        let first = tail.and_then(|tail| lane.log.window_first(now, Duration::ZERO, tail));
        let (Some(first), true) = (first, self.in_fleet()) else { return };
        let from = lane.log.held_first().map_or(first, |held| held.max(first));
        let mut coming = BTreeMap::new();
        for step in lane.log.from(from) {
            let missing = self.missing(step, keep).await;
            if !missing.is_empty() {
                coming.insert(step.msn, Coming { heard: now, missing, late: false });
            }
        }
        if coming.is_empty() {
            return;
        }
        for (r, slot) in lane.held_from.iter_mut().enumerate() {
            let lists = |step: &&Step| step.end || step.lists(r);
            let steps = lane.log.from(from).collect::<Vec<_>>().into_iter().rev();
            let whole = steps.take_while(lists).last();
            *slot = whole.map_or(*slot, |step| step.msn.min(*slot));
        }
        lane.edge = coming.keys().next().and_then(|first| first.0.checked_sub(1)).map(OutputMsn);
        lane.coming = coming;
        lane.catching_up = tail;
    }

    /// Init segments, keys and session resources that another process put into the directory.
    async fn find_assets(&self, log: &Log) {
        let header = log.header();
        let keep = self.kept_until(header);
        let mut assets: Vec<Held> = header.resources.iter().map(|r| r.held).collect();
        let entries = log.steps().flat_map(|s| &s.shares).flat_map(|share| &share.entries);
        assets.extend(entries.flat_map(Entry::assets));
        assets.sort_unstable_by_key(|held| held.hash);
        assets.dedup();
        for held in assets {
            self.deps.segments.find(held, keep).await;
        }
    }

    /// The first step from which on this process holds every one of a rendition.
    async fn held_from(&self, log: &Log, r: usize) -> OutputMsn {
        let mut from = log.next_msn();
        let keep = self.kept_until(log.header());
        let held_first = log.held_first();
        for step in log.steps().rev() {
            if step.end {
                continue;
            }
            if !step.lists(r) {
                break;
            }
            // What lies deeper is fetched when it is asked for.
            let held = step.entries(r).iter().filter_map(|e| e.held);
            for held in held.filter(|_| Some(step.msn) >= held_first) {
                if !self.deps.segments.find(held, keep).await {
                    return from;
                }
            }
            from = step.msn;
        }
        from
    }
}
