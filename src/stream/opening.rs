//! Opening lanes: which packager a new viewer joins, and what is frozen in the header.

use std::sync::Arc;
use std::time::Duration;

use super::carry::Carried;
use super::lane::PATIENCE;
use super::source::{EntryState, Source};
use super::worker::{Answer, Worker};
use super::{Lane, Refusal};
use crate::model::lane::{Container, FORMAT, Header, Log, Seen, Track, Want, What};
use crate::model::multivariant;
use crate::model::names::{LaneId, OutputMsn, PackagerId, RenditionId, UnixMs};
use crate::model::rendition::{Rendition, Traits};

/// A packager's own list is taken as the window up to this length; all of it is held.
const WINDOW_MAX: Duration = Duration::from_secs(300);
/// The longest target duration, seconds: what a packager claims beyond is listed as it is.
const TARGET_MAX: u32 = 60;
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
        if let Ok(lane) = &result {
            self.slot.opened(lane.clone());
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
        for p in pool.preference(&self.deps.zone, &|id| lanes.get(id).copied().unwrap_or(0)) {
            let Some(source) = self.sources.get(&p.id) else { continue };
            if !source.answered() {
                // A better one that has not answered yet is waited for, but not for ever.
                pending = true;
                if waited < SIBLINGS {
                    return Choice::Wait;
                }
                continue;
            }
            if source.lists() && source.moves(now) {
                return Choice::Open(p.id.clone());
            }
        }
        if pending {
            return Choice::Wait;
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
            l.opens_on.as_ref() == Some(id)
                && l.log.tail().is_none_or(|t| t.packager == *id && !t.end)
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
        if self.siblings_pending(waited) {
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

    /// A sibling may yet show a longer EXT-X-TARGETDURATION: a header is frozen without it only
    /// after some patience (ARCHITECTURE.md, law 4).
    fn siblings_pending(&self, waited: Duration) -> bool {
        waited < SIBLINGS && self.sources.values().any(|s| !s.answered())
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
            if usable {
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
        // Players begin with one rendition and turn to another within seconds: they find all.
        for r in 0..header.renditions.len() {
            shared.ask(r);
        }
        let id = header.lane.clone();
        tracing::info!(lane = %id, stream = %self.key, packager = %on, target_duration = header.target_duration, "lane opened");
        self.deps.observer.lane_opened(&id, &self.key);
        self.lanes
            .insert(id.clone(), Carried::new(shared.clone(), Log::new(header), Some(on), now));
        self.slot.remember(&id, shared.clone());
        Ok(shared)
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
        let shared = Arc::new(Lane::new(header, self.deps.clock));
        let on = id.as_str().rsplit_once('-').map(|(p, _)| PackagerId::new(p));
        let mut lane = Carried::new(shared.clone(), log, on, self.deps.clock.now());
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

    /// The first step from which on this process holds every one of a rendition.
    async fn held_from(&self, log: &Log, r: usize) -> OutputMsn {
        let mut from = log.next_msn();
        let keep = self.deps.clock.now().plus(log.header().window + log.header().target() * 10);
        for step in log.steps().rev() {
            if step.end {
                continue;
            }
            let held = step.entries.get(r).and_then(|e| e.held);
            match held {
                Some(held) if self.deps.segments.find(held, keep).await => from = step.msn,
                _ => break,
            }
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

    /// What is frozen when a lane opens on `id`. `Ok(None)`: bytes have to come first.
    async fn header(
        &mut self,
        now: UnixMs,
        id: &PackagerId,
        lane: LaneId,
        again: bool,
    ) -> Result<Option<Header>, Refusal> {
        let Some(source) = self.sources.get(id) else { return Ok(None) };
        let Some((&at, shown)) = source.shown.iter().find(|(_, s)| !s.track.segments().is_empty())
        else {
            return Ok(None);
        };
        let track = &shown.track;
        if track.newest().is_some_and(|s| s.listed.segment.encrypted) {
            return Err(Refusal::Unsupported(
                "encrypted segments come with a later version".into(),
            ));
        }
        let container = if track.newest().is_some_and(|s| s.listed.map.is_some()) {
            Container::FragmentedMp4
        } else {
            Container::Plain
        };
        let base = self.settings.url_base.as_ref().map(|b| b.replace("{zone}", &self.deps.zone));
        let place = multivariant::Place::new(&self.key.path, base.as_deref());
        let (renditions, pieces) = match &source.entry {
            EntryState::Multivariant(m, _) => (m.renditions(), m.pieces(&place, &[])),
            EntryState::Lone | EntryState::Unknown => {
                let Some(bandwidth) = bandwidth(track) else {
                    self.fetch_newest(id, at);
                    return Ok(None);
                };
                (vec![lone(bandwidth)], multivariant::wrap(&place, bandwidth, None))
            }
        };
        let target = self.target_duration(track).await?;
        let list: Duration =
            track.segments().iter().skip(track.listed_from()).map(Seen::duration).sum();
        let least = Duration::from_secs(u64::from(target)) * 3;
        Ok(Some(Header {
            format: FORMAT,
            lane,
            stream: self.key.clone(),
            renditions,
            multivariant: pieces,
            target_duration: target,
            version: if container == Container::FragmentedMp4 { 7 } else { 3 },
            container,
            independent_segments: false,
            window: self.settings.window.unwrap_or(list.min(WINDOW_MAX)).max(least),
            first_msn: first_number(now),
            first_discontinuity: if again { now.0 / 1000 } else { 0 },
            opened_at: now,
        }))
    }

    /// The largest of the floor, what any packager of the pool shows now, and what was seen for
    /// this stream before: it can never change afterwards (RFC 8216, 6.2.1).
    async fn target_duration(&self, track: &Track) -> Result<u32, Refusal> {
        let tracks = self.sources.values().flat_map(|s| s.shown.values().map(|s| &s.track));
        let shown = tracks.chain([track]).map(longest).max().unwrap_or(1);
        let wanted = shown.max(self.settings.target_duration.unwrap_or(1)).max(1);
        Ok(self.deps.store.target_duration(&self.key, wanted).await.unwrap_or(wanted))
    }

    /// A lone media playlist's BANDWIDTH is measured from a segment, which is needed anyway.
    fn fetch_newest(&mut self, id: &PackagerId, at: usize) {
        let Some(track) = self.sources.get(id).and_then(|s| s.shown.get(&at)).map(|s| &s.track)
        else {
            return;
        };
        let Some(seen) =
            track.segments().iter().rev().find(|s| !s.lost() && s.bytes.held.is_none())
        else {
            return;
        };
        let want = Want {
            packager: id.clone(),
            rendition: 0,
            run: track.run(),
            what: What::Segment(seen.msn(), seen.listed.resource.clone()),
        };
        let target = Duration::from_secs(u64::from(track.target_duration().max(1)));
        let matched = [(id.clone(), vec![Some(at)])].into();
        self.fetch(&[want], &matched, target);
    }
}

/// The number that a lane opens with: four for each second since November 2023. A lane gains fewer,
/// even with what it lists when it opens, so that one whose log is lost opens above where it was.
/// Below 2^31, which is all that some players hold, until 2040.
fn first_number(now: UnixMs) -> OutputMsn {
    const BEGAN_MS: u64 = 1_700_000_000_000;
    OutputMsn(now.0.saturating_sub(BEGAN_MS) / 250)
}

/// What to do with those who want to join.
enum Choice {
    Open(PackagerId),
    Wait,
    Refuse(Refusal),
}

/// EXT-X-TARGETDURATION must not be less than any EXTINF, rounded (RFC 8216, 4.3.3.1).
fn longest(track: &Track) -> u32 {
    let longest = track.segments().iter().map(Seen::duration).max().unwrap_or_default();
    let rounded = (longest + Duration::from_millis(500)).as_secs();
    track.target_duration().max(u32::try_from(rounded).unwrap_or(u32::MAX)).min(TARGET_MAX)
}

/// Peak bit rate of what is held, with a tenth to spare.
fn bandwidth(track: &Track) -> Option<u64> {
    let rates = track.segments().iter().filter_map(|s| {
        let ms = u64::try_from(s.duration().as_millis()).ok()?.max(100);
        Some(s.bytes.held?.length.saturating_mul(8000) / ms)
    });
    rates.max().map(|peak| (peak + peak / 10).max(1))
}

fn lone(bandwidth: u64) -> Rendition {
    Rendition {
        id: RenditionId::new("v0"),
        traits: Traits { bandwidth: Some(bandwidth), ..Traits::default() },
    }
}
