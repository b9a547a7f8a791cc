//! Opening lanes for new viewers, and again those whose logs were lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::carry::Carried;
use super::choosing::{Choice, SIBLINGS};
use super::lane::PATIENCE;
use super::source::Source;
use super::usage::LaneRoom;
use super::worker::{Answer, Worker};
use super::{Lane, Refusal};

use crate::model::lane::{EMPTY_SUBTITLES, Entry, Header, Held, Log};
use crate::model::names::{LaneId, OutputMsn, PackagerId, UnixMs};
use crate::model::playlist::Extent;
use crate::model::rendition::{Kind, Rendition};

/// Stored lanes that are looked at when new viewers come: the newest.
const RECOLLECTED: usize = 8;

/// A lane, or why there is none, and the packager that it is on.
type Admitted = (Result<Arc<Lane>, Refusal>, Option<PackagerId>);

impl Worker {
    /// Answers those who wait to join, if it can be decided now. Returns when to look again.
    pub(super) async fn open_lanes(&mut self) -> UnixMs {
        let now = self.deps.clock.now();
        if self.joining.is_empty() && self.reopening.is_empty() {
            return now.plus(Duration::from_secs(1));
        }
        if let Some(since) = self.reopening.values().min().copied() {
            let zone = self.deps.zone.clone();
            let choice = self.choose_new(now, now.since(since), &zone);
            self.reopen(now, &choice, &zone).await;
        }
        let zones: BTreeSet<Arc<str>> = self.joining.iter().map(|j| j.zone.clone()).collect();
        if !zones.is_empty() && !self.recollected {
            self.recollected = true;
            self.recollect().await;
        }
        for zone in zones {
            if let Some((result, on)) = self.admit(now, &zone).await {
                self.answer(&zone, &result, on);
            }
        }
        now.plus(Duration::from_millis(100))
    }

    /// What the new viewers of that zone get, and on which packager. None: it cannot be told yet.
    async fn admit(&mut self, now: UnixMs, zone: &str) -> Option<Admitted> {
        let since = self.joining.iter().filter(|j| *j.zone == *zone).map(|j| j.since).min();
        let waited = since.map_or(Duration::ZERO, |since| now.since(since));
        let late = waited >= PATIENCE;
        match self.choose_new(now, waited, zone) {
            Choice::Wait => late.then_some((Err(Refusal::NoPackager), None)),
            Choice::Refuse(refusal) => Some((Err(refusal), None)),
            Choice::Open(id) => match self.open_on(now, &id, zone, waited).await {
                Some(result) => Some((result, Some(id))),
                None => late.then_some((Err(Refusal::NotReady), None)),
            },
        }
    }

    fn answer(
        &mut self,
        zone: &Arc<str>,
        result: &Result<Arc<Lane>, Refusal>,
        on: Option<PackagerId>,
    ) {
        if let (Ok(lane), Some(on)) = (result, on) {
            self.slot.opened(zone, lane.clone(), on);
        }
        for joined in self.joining.extract_if(.., |j| j.zone == *zone) {
            if let Ok(lane) = result {
                lane.join();
            }
            let _ = joined.answer.send(result.clone());
        }
    }

    /// The open lane of that packager, or a new one. None: something has to come first.
    async fn open_on(
        &mut self,
        now: UnixMs,
        id: &PackagerId,
        zone: &str,
        waited: Duration,
    ) -> Option<Result<Arc<Lane>, Refusal>> {
        if let Some(lane) = self.open_lane(id, zone) {
            return Some(Ok(lane.shared.clone()));
        }
        // The target duration is that of the whole pool, and cannot rise later (law 4).
        if waited < SIBLINGS && !self.sources.values().all(Source::answered) {
            return None;
        }
        let room = match self.deps.lane_room(&self.key.pool) {
            Ok(room) => room,
            Err(limit) => return Some(Err(Refusal::Limit(limit))),
        };
        if let Some(limit) = self.deps.segments.full().filter(|_| self.lanes.is_empty()) {
            return Some(Err(Refusal::Limit(limit)));
        }
        let source = self.sources.get(id);
        let incomplete = source.is_some_and(|s| !s.complete()) && waited < SIBLINGS;
        if self.siblings_pending(waited) || incomplete || source.is_some_and(Source::shallow) {
            return None;
        }
        let lane = LaneId::new(format!("{id}-{:08x}", self.deps.random_u32()));
        let header = match self.header(now, id, lane, zone, false).await {
            Ok(header) => header?,
            Err(refusal) => return Some(Err(refusal)),
        };
        let lane = self.adopt(header, id.clone(), room).await;
        Some(lane)
    }

