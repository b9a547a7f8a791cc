//! All streams of this proxy. A known lane is found without waiting; everything else goes to the
//! worker of its stream, which is started where there is none.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use dashmap::DashMap;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{mpsc, oneshot};

use super::admission::Lately;
use super::hearing::{Carriers, hear};
use super::recall::{Recalled, Spot};
use super::usage::{Counted, LaneRoom, PoolUse, Usage};
use super::worker::{Answer, Event, Worker};
use super::{Capacity, Clock, Fleet, Lane, Observer, PoolSettings, Refusal, StreamStatus};
use crate::model::lane::Held;
use crate::model::names::{
    LaneId, OutputMsn, PackagerId, PoolName, RenditionId, StreamKey, UnixMs,
};
use crate::origin::Origin;
use crate::packagers::Pools;
use crate::segments::{Allowance, Segments};
use crate::store::{LaneStore, StoredLane};

/// Events that may wait for one worker.
const INBOX: usize = 1024;
/// A lane found for one new viewer is given to others for this long without asking again.
const OPEN_FOR: Duration = Duration::from_secs(1);

/// A worker that waits for packagers says so within 5 s; one that does not answer by now waits for something else.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);
/// The store says what is newer in less.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(2);
/// Viewers wait no longer for a segment that is listed and not held: a CDN would give up before.
const RECALLED_WITHIN: Duration = Duration::from_secs(5);
/// What is not held here other proxies give within so long.
const ELSEWHERE: Duration = Duration::from_secs(2);
/// And then it is kept for so long.
const KEPT: Duration = Duration::from_secs(120);

/// What streams are carried with.
pub struct Parts {
    /// Asks packagers.
    pub origin: Arc<dyn Origin>,
    /// Holds lanes' logs.
    pub store: Arc<dyn LaneStore>,
    /// Holds bytes.
    pub segments: Arc<Segments>,
    /// The packagers.
    pub pools: Arc<Pools>,
    /// The other proxies.
    pub fleet: Arc<dyn Fleet>,
    /// Hears what happens.
    pub observer: Arc<dyn Observer>,
    /// Tells the time.
    pub clock: Clock,
    /// The zone this proxy stands in.
    pub zone: String,
    /// How many streams and lanes there may be.
    pub capacity: Capacity,
    /// How each pool's streams are carried; the default for pools not named.
    pub settings: HashMap<PoolName, PoolSettings>,
    /// Names by which each packager calls itself in absolute URLs (`host` or `host:port`).
    pub hosts: HashMap<PackagerId, Vec<String>>,
    /// Of the random numbers: lane ids and jitter.
    pub seed: u64,
}

/// What workers share; those of one pool have its segments.
#[derive(Clone)]
pub(super) struct Deps {
    pub origin: Arc<dyn Origin>,
    pub store: Arc<dyn LaneStore>,
    pub segments: Arc<Segments>,
    pub pools: Arc<Pools>,
    pub fleet: Arc<dyn Fleet>,
    pub observer: Arc<dyn Observer>,
    pub clock: Clock,
    pub zone: String,
    capacity: Capacity,
    settings: Arc<ArcSwap<HashMap<PoolName, Arc<PoolSettings>>>>,
    hosts: Arc<ArcSwap<HashMap<PackagerId, Vec<String>>>>,
    rng: Arc<Mutex<StdRng>>,
    /// Who carries each lane: hears of what others append to it.
    carriers: Arc<Carriers>,
    /// Of all pools.
    lanes: Arc<AtomicUsize>,
    /// Of this pool.
    own_lanes: Arc<AtomicUsize>,
}

impl Deps {
    pub fn pool_settings(&self, pool: &PoolName) -> Arc<PoolSettings> {
        self.settings.load().get(pool).cloned().unwrap_or_default()
    }
    pub fn hosts_of(&self, packager: &PackagerId) -> Vec<String> {
        self.hosts.load().get(packager).cloned().unwrap_or_default()
    }
    pub fn seed(&self) -> u64 {
        self.rng.lock().random()
    }
    pub fn random_u32(&self) -> u32 {
        self.rng.lock().random()
    }
    /// Room for another lane of `pool`, or the key of the limit that leaves none.
    pub fn lane_room(&self, pool: &PoolName) -> Result<LaneRoom, &'static str> {
        let max = self.pool_settings(pool).lanes_max.unwrap_or(usize::MAX);
        let own = Counted::below(&self.own_lanes, max).ok_or("pools.limits.lanes")?;
        let all = Counted::below(&self.lanes, self.capacity.lanes).ok_or("limits.lanes")?;
        Ok([own, all])
    }
    /// Room for a lane that somebody watches already, whatever the limits are.
    pub fn lane_room_anyway(&self) -> LaneRoom {
        [&self.own_lanes, &self.lanes].map(Counted::anyway)
    }
    /// Lanes of this pool.
    pub fn own_lanes(&self) -> usize {
        self.own_lanes.load(Ordering::Relaxed)
    }
}

