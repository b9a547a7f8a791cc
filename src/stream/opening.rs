//! Opening lanes: which packager a new viewer joins.

use std::sync::Arc;
use std::time::Duration;

use super::carry::Carried;
use super::lane::PATIENCE;
use super::source::Source;
use super::worker::{Answer, Worker};
use super::{Lane, Refusal};
use bytes::Bytes;

use crate::model::lane::{EMPTY_SUBTITLES, Entry, Header, Held, Log};
use crate::model::names::{LaneId, OutputMsn, PackagerId, UnixMs};
use crate::model::playlist::Extent;
use crate::model::rendition::{Kind, Rendition};

/// Siblings' target durations are waited for this long before a header is frozen.
const SIBLINGS: Duration = Duration::from_millis(1500);

impl Worker {
    /// Answers those who wait to join, if it can be decided now. Returns when to look again.
    pub(super) async fn open_lanes(&mut self) -> UnixMs {
        let now = self.deps.clock.now();
        let later = now.plus(Duration::from_millis(100));
        let waiting = !self.joining.is_empty() || !self.reopening.is_empty();
        if !waiting {
            return now.plus(Duration::from_secs(1));
        }
        let since =
            self.joining.iter().map(|(at, _)| *at).chain(self.reopening.values().copied()).min();
        let waited = since.map_or(Duration::ZERO, |s| now.since(s));
        let choice = self.choose(now, waited);
        if !self.reopening.is_empty() {
            self.reopen(now, &choice).await;
        }
        if self.joining.is_empty() {
            return later;
        }
        let on = if let Choice::Open(id) = &choice { Some(id.clone()) } else { None };
        let result = match choice {
            Choice::Wait if waited < PATIENCE => return later,
            Choice::Wait => Err(Refusal::NoPackager),
            Choice::Refuse(refusal) => Err(refusal),
            Choice::Open(id) => match self.open_on(now, &id, waited).await {
                Some(result) => result,
                None if waited < PATIENCE => return later,
                None => Err(Refusal::NotReady),
            },
        };
        if let (Ok(lane), Some(on)) = (&result, on) {
            self.slot.opened(lane.clone(), on);
        }
        for (_, answer) in self.joining.drain(..) {
            let _ = answer.send(result.clone());
        }
        later
    }

    /// The packager that new viewers go to.
    fn choose(&self, now: UnixMs, waited: Duration) -> Choice {
        let Some(pool) = self.deps.pools.get(&self.key.pool) else {
            return Choice::Refuse(Refusal::NoStream);
        };
        let lanes = self.lane_counts();
        let mut pending = false;
        let mut whole = None;
        for p in pool.preference(&self.deps.zone, &|id| lanes.get(id).copied().unwrap_or(0)) {
            let Some(source) = self.sources.get(&p.id) else { continue };
            if !source.answered() {
                // A better one that has not answered yet is waited for, but not for ever.
                pending = true;
                // One that is cold takes its time: whoever moves is taken without it.
                if source.warming {
                    continue;
                }
                if waited < SIBLINGS {
                    return Choice::Wait;
                }
                continue;
            }
            if source.lists() && source.moves(now) {
                // Of one that is taken out the last resort is made only where others are not just late.
                if waited < SIBLINGS && self.drained(&p.id) {
                    return Choice::Wait;
                }
                return Choice::Open(p.id.clone());
            }
            if source.whole() {
                whole.get_or_insert_with(|| p.id.clone());
            }
        }
        if pending {
            return Choice::Wait;
        }
        // Nobody moves: a recording, or a stream that has ended.
        if let Some(id) = whole {
            return Choice::Open(id);
        }
        if self.sources.is_empty() {
            return Choice::Wait;
        }
        if self.sources.values().all(Source::gone) {
            return Choice::Refuse(Refusal::NoStream);
        }
        if waited > SIBLINGS { Choice::Refuse(Refusal::NoPackager) } else { Choice::Wait }
    }