    /// A lane whose log was lost was opened anew without the depth that its packager lists: who is
    /// new gets another, with all of it.
    pub(super) fn cut_short(&self, header: &Header, on: &PackagerId) -> bool {
        let deep = |s: &Source| {
            self.settings.is_long(s.listed())
                || s.shown.values().any(|s| s.head.extent != Extent::Sliding)
        };
        header.reopened() && self.sources.get(on).is_some_and(deep)
    }

    /// A sibling may yet show a longer EXT-X-TARGETDURATION: a header is frozen without it only
    /// after some patience (ARCHITECTURE.md, law 4).
    fn siblings_pending(&self, waited: Duration) -> bool {
        let pending = |s: &Source| !s.answered() || (s.lists() && !s.complete());
        waited < SIBLINGS && self.sources.values().any(pending)
    }

    /// The lanes that an earlier process opened, and that new viewers could join still.
    async fn recollect(&mut self) {
        let Ok(lanes) = self.deps.store.lanes_of(&self.key).await else { return };
        for id in lanes.iter().rev().take(RECOLLECTED) {
            if self.lanes.contains_key(id) {
                continue;
            }
            let Ok(Some(stored)) = self.deps.store.load(id).await else { continue };
            let now = self.deps.clock.now();
            let on = opened_on(id);
            let usable = stored.steps.last().is_some_and(|t| {
                let recent = now.since(t.listed_at) < stored.header.window;
                on.as_ref() == Some(&t.packager) && !t.end && recent
            });
            if usable && let Some(lane) = self.load(id).await {
                // Nobody has asked for it yet: it is not to be forgotten before somebody joins.
                lane.shared.ask(0);
            }
        }
    }

    /// Puts a header into the store and the lane into this worker.
    async fn adopt(
        &mut self,
        header: Header,
        on: PackagerId,
        room: LaneRoom,
    ) -> Result<Arc<Lane>, Refusal> {
        let header = match self.deps.store.create(&header).await {
            Ok(header) => header,
            Err(error) => {
                tracing::warn!(stream = %self.key, %error, "no lane can be opened");
                self.deps.observer.store_failed();
                return Err(Refusal::NotReady);
            }
        };
        let header = Arc::new(header);
        let now = self.deps.clock.now();
        let shared = Arc::new(Lane::new(header.clone(), self.deps.clock));
        self.hold_empty_subtitles(&header).await;
        // Players begin with one rendition and turn to another within seconds: they find all but
        // the I-frames, which only those who search ask for.
        let played = |r: &Rendition| r.traits.kind.is_played();
        for (r, _) in header.renditions.iter().enumerate().filter(|(_, r)| played(r)) {
            shared.ask(r);
        }
        let id = header.lane.clone();
        tracing::info!(lane = %id, stream = %self.key, packager = %on, target_duration = header.target_duration, "lane opened");
        if self.taken_out(&on) {
            tracing::warn!(lane = %id, packager = %on, "a drained packager gets a lane: nobody else carries the stream");
        }
        self.deps.observer.lane_opened(&id, &self.key);
        self.lanes
            .insert(id.clone(), Carried::new(shared.clone(), Log::new(header), Some(on), now));
        self.slot.remember(&id, shared.clone(), room);
        let others: Vec<PackagerId> = self.sources.keys().cloned().collect();
        for other in &others {
            self.tell_stand_ins(other);
        }
        Ok(shared)
    }