/// What a worker and the requests for its stream share.
pub(super) struct Slot {
    deps: Arc<Deps>,
    inbox: mpsc::Sender<Event>,
    lanes: DashMap<LaneId, (Arc<Lane>, LaneRoom)>,
    /// By zone: what its last new viewers were given.
    open: DashMap<Arc<str>, Given>,
    /// Viewers of lanes that are being opened anew.
    waiting: Mutex<HashMap<LaneId, Vec<Answer>>>,
    closed: AtomicBool,
    pub status: ArcSwapOption<StreamStatus>,
}

/// A lane that new viewers were given, on which packager, and when.
struct Given {
    lane: Arc<Lane>,
    on: PackagerId,
    at: UnixMs,
}

impl Slot {
    pub fn opened(&self, zone: &Arc<str>, lane: Arc<Lane>, on: PackagerId) {
        self.open.insert(zone.clone(), Given { lane, on, at: self.deps.clock.now() });
    }
    pub fn remember(&self, id: &LaneId, lane: Arc<Lane>, room: LaneRoom) {
        self.lanes.insert(id.clone(), (lane, room));
        self.deps.carriers.insert(id.clone(), self.inbox.clone());
    }
    pub fn forget(&self, id: &LaneId) {
        self.lanes.remove(id);
        self.deps.carriers.remove(id);
        self.open.clear();
    }
    pub fn wait_for(&self, id: LaneId, answer: Answer) {
        self.waiting.lock().entry(id).or_default().push(answer);
    }
    pub fn found(&self, id: &LaneId, result: &Result<Arc<Lane>, Refusal>) {
        for answer in self.waiting.lock().remove(id).unwrap_or_default() {
            let _ = answer.send(result.clone());
        }
    }
    /// The worker has ended. Whoever asks from now on starts another.
    pub fn ended(&self) {
        self.closed.store(true, Ordering::Release);
        self.status.store(None);
        self.waiting.lock().clear();
        let ids: Vec<LaneId> = self.lanes.iter().map(|l| l.key().clone()).collect();
        for id in ids {
            self.forget(&id);
        }
    }
    fn open_lane(&self, pool: &PoolName, zone: &str) -> Option<Arc<Lane>> {
        let Given { lane, on, at } = &*self.open.get(zone)?;
        let fresh = self.deps.clock.now().since(*at) < OPEN_FOR;
        // It may have been taken out since.
        let out = || self.deps.pools.get(pool).is_some_and(|pool| pool.is_drained(on));
        (fresh && !out()).then(|| {
            lane.join();
            lane.clone()
        })
    }
}

/// All streams of this proxy: what the front asks.
pub struct Streams {
    pub(super) deps: Arc<Deps>,
    pub(super) slots: DashMap<StreamKey, Arc<Slot>>,
    pub(super) lately: Lately,
    /// As many as there were in the configuration.
    pools: DashMap<PoolName, Arc<PoolUse>>,
    /// What other processes do is listened to, from the first stream on.
    hears: AtomicBool,
}

