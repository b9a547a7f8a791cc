//! The one task of a watched stream. It owns all that is known of it: what each packager shows,
//! and the lanes. Requests to packagers run beside it and report back; it never waits for them.
//!
//! A turn: take what came, refresh what is due, let each lane go on (`carry`), open what was
//! asked for (`opening`), sleep until something is due.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{mpsc, oneshot};

use super::carry::Carried;
use super::source::{EntryState, Source};
use super::{Deps, Lane, Outcome, PoolSettings, Refusal, Slot};
use crate::model::lane::{Failing, Held, Observed, Resource, Want, What};
use crate::model::multivariant::Multivariant;
use crate::model::names::{ContentHash, LaneId, PackagerId, StreamKey, UnixMs};
use crate::model::playlist::{self, Shape};
use crate::model::uri;
use crate::origin::{OriginError, PlaylistAnswer};
use crate::segments::SegmentsError;

/// An entry playlist that fails is asked for again after this at the latest.
const ENTRY_WAIT_MAX: Duration = Duration::from_secs(6);
/// And not more often than this, however short a lane's segments are.
const ENTRY_WAIT_LEAST: Duration = Duration::from_millis(500);

/// What comes to the worker.
pub enum Event {
    /// A new viewer.
    Join(oneshot::Sender<Result<Arc<Lane>, Refusal>>),
    /// A viewer with a valid token of this lane.
    Lane(LaneId, oneshot::Sender<Result<Arc<Lane>, Refusal>>),
    /// The entry playlist of a packager.
    Entry(PackagerId, Result<PlaylistAnswer, OriginError>),
    /// The media playlist of a packager's rendition.
    Refreshed(PackagerId, usize, Result<PlaylistAnswer, OriginError>),
    /// Bytes that a lane waits for.
    Fetched(Fetch, Result<Held, FetchError>),
    /// Bytes fetched again, to know whether a run goes on.
    /// (of which rendition, for which doubt).
    Proved(PackagerId, usize, u32, Option<ContentHash>),
    /// Somebody asked for something: look again.
    Look,
}

/// A fetch of bytes for a track.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fetch {
    pub packager: PackagerId,
    /// Place of the rendition on the packager.
    pub found: usize,
    pub run: u32,
    pub what: What,
}