    /// What stands in for subtitles has to be held like all that is listed.
    async fn hold_empty_subtitles(&self, header: &Header) {
        if header.renditions.iter().any(|r| r.traits.kind == Kind::Subtitles) {
            let until = self.deps.clock.now().plus(header.target() * 20);
            let bytes = Bytes::from_static(EMPTY_SUBTITLES);
            if let Err(error) = self.deps.segments.put(bytes, until).await {
                tracing::warn!(stream = %self.key, %error, "subtitles have nothing to stand in for them");
            }
        }
    }

    /// A viewer comes with a token of a lane that is not carried here now.
    pub(super) async fn find_lane(&mut self, id: LaneId, answer: Answer) {
        if let Some(lane) = self.lanes.get(&id) {
            lane.shared.ask(0);
            let _ = answer.send(Ok(lane.shared.clone()));
            return;
        }
        if let Some(lane) = self.load(&id).await {
            lane.shared.ask(0);
            let _ = answer.send(Ok(lane.shared.clone()));
            return;
        }
        // Its log is lost: it is opened anew, above its old numbers, as soon as a packager shows
        // what to open it with.
        let now = self.deps.clock.now();
        self.reopening.entry(id.clone()).or_insert(now);
        self.slot.wait_for(id, answer);
    }

    pub(super) async fn load(&mut self, id: &LaneId) -> Option<&Carried> {
        let stored = match self.deps.store.load(id).await {
            Ok(stored) => stored?,
            Err(error) => {
                tracing::warn!(lane = %id, %error, "its log cannot be read");
                return None;
            }
        };
        if stored.header.stream != self.key {
            return None;
        }
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
        self.find_assets(&lane.log).await;
        for r in 0..lane.held_from.len() {
            let from = self.held_from(&lane.log, r).await;
            if let Some(slot) = lane.held_from.get_mut(r) {
                *slot = from;
            }
        }
        tracing::info!(lane = %id, stream = %self.key, steps = lane.log.steps().len(), "lane loaded");
        self.slot.remember(id, shared, self.deps.lane_room_anyway());
        self.lanes.insert(id.clone(), lane);
        self.lanes.get(id)
    }

    /// Init segments, keys and session resources that another process put into the directory.
    async fn find_assets(&self, log: &Log) {
        let header = log.header();
        let held = header.window.min(header.depth_held);
        let keep = self.deps.clock.now().plus(held + header.target() * 10);
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
        let held = log.header().window.min(log.header().depth_held);
        let keep = self.deps.clock.now().plus(held + log.header().target() * 10);
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

    /// Opens lanes anew whose logs are lost, and tells those who wait for them.
    async fn reopen(&mut self, now: UnixMs, choice: &Choice, zone: &str) {
        let waiting: Vec<(LaneId, UnixMs)> =
            self.reopening.iter().map(|(l, t)| (l.clone(), *t)).collect();
        for (id, since) in waiting {
            let result = match choice {
                Choice::Open(_) if self.siblings_pending(now.since(since)) => None,
                Choice::Open(on) => match self.header(now, on, id.clone(), zone, true).await {
                    Ok(Some(header)) => {
                        let room = self.deps.lane_room_anyway();
                        Some(self.adopt(header, on.clone(), room).await)
                    }
                    Ok(None) => None,
                    Err(refusal) => Some(Err(refusal)),
                },
                Choice::Refuse(refusal) => Some(Err(refusal.clone())),
                Choice::Wait => None,
            };
            let result =
                result.or_else(|| (now.since(since) >= PATIENCE).then_some(Err(Refusal::NotReady)));
            if let Some(result) = result {
                self.reopening.remove(&id);
                self.slot.found(&id, &result);
            }
        }
    }
}

/// The packager that a lane opened on, as its id says.
fn opened_on(id: &LaneId) -> Option<PackagerId> {
    id.as_str().rsplit_once('-').map(|(packager, _)| PackagerId::new(packager))
}