impl Streams {
    /// Puts the parts together. Nothing runs until somebody asks.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let settings = parts.settings.into_iter().map(|(k, v)| (k, Arc::new(v))).collect();
        let deps = Deps {
            origin: parts.origin,
            store: parts.store,
            segments: parts.segments,
            pools: parts.pools,
            fleet: parts.fleet,
            observer: parts.observer,
            clock: parts.clock,
            zone: parts.zone,
            capacity: parts.capacity,
            settings: Arc::new(ArcSwap::from_pointee(settings)),
            hosts: Arc::new(ArcSwap::from_pointee(parts.hosts)),
            rng: Arc::new(Mutex::new(StdRng::seed_from_u64(parts.seed))),
            carriers: Arc::default(),
            lanes: Arc::default(),
            own_lanes: Arc::default(),
        };
        Arc::new(Self {
            deps: Arc::new(deps),
            slots: DashMap::new(),
            lately: Lately::default(),
            pools: DashMap::new(),
            hears: AtomicBool::new(false),
        })
    }

    /// Takes changed settings; streams that are carried follow.
    pub fn reload(
        &self,
        settings: HashMap<PoolName, PoolSettings>,
        hosts: HashMap<PackagerId, Vec<String>>,
    ) {
        let settings = settings.into_iter().map(|(k, v)| (k, Arc::new(v))).collect();
        self.deps.settings.store(Arc::new(settings));
        self.deps.hosts.store(Arc::new(hosts));
        for pool in &self.pools {
            pool.allowance.limit(self.deps.pool_settings(pool.key()).segment_bytes_max);
        }
        self.look();
    }

    /// Every worker looks again, since something that they look at has changed (health, pools).
    pub fn look(&self) {
        for slot in &self.slots {
            let _ = slot.inbox.try_send(Event::Look);
        }
    }

    /// An entry request: the lane that a new viewer joins. `zone`: the zone to whose packagers the viewer
    /// is sent first; none: that of this proxy. Waits for packagers where nothing is known of the stream, for
    /// 5 s at most.
    ///
    /// # Errors
    /// A [`Refusal`] that says why there is none.
    pub async fn join(&self, stream: &StreamKey, zone: Option<&str>) -> Result<Arc<Lane>, Refusal> {
        let zone = zone.unwrap_or(&self.deps.zone);
        if let Some(lane) = self.slots.get(stream).and_then(|s| s.open_lane(&stream.pool, zone)) {
            return Ok(lane);
        }
        let zone: Arc<str> = zone.into();
        self.ask(stream, |answer| Event::Join(zone.clone(), answer)).await
    }

    /// The lane of a valid token: known, loaded from the store, or opened anew.
    ///
    /// # Errors
    /// A [`Refusal`] that says why it cannot be had.
    pub async fn lane(&self, stream: &StreamKey, lane: &LaneId) -> Result<Arc<Lane>, Refusal> {
        let known = self.slots.get(stream).and_then(|s| Some(s.lanes.get(lane)?.0.clone()));
        if let Some(lane) = known {
            return Ok(lane);
        }
        self.ask(stream, |answer| Event::Lane(lane.clone(), answer)).await
    }

    /// Something that another process may have appended to this lane was asked for: returns when
    /// it is taken over, or is not there.
    pub async fn newer(&self, stream: &StreamKey, lane: &LaneId) {
        let Some(slot) = self.slots.get(stream).map(|s| s.clone()) else { return };
        let (answer, done) = oneshot::channel();
        if slot.inbox.try_send(Event::Newer(lane.clone(), self.deps.clock.now(), answer)).is_ok() {
            let _ = tokio::time::timeout(TAKEN_OVER_WITHIN, done).await;
        }
    }

    /// A lane's header and log as they are carried here now: for other proxies. None where it is not.
    pub async fn log(&self, stream: &StreamKey, lane: &LaneId) -> Option<StoredLane> {
        let slot = self.slots.get(stream).map(|s| s.clone())?;
        // A worker that looks for it itself would answer when whoever asks has given up: two would wait for each
        // other.
        if !slot.lanes.contains_key(lane) {
            return None;
        }
        let (answer, log) = oneshot::channel();
        slot.inbox.try_send(Event::Log(lane.clone(), answer)).ok()?;
        log.await.ok()?
    }

    /// The bytes of a segment that is listed and not held: asked of whoever may have them. None
    /// where nobody does, within 5 s.
    pub async fn recall(&self, lane: &Lane, rendition: &RenditionId, msn: OutputMsn) -> Recalled {
        let header = lane.header();
        let slot = self.slots.get(&header.stream).map(|s| s.clone())?;
        let spot = Spot { lane: header.lane.clone(), rendition: lane.place(rendition)?, msn };
        let (answer, recalled) = oneshot::channel();
        slot.inbox.try_send(Event::Recall(spot, answer)).ok()?;
        tokio::time::timeout(RECALLED_WITHIN, recalled).await.ok()?.ok()?
    }

    /// Bytes that are listed and not held here, from another proxy: init segments and keys of a step that was
    /// heard of. They are kept for those who ask next.
    pub async fn bytes_elsewhere(&self, held: Held) -> Option<Bytes> {
        let fleet = &self.deps.fleet;
        if fleet.others() == 0 {
            return None;
        }
        let bytes = fleet.bytes(held, &[], ELSEWHERE).await?;
        let _ = self.deps.segments.put(bytes.clone(), self.deps.clock.now().plus(KEPT)).await;
        Some(bytes)
    }

    /// How many streams are watched, and how many lanes carried.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.slots.len(), self.deps.lanes.load(Ordering::Relaxed))
    }

    /// What operators see of each stream, by path.
    #[must_use]
    pub fn status(&self) -> Vec<Arc<StreamStatus>> {
        let mut all: Vec<_> = self.slots.iter().filter_map(|s| s.status.load_full()).collect();
        all.sort_by(|a, b| a.stream.cmp(&b.stream));
        all
    }

    /// A worker that ended between finding it and asking it never answers: asked once more.
    async fn ask(
        &self,
        stream: &StreamKey,
        event: impl Fn(Answer) -> Event,
    ) -> Result<Arc<Lane>, Refusal> {
        for _ in 0..2 {
            let slot = self.slot(stream)?;
            let (answer, result) = oneshot::channel();
            if slot.inbox.try_send(event(answer)).is_err() {
                continue;
            }
            match tokio::time::timeout(ANSWERED_WITHIN, result).await {
                Ok(Ok(result)) => return result,
                Ok(Err(_)) => {}
                Err(_) => break,
            }
        }
        Err(Refusal::NotReady)
    }

    fn slot(&self, stream: &StreamKey) -> Result<Arc<Slot>, Refusal> {
        let known = self.slots.get(stream).map(|s| s.clone());
        if let Some(slot) = known.filter(|s| !s.closed.load(Ordering::Acquire)) {
            return Ok(slot);
        }
        // First, since it costs least: a flood of one tenant must not keep others from their streams.
        let pool = self.pool(&stream.pool);
        let max = self.deps.pool_settings(&stream.pool).streams_max.unwrap_or(usize::MAX);
        let watching = pool.watch(max).ok_or(Refusal::Limit("pools.limits.streams"))?;
        self.slots.retain(|_, s| !s.closed.load(Ordering::Acquire));
        if self.slots.len() >= self.deps.capacity.streams {
            return Err(Refusal::Limit("limits.streams"));
        }
        if !self.hears.swap(true, Ordering::AcqRel) {
            tokio::spawn(hear(self.deps.store.changes(), self.deps.carriers.clone()));
        }
        let slot = self.slots.entry(stream.clone());
        let slot = slot.or_insert_with(|| Self::start(stream, &pool.deps, watching));
        Ok(slot.clone())
    }

    /// What a pool takes, which is counted from its first stream on.
    fn pool(&self, name: &PoolName) -> Arc<PoolUse> {
        if let Some(pool) = self.pools.get(name) {
            return pool.clone();
        }
        let pool = self.pools.entry(name.clone()).or_insert_with(|| {
            let allowance = Arc::new(Allowance::default());
            allowance.limit(self.deps.pool_settings(name).segment_bytes_max);
            let segments = Arc::new(self.deps.segments.within(allowance.clone()));
            let own_lanes = Arc::default();
            let deps = Arc::new(Deps { segments, own_lanes, ..Deps::clone(&self.deps) });
            Arc::new(PoolUse::new(deps, allowance))
        });
        pool.clone()
    }

    /// What a pool takes now.
    #[must_use]
    pub fn usage(&self, pool: &PoolName) -> Usage {
        self.pools.get(pool).map_or_else(Usage::default, |pool| pool.now())
    }

    fn start(stream: &StreamKey, deps: &Arc<Deps>, watching: Counted) -> Arc<Slot> {
        let (inbox, events) = mpsc::channel(INBOX);
        let slot = Arc::new(Slot {
            deps: deps.clone(),
            inbox: inbox.clone(),
            lanes: DashMap::new(),
            open: DashMap::new(),
            waiting: Mutex::default(),
            closed: AtomicBool::new(false),
            status: ArcSwapOption::empty(),
        });
        let worker = Worker::new(stream.clone(), deps.clone(), slot.clone(), events, inbox);
        tokio::spawn(worker.run(watching));
        slot
    }
}
