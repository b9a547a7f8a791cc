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

use crate::model::lane::{EMPTY_SUBTITLES, Header, Log};
use crate::model::names::{LaneId, PackagerId, UnixMs};
use crate::model::playlist::Extent;
use crate::model::rendition::{Kind, Rendition};

/// Stored lanes that are looked at when new viewers come: the newest.
const RECOLLECTED: usize = 8;

/// A stored lane that new viewers cannot join now, since it stands still or is elsewhere, is looked at again after
/// this.
const STANDS_STILL: Duration = Duration::from_secs(10);
/// One that has ended after this: another proxy, which knew nothing of the end, may have gone on.
const OVER: Duration = Duration::from_secs(300);
/// Lanes that other proxies may have opened meanwhile are looked for so often at the most.
const LOOK_FOR_LANES: Duration = Duration::from_secs(1);
/// A lane that opens has its first steps within so long.
const OPENED_WITHIN: Duration = Duration::from_secs(2);
/// Lanes that opened for the same viewers at the same moment, at two proxies: the first is for all.
const SAME_MOMENT: Duration = Duration::from_secs(20);

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
        if zones.iter().any(|zone| !self.has_lane(zone)) && !self.recollected_since(now) {
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
            Choice::Wait if !late => None,
            Choice::Wait => Some(self.carried_by_others(now, zone, Refusal::NoPackager)),
            Choice::Refuse(refusal) => Some(self.carried_by_others(now, zone, refusal)),
            Choice::Open(id) => match self.open_on(now, &id, zone, waited).await {
                Some(result) => Some((result, Some(id))),
                None => late.then_some((Err(Refusal::NotReady), None)),
            },
        }
    }

    /// No packager can be reached from here, and yet a lane goes on, by proxies that can.
    fn carried_by_others(&self, now: UnixMs, zone: &str, refusal: Refusal) -> Admitted {
        let goes_on = |lane: &&Carried| {
            let header = lane.log.header();
            let tail = lane.log.tail().filter(|t| !t.end);
            let recent = tail.is_some_and(|t| now.since(t.listed_at) < header.target() * 3);
            header.zone == zone && recent && self.place(zone).is_of(&header.multivariant)
        };
        let lane = self.lanes.values().filter(|_| self.in_fleet()).find(goes_on);
        match lane {
            Some(lane) => {
                let on = lane.log.tail().map(|t| t.packager.clone());
                (Ok(lane.shared.clone()), on)
            }
            None => (Err(refusal), None),
        }
    }

    /// There is a lane here that new viewers of the zone could join.
    fn has_lane(&self, zone: &str) -> bool {
        self.sources.keys().any(|id| self.open_lane(id, zone).is_some())
    }

    /// The lanes of other processes were looked for: once, and of a fleet a moment ago.
    fn recollected_since(&self, now: UnixMs) -> bool {
        let recent = |at: UnixMs| !self.in_fleet() || now.since(at) < LOOK_FOR_LANES;
        self.recollected_at.is_some_and(recent)
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
        // Another proxy may have opened one since.
        if self.in_fleet() && !self.recollected_since(now) {
            self.recollect().await;
            if let Some(lane) = self.open_lane(id, zone) {
                return Some(Ok(lane.shared.clone()));
            }
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
        self.recollected_at = Some(self.deps.clock.now());
        let zones: BTreeSet<Arc<str>> = self.joining.iter().map(|j| j.zone.clone()).collect();
        let Ok(lanes) = self.deps.store.lanes_of(&self.key).await else { return };
        self.past.retain(|id, _| lanes.contains(id));
        for id in lanes.iter().rev().take(RECOLLECTED) {
            let now = self.deps.clock.now();
            if self.lanes.contains_key(id) || self.past.get(id).is_some_and(|until| now < *until) {
                continue;
            }
            let Ok(Some(stored)) = self.deps.store.load(id).await else { continue };
            let on = opened_on(id);
            let usable = stored.steps.last().is_some_and(|t| {
                let recent = now.since(t.listed_at) < stored.header.window;
                on.as_ref() == Some(&t.packager) && !t.end && recent
            });
            // The logs of long windows are long: those that are over are read seldom.
            match stored.steps.last() {
                Some(tail) if tail.end => self.past.insert(id.clone(), now.plus(OVER)),
                Some(_) if !usable => self.past.insert(id.clone(), now.plus(STANDS_STILL)),
                _ => None,
            };
            let usable = usable && zones.contains(stored.header.zone.as_str());
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
            // Viewers are served on; the store gets it with its first steps once it answers.
            Err(error) => {
                tracing::warn!(stream = %self.key, lane = %header.lane, %error, "a lane opens without the store");
                self.deps.observer.store_failed();
                header
            }
        };
        if let Some(first) = self.opened_by_another(&header).await {
            return Ok(first);
        }
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

    /// Two proxies open a lane for the same viewers at the same moment: the one that the store took first is for
    /// the viewers of both, and nobody ever hears of the other.
    async fn opened_by_another(&mut self, own: &Header) -> Option<Arc<Lane>> {
        if !self.in_fleet() || own.reopened() {
            return None;
        }
        let lanes = self.deps.store.lanes_of(&self.key).await.ok()?;
        let at = lanes.iter().position(|id| *id == own.lane)?;
        let before = lanes.get(at.saturating_sub(RECOLLECTED)..at)?;
        for id in before.iter().filter(|id| opened_on(id) == opened_on(&own.lane)) {
            if self.lanes.contains_key(id) {
                continue;
            }
            let Ok(Some(stored)) = self.deps.store.load(id).await else { continue };
            let header = &stored.header;
            let apart = header.opened_at.signed_since(own.opened_at).unsigned_abs();
            let same = header.zone == own.zone
                && header.multivariant == own.multivariant
                && Duration::from_millis(apart) < SAME_MOMENT
                && stored
                    .steps
                    .last()
                    .is_none_or(|t| !t.end && opened_on(id).as_ref() == Some(&t.packager));
            if same && let Some(lane) = self.load(id).await {
                lane.shared.ask(0);
                return Some(lane.shared.clone());
            }
        }
        None
    }

    /// What stands in for subtitles has to be held like all that is listed.
    pub(super) async fn hold_empty_subtitles(&self, header: &Header) {
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
        // Who comes next is not looked for again: every look stops all lanes of the stream for a moment.
        let known_to_be_lost = self.reopening.contains_key(&id);
        if !known_to_be_lost && let Some(lane) = self.load(&id).await {
            lane.shared.ask(0);
            let _ = answer.send(Ok(lane.shared.clone()));
            return;
        }
        // The store has it not. Where no other proxy carries it either it is opened anew, above its old numbers, as
        // soon as a packager shows what to open it with.
        let now = self.deps.clock.now();
        self.reopening.entry(id.clone()).or_insert(now);
        self.slot.wait_for(id, answer);
    }

    /// Another proxy, which may not reach the store, may have just opened the lane: its log is waited for, or two
    /// would begin with other steps.
    fn may_be_opening_elsewhere(&self, now: UnixMs, since: UnixMs) -> bool {
        self.deps.fleet.others() > 0 && now.since(since) < OPENED_WITHIN
    }

    async fn load_from_anywhere(&mut self, id: &LaneId) -> Option<Arc<Lane>> {
        if let Some(lane) = self.load(id).await {
            return Some(lane.shared.clone());
        }
        self.load_from_another(id).await.map(|lane| lane.shared.clone())
    }

    /// Opens lanes anew whose logs are lost, and tells those who wait for them.
    async fn reopen(&mut self, now: UnixMs, choice: &Choice, zone: &str) {
        let waiting: Vec<(LaneId, UnixMs)> =
            self.reopening.iter().map(|(l, t)| (l.clone(), *t)).collect();
        for (id, since) in waiting {
            // Asking for the one before it may have taken a moment.
            if self.may_be_opening_elsewhere(self.deps.clock.now(), since) {
                if let Some(lane) = self.load_from_anywhere(&id).await {
                    lane.ask(0);
                    self.reopening.remove(&id);
                    self.slot.found(&id, &Ok(lane));
                }
                continue;
            }
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
pub(super) fn opened_on(id: &LaneId) -> Option<PackagerId> {
    id.as_str().rsplit_once('-').map(|(packager, _)| PackagerId::new(packager))
}