    /// The open lane of that packager, or a new one. None: something has to come first.
    async fn open_on(
        &mut self,
        now: UnixMs,
        id: &PackagerId,
        waited: Duration,
    ) -> Option<Result<Arc<Lane>, Refusal>> {
        let open = self.lanes.values().find(|l| {
            let whole = l.log.header().extent == Extent::Whole;
            l.opens_on.as_ref() == Some(id)
                && l.log.tail().is_none_or(|t| t.packager == *id && t.end == whole)
                && !self.cut_short(l.log.header(), id)
        });
        if let Some(lane) = open {
            return Some(Ok(lane.shared.clone()));
        }
        if let Some(lane) = self.stored_lane(id).await {
            return Some(Ok(lane));
        }
        // The target duration is that of the whole pool, and cannot rise later (law 4).
        if waited < SIBLINGS && !self.sources.values().all(Source::answered) {
            return None;
        }
        if self.deps.lanes_full() {
            return Some(Err(Refusal::Limit("limits.lanes")));
        }
        if !self.deps.segments.admits_stream() && self.lanes.is_empty() {
            return Some(Err(Refusal::Limit("segments")));
        }
        let source = self.sources.get(id);
        let incomplete = source.is_some_and(|s| !s.complete()) && waited < SIBLINGS;
        if self.siblings_pending(waited) || incomplete || source.is_some_and(Source::shallow) {
            return None;
        }
        let lane = LaneId::new(format!("{id}-{:08x}", self.deps.random_u32()));
        let header = match self.header(now, id, lane, false).await {
            Ok(header) => header?,
            Err(refusal) => return Some(Err(refusal)),
        };
        let lane = self.adopt(header, id.clone()).await;
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

    /// A lane of this packager that an earlier process opened and that still is on it.
    async fn stored_lane(&mut self, id: &PackagerId) -> Option<Arc<Lane>> {
        let lanes = self.deps.store.lanes_of(&self.key).await.ok()?;
        let prefix = format!("{id}-");
        for lane in lanes.iter().rev().filter(|l| l.as_str().starts_with(&prefix)).take(2) {
            if self.lanes.contains_key(lane) {
                continue;
            }
            let stored = self.deps.store.load(lane).await.ok()??;
            let now = self.deps.clock.now();
            let usable = stored.steps.last().is_some_and(|t| {
                t.packager == *id && !t.end && now.since(t.listed_at) < stored.header.window
            });
            if usable && !self.cut_short(&stored.header, id) {
                return self.load(lane).await.map(|c| c.shared.clone());
            }
        }
        None
    }

    /// Puts a header into the store and the lane into this worker.
    async fn adopt(&mut self, header: Header, on: PackagerId) -> Result<Arc<Lane>, Refusal> {
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
        self.slot.remember(&id, shared.clone());
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
        let on = id.as_str().rsplit_once('-').map(|(p, _)| PackagerId::new(p));
        let mut lane = Carried::new(shared.clone(), log, on, self.deps.clock.now());
        self.find_assets(&lane.log).await;
        for r in 0..lane.held_from.len() {
            let from = self.held_from(&lane.log, r).await;
            if let Some(slot) = lane.held_from.get_mut(r) {
                *slot = from;
            }
        }
        tracing::info!(lane = %id, stream = %self.key, steps = lane.log.steps().len(), "lane loaded");
        self.slot.remember(id, shared);
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
    async fn reopen(&mut self, now: UnixMs, choice: &Choice) {
        let waiting: Vec<(LaneId, UnixMs)> =
            self.reopening.iter().map(|(l, t)| (l.clone(), *t)).collect();
        for (id, since) in waiting {
            let result = match choice {
                Choice::Open(_) if self.siblings_pending(now.since(since)) => None,
                Choice::Open(on) => match self.header(now, on, id.clone(), true).await {
                    Ok(Some(header)) => Some(self.adopt(header, on.clone()).await),
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

/// What to do with those who want to join.
enum Choice {
    Open(PackagerId),
    Wait,
    Refuse(Refusal),
}