/// Why bytes are not held.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FetchError {
    #[error(transparent)]
    Origin(#[from] OriginError),
    #[error(transparent)]
    Segments(#[from] SegmentsError),
    #[error("is not media")]
    NotMedia,
}

/// The worker of one stream.
pub struct Worker {
    pub(super) key: StreamKey,
    pub(super) deps: Arc<Deps>,
    pub(super) slot: Arc<Slot>,
    pub(super) settings: Arc<PoolSettings>,
    pub(super) inbox: mpsc::Receiver<Event>,
    pub(super) outbox: mpsc::Sender<Event>,
    pub(super) sources: BTreeMap<PackagerId, Source>,
    pub(super) lanes: BTreeMap<LaneId, Carried>,
    pub(super) joining: Vec<(UnixMs, oneshot::Sender<Result<Arc<Lane>, Refusal>>)>,
    pub(super) reopening: BTreeMap<LaneId, UnixMs>,
    pub(super) fetching: HashSet<Fetch>,
    pub(super) asked_at: UnixMs,
    pub(super) rng: StdRng,
}

impl Worker {
    pub(super) fn new(
        key: StreamKey,
        deps: Arc<Deps>,
        slot: Arc<Slot>,
        inbox: mpsc::Receiver<Event>,
        outbox: mpsc::Sender<Event>,
    ) -> Self {
        let rng = StdRng::seed_from_u64(deps.seed());
        Self {
            settings: deps.pool_settings(&key.pool),
            asked_at: deps.clock.now(),
            key,
            deps,
            slot,
            inbox,
            outbox,
            sources: BTreeMap::new(),
            lanes: BTreeMap::new(),
            joining: Vec::new(),
            reopening: BTreeMap::new(),
            fetching: HashSet::new(),
            rng,
        }
    }

    /// Runs until nobody has asked for the stream for long enough.
    pub(super) async fn run(mut self) {
        loop {
            let wake = self.turn().await;
            if self.idle() && self.slot.close_if_unused() {
                break;
            }
            let at = self.deps.clock.instant(wake);
            tokio::select! {
                biased;
                event = self.inbox.recv() => match event {
                    Some(event) => self.take(event).await,
                    None => break,
                },
                () = tokio::time::sleep_until(at) => {}
            }
            while let Ok(event) = self.inbox.try_recv() {
                self.take(event).await;
            }
        }
        self.slot.ended();
    }

    fn idle(&self) -> bool {
        let now = self.deps.clock.now();
        let asked = self.lanes.values().map(|l| l.shared.last_asked()).max();
        let last = asked.unwrap_or_default().max(self.asked_at);
        self.joining.is_empty() && now.since(last) > self.settings.idle_after
    }

    /// Everything that is due now. Returns when to look again.
    async fn turn(&mut self) -> UnixMs {
        self.settings = self.deps.pool_settings(&self.key.pool);
        self.watch_packagers();
        let mut wake = self.ask_packagers();
        wake = wake.min(self.carry_lanes().await);
        wake = wake.min(self.open_lanes().await);
        self.prove();
        self.tell_states();
        self.publish_status();
        // What the lanes just asked to be shown is refreshed without waiting for the next event.
        wake.min(self.ask_packagers())
    }

    async fn take(&mut self, event: Event) {
        let now = self.deps.clock.now();
        match event {
            Event::Join(answer) => {
                self.asked_at = now;
                self.joining.push((now, answer));
            }
            Event::Lane(id, answer) => {
                self.asked_at = now;
                self.find_lane(id, answer).await;
            }
            Event::Entry(id, result) => self.take_entry(now, &id, result),
            Event::Refreshed(id, at, result) => self.take_refresh(now, &id, at, result),
            Event::Fetched(fetch, result) => self.take_bytes(&fetch, result),
            Event::Proved(id, at, doubt, hash) => {
                if let Some(shown) = self.sources.get_mut(&id).and_then(|s| s.shown.get_mut(&at)) {
                    shown.proving = false;
                    let seen = shown.track.proved(now, doubt, hash);
                    if seen == Observed::NewRun {
                        tracing::info!(stream = %self.key, packager = %id, "the packager restarted: another run");
                    }
                }
            }
            Event::Look => {}
        }
    }

    /// A source for each packager that lanes need or may need, and none for those that left.
    fn watch_packagers(&mut self) {
        let Some(pool) = self.deps.pools.get(&self.key.pool) else { return };
        let packagers = pool.packagers();
        self.sources.retain(|id, _| packagers.iter().any(|p| p.id == *id));
        let mut needed: Vec<PackagerId> =
            self.lanes.values().filter_map(|l| Some(l.log.tail()?.packager.clone())).collect();
        // Siblings of the lane's packager, or candidates to open on: those that work count.
        let lanes = self.lane_counts();
        let mut standbys = 0;
        let enough = self.settings.standbys + usize::from(needed.is_empty());
        for p in pool.preference(&self.deps.zone, &|id| lanes.get(id).copied().unwrap_or(0)) {
            if needed.contains(&p.id) {
                continue;
            }
            if standbys >= enough {
                break;
            }
            let works = self.sources.get(&p.id).is_none_or(|s| !s.failed() && !s.gone());
            standbys += usize::from(works);
            needed.push(p.id.clone());
        }
        self.sources.retain(|id, s| needed.contains(id) || s.asking);
        for id in needed {
            self.sources.entry(id.clone()).or_insert_with(|| Source::new(id));
        }
    }

    pub(super) fn lane_counts(&self) -> HashMap<PackagerId, usize> {
        let mut counts = HashMap::new();
        for tail in self.lanes.values().filter_map(|l| l.log.tail()) {
            *counts.entry(tail.packager.clone()).or_insert(0) += 1;
        }
        counts
    }

    /// Starts every request for a playlist that is due. Returns when the next one is.
    fn ask_packagers(&mut self) -> UnixMs {
        let now = self.deps.clock.now();
        let mut wake = now.plus(Duration::from_secs(1));
        let ids: Vec<PackagerId> = self.sources.keys().cloned().collect();
        for id in ids {
            self.show_wanted(&id);
            let Some(source) = self.sources.get_mut(&id) else { continue };
            if matches!(source.entry, EntryState::Unknown) {
                if !source.asking && source.ask_at <= now {
                    source.asking = true;
                    self.ask_entry(&id);
                } else if !source.asking {
                    wake = wake.min(source.ask_at);
                }
                continue;
            }
            let mut due = Vec::new();
            for (&at, shown) in &mut source.shown {
                if shown.asking {
                    continue;
                }
                if shown.pace.due() <= now {
                    shown.asking = true;
                    shown.pace.start(now);
                    due.push((at, shown.path.clone(), shown.track.target_duration()));
                } else {
                    wake = wake.min(shown.pace.due());
                }
            }
            for (at, path, target) in due {
                self.ask_media(&id, at, path, target);
            }
        }
        wake
    }

    /// The renditions that are refreshed: those that lanes' viewers ask for, or the first.
    fn show_wanted(&mut self, id: &PackagerId) {
        let since = self.deps.clock.now().minus(self.settings.idle_after);
        let Some(source) = self.sources.get_mut(id) else { return };
        if matches!(source.entry, EntryState::Unknown) {
            return;
        }
        let mut wanted: HashSet<usize> = HashSet::new();
        for lane in self.lanes.values() {
            let matched = source.matched(lane.log.header());
            let asked = lane.wanted(since);
            wanted.extend(matched.iter().zip(asked).filter_map(|(m, asked)| m.filter(|_| asked)));
        }
        if wanted.is_empty() {
            wanted.insert(0);
        }
        source.shown.retain(|at, s| wanted.contains(at) || s.asking);
        for at in wanted {
            source.show(at, &self.key.path_and_query());
        }
    }

    fn ask_entry(&self, id: &PackagerId) {
        let (deps, id, out) = (self.deps.clone(), id.clone(), self.outbox.clone());
        let path = self.key.path_and_query();
        tokio::spawn(async move {
            let result = deps.playlist(&id, &path, Duration::from_secs(2)).await;
            let _ = out.send(Event::Entry(id, result)).await;
        });
    }

    fn ask_media(&self, id: &PackagerId, at: usize, path: String, target: u32) {
        let (deps, id, out) = (self.deps.clone(), id.clone(), self.outbox.clone());
        // Two tries fit into a target duration (design.md, law 6).
        let deadline = Duration::from_secs(u64::from(target)) / 2;
        let deadline = deadline.clamp(Duration::from_millis(800), Duration::from_secs(5));
        tokio::spawn(async move {
            let result = deps.playlist(&id, &path, deadline).await;
            let _ = out.send(Event::Refreshed(id, at, result)).await;
        });
    }

    fn take_entry(&mut self, now: UnixMs, id: &PackagerId, result: Result<PlaylistAnswer, OriginError>) {
        let hosts = self.deps.hosts_of(id);
        let limits = self.settings.playlist.clone();
        let path = self.key.path_and_query();
        let Some(source) = self.sources.get_mut(id) else { return };
        source.asking = false;
        let (error, gone) = match result {
            Err(e) => (e.to_string(), e.is_gone()),
            Ok(answer) => match playlist::shape(&answer.body) {
                Ok(Shape::Media) => {
                    source.entry = EntryState::Lone;
                    source.failing = None;
                    source.show(0, &path);
                    if let Some(s) = source.shown.get_mut(&0) {
                        s.pace.start(now);
                    }
                    self.take_refresh(now, id, 0, Ok(answer));
                    return;
                }
                Ok(Shape::Multivariant) => match Multivariant::read(&answer.body, &limits) {
                    Ok(m) => {
                        let paths = m.found.iter().map(|f| uri::resolve(&path, &f.uri, &hosts).ok());
                        let paths = paths.collect();
                        source.entry = EntryState::Multivariant(Box::new(m), paths);
                        source.failing = None;
                        return;
                    }
                    Err(e) => (e.to_string(), false),
                },
                Err(e) => (e.to_string(), false),
            },
        };
        let f = Failing::note(&mut source.failing, now, gone);
        if f.count == 1 {
            tracing::info!(stream = %self.key, packager = %id, %error, "no entry playlist");
        }
        // Lanes that stand still go on within a target duration of a packager's return (law 6).
        let most = self.lanes.values().map(|l| l.target() / 2).min().unwrap_or(ENTRY_WAIT_MAX);
        let wait = Duration::from_millis(200 * (1 << f.count.min(5)) - 300);
        source.ask_at = now.plus(wait.min(most.max(ENTRY_WAIT_LEAST)));
    }

    fn take_refresh(
        &mut self,
        now: UnixMs,
        id: &PackagerId,
        at: usize,
        result: Result<PlaylistAnswer, OriginError>,
    ) {
        let hosts = self.deps.hosts_of(id);
        let Some(source) = self.sources.get_mut(id) else { return };
        let Some(shown) = source.shown.get_mut(&at) else { return };
        shown.asking = false;
        let read = result.map_err(|e| (e.is_gone(), e.to_string())).and_then(|answer| {
            super::reading::snapshot(&answer.body, &shown.path, &hosts, &self.settings.playlist)
                .map(|s| (s, answer.reconnected))
                .map_err(|e| (false, e))
        });
        let target = Duration::from_secs(u64::from(shown.track.target_duration().max(2)));
        match read {
            Ok((snapshot, reconnected)) => {
                let seen = shown.track.observe(now, snapshot, reconnected);
                if seen == Observed::NewRun && shown.track.run() > 1 {
                    tracing::info!(stream = %self.key, packager = %id, "the packager began another run");
                }
                let target = Duration::from_secs(u64::from(shown.track.target_duration().max(1)));
                shown.pace.plan(now, &shown.track, target, &mut self.rng);
            }
            Err((gone, error)) => {
                shown.track.failed(now, gone);
                let count = shown.track.failing().map_or(1, |f| f.count);
                if count == 2 {
                    tracing::info!(stream = %self.key, packager = %id, %error, "its playlist fails");
                }
                shown.pace.back_off(now, count, target, &mut self.rng);
                // Its entry playlist may name others by now (a Wowza that restarted does).
                if count >= 3 && matches!(source.entry, EntryState::Multivariant(..)) {
                    source.ask_again(now);
                }
            }
        }
    }

    fn take_bytes(&mut self, fetch: &Fetch, result: Result<Held, FetchError>) {
        self.fetching.remove(fetch);
        let held = match result {
            Ok(held) => Some(held),
            Err(error) => {
                let what = match &fetch.what {
                    What::Segment(_, r) | What::Init(r) => &r.path,
                };
                tracing::info!(stream = %self.key, packager = %fetch.packager, segment = what, %error, "cannot be had");
                None
            }
        };
        let shown = self.sources.get_mut(&fetch.packager).and_then(|s| s.shown.get_mut(&fetch.found));
        let Some(shown) = shown else { return };
        match &fetch.what {
            What::Segment(msn, _) => shown.track.fetched(fetch.run, *msn, held),
            What::Init(r) => shown.track.fetched_init(fetch.run, r, held),
        }
    }

    /// Starts the fetches that `wants` names and that are not under way: one request per segment,
    /// however many lanes and viewers wait for it.
    pub(super) fn fetch(&mut self, wants: &[Want], matched: &BTreeMap<PackagerId, Vec<Option<usize>>>, target: Duration) {
        for want in wants {
            let Some(found) = matched.get(&want.packager).and_then(|m| *m.get(want.rendition)?) else {
                continue;
            };
            let fetch = Fetch {
                packager: want.packager.clone(),
                found,
                run: want.run,
                what: want.what.clone(),
            };
            if !self.fetching.insert(fetch.clone()) {
                continue;
            }
            let (deps, out) = (self.deps.clone(), self.outbox.clone());
            let keep = self.settings.window.unwrap_or(target * 10) * 2 + target * 10;
            tokio::spawn(async move {
                let result = deps.bytes(&fetch, target, keep).await;
                let _ = out.send(Event::Fetched(fetch, result)).await;
            });
        }
    }

    /// Starts the fetches that prove whether runs go on.
    fn prove(&mut self) {
        for source in self.sources.values_mut() {
            for (&at, shown) in &mut source.shown {
                let proof = shown.track.proof().filter(|_| !shown.proving);
                let Some((doubt, resource)) = proof.map(|(n, r)| (n, r.clone())) else { continue };
                shown.proving = true;
                let target = Duration::from_secs(u64::from(shown.track.target_duration().max(1)));
                let (deps, id, out) = (self.deps.clone(), source.id.clone(), self.outbox.clone());
                tokio::spawn(async move {
                    let hash = deps.hash_of(&id, &resource, target / 2).await;
                    let _ = out.send(Event::Proved(id, at, doubt, hash)).await;
                });
            }
        }
    }

    /// Tells operators of each packager whose state for this stream changed.
    fn tell_states(&mut self) {
        use crate::model::lane::SpliceReason as R;
        let now = self.deps.clock.now();
        for source in self.sources.values_mut() {
            if !source.answered() {
                continue;
            }
            let bad = match () {
                () if source.gone() => Some(R::Ended),
                () if source.failed() => Some(R::Failed),
                () if !source.moves(now) => Some(R::Stalled),
                () => None,
            };
            if bad != source.told {
                source.told = bad;
                let state = bad.map_or("moves", R::as_str);
                tracing::info!(stream = %self.key, packager = %source.id, state, "the stream on this packager");
                self.deps.observer.stream_state(&self.key, &source.id, bad);
            }
        }
    }
}

/// Fetches under way need their bytes' beginnings looked at: an error page is not a segment.
pub(super) fn looks_like_media(resource: &Resource, bytes: &Bytes) -> bool {
    let name = resource.path.split('?').next().unwrap_or_default();
    let first = bytes.first().copied();
    match first {
        None => false,
        // MPEG-TS packets begin with 0x47 (ISO/IEC 13818-1, 2.4.3.2); AES hides it.
        _ if name.ends_with(".ts") && resource.range.is_none() => first == Some(0x47),
        Some(c) => c != b'<',
    }
}

impl super::Deps {
    async fn playlist(&self, id: &PackagerId, path: &str, deadline: Duration) -> Result<PlaylistAnswer, OriginError> {
        let started = self.clock.now();
        let result = self.origin.playlist(id, path, deadline).await;
        let outcome = outcome(&result);
        self.observer.refreshed(id, outcome, self.clock.now().since(started));
        result
    }

    /// Fetches and holds. On disk when this returns.
    async fn bytes(&self, fetch: &Fetch, deadline: Duration, keep: Duration) -> Result<Held, FetchError> {
        let (What::Segment(_, r) | What::Init(r)) = &fetch.what;
        let result = self.origin.segment(&fetch.packager, &r.path, r.range, deadline).await;
        let n = result.as_ref().map_or(0, Bytes::len);
        self.observer.fetched(&fetch.packager, outcome(&result), n);
        let bytes = result?;
        if !looks_like_media(r, &bytes) {
            return Err(FetchError::NotMedia);
        }
        Ok(self.segments.put(bytes, self.clock.now().plus(keep)).await?)
    }

    async fn hash_of(&self, id: &PackagerId, r: &Resource, deadline: Duration) -> Option<ContentHash> {
        let result = self.origin.segment(id, &r.path, r.range, deadline).await;
        self.observer.fetched(id, outcome(&result), result.as_ref().map_or(0, Bytes::len));
        result.ok().map(|b| ContentHash::of(&b))
    }
}

fn outcome<T>(result: &Result<T, OriginError>) -> Outcome {
    match result {
        Ok(_) => Outcome::Ok,
        Err(e) if e.is_gone() => Outcome::Gone,
        Err(_) => Outcome::Failed,
    }
}
