//! What the streams are given instead of the network and a database: packagers of the simulated
//! world, a store that answers late or not at all, and an observer that writes the trace. A
//! proxy that is killed stands still in whatever it was waiting for, for ever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use segue::model::lane::{ByteRange, Header, Splice, SpliceReason, Step};
use segue::model::names::{LaneId, OutputMsn, PackagerId, PoolName, StreamKey, UnixMs};
use segue::origin::{Origin, OriginError, PlaylistAnswer};
use segue::packagers::{KindSpec, PackagerSpec, PoolSpec, Spread};
use segue::store::{Appended, Change, LaneStore, MemoryStore, StoreError, StoredLane};
use segue::stream::{Clock, Observer, Outcome};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep};

use crate::content::Content;
use crate::judge::Judge;
use crate::world::{Answer, Packager, Process, mix};

/// Unix milliseconds at the start of each simulation.
pub const BASE: u64 = 1_800_000_000_000;

/// The pool of these packagers, each with its zone.
pub fn pool<'a>(packagers: impl IntoIterator<Item = (&'a str, &'a str)>) -> PoolSpec {
    let spec = |(id, zone): (&str, &str)| PackagerSpec {
        id: PackagerId::new(id),
        zone: zone.to_owned(),
        weight: 1,
        capacity: None,
        check: None,
        kind: KindSpec::default(),
    };
    PoolSpec {
        name: PoolName::new("live"),
        hosts: vec!["*".into()],
        zone_hosts: vec![],
        packagers: packagers.into_iter().map(spec).collect(),
        spread: Spread::default(),
    }
}

/// What all parts share.
pub struct Sim {
    pub seed: u64,
    pub world: Mutex<Vec<Packager>>,
    pub judge: Mutex<Judge>,
    pub content: Mutex<Content>,
    /// The run of each packager that each proxy last spoke to.
    spoken: Mutex<BTreeMap<(u64, String), u32>>,
    start: Instant,
    drawn: AtomicU64,
}

impl Sim {
    pub fn new(seed: u64, world: Vec<Packager>, judge: Judge) -> Self {
        Self {
            seed,
            world: Mutex::new(world),
            judge: Mutex::new(judge),
            content: Mutex::default(),
            spoken: Mutex::default(),
            start: Instant::now(),
            drawn: AtomicU64::new(0),
        }
    }

    /// Milliseconds since the start.
    pub fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap()
    }

    pub fn clock(&self) -> Clock {
        Clock::starting_at(UnixMs(BASE + self.now()))
    }

    pub fn draw(&self) -> u64 {
        let n = self.drawn.fetch_add(1, Ordering::Relaxed);
        mix(self.seed.wrapping_mul(0x1_0001) ^ mix(n))
    }

    /// A number from `from` to below `to`.
    pub fn among(&self, from: u64, to: u64) -> u64 {
        from + self.draw() % (to - from).max(1)
    }

    /// Once in so many times.
    pub fn once_in(&self, times: u64) -> bool {
        self.draw().is_multiple_of(times)
    }

    async fn latency(&self) {
        let n = self.draw();
        let ms = if n.is_multiple_of(60) { 250 } else { 1 + n / 60 % 25 };
        sleep(Duration::from_millis(ms)).await;
    }

    pub fn note(&self, line: &str) {
        let now = self.now();
        self.judge.lock().note(now, line);
    }
}

/// One life of a proxy.
pub struct Life {
    /// Unlike that of any other life.
    pub number: u64,
    alive: AtomicBool,
    /// It stands still in whatever it does.
    frozen: watch::Sender<bool>,
    /// Packagers that it does not reach, and whether it is told so at once.
    pub cut_off: Mutex<BTreeMap<&'static str, bool>>,
}

impl Life {
    pub fn new(number: u64) -> Arc<Self> {
        let (alive, frozen) = (AtomicBool::new(true), watch::Sender::new(false));
        Arc::new(Self { number, alive, frozen, cut_off: Mutex::default() })
    }
    pub fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }
    pub fn is_frozen(&self) -> bool {
        *self.frozen.borrow()
    }
    pub fn kill(&self) {
        self.alive.store(false, Ordering::Relaxed);
    }
    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }
    /// Goes on only in a process that lives and runs.
    pub async fn check(&self) {
        while self.is_frozen() {
            let _ = self.frozen.subscribe().wait_for(|frozen| !frozen).await;
        }
        if !self.is_alive() {
            std::future::pending::<()>().await;
        }
    }
}

pub struct SimOrigin {
    pub sim: Arc<Sim>,
    pub life: Arc<Life>,
}

/// What a packager gives when a request reaches it.
enum Reached {
    Body(Option<Vec<u8>>),
    Fails(OriginError),
    Hangs,
}

impl SimOrigin {
    fn reach(&self, id: &PackagerId, path: &str, segment: bool) -> (Reached, u32) {
        let now = self.sim.now();
        // Every stream is the same programme.
        let rest = path.trim_start_matches('/').split_once('/').map_or(path, |(_, rest)| rest);
        let path = &format!("/live/{rest}");
        let mut world = self.sim.world.lock();
        let Some(p) = world.iter_mut().find(|p| p.shape.id == id.as_str()) else {
            return (Reached::Fails(OriginError::Unknown), 0);
        };
        p.advance(now);
        let answer = if segment { p.segments } else { p.playlists };
        let cut_off = self.life.cut_off.lock().get(p.shape.id).copied();
        let reached = match (p.process, answer) {
            _ if cut_off == Some(true) => Reached::Fails(OriginError::Connect("no route".into())),
            _ if cut_off == Some(false) => Reached::Hangs,
            (Process::Down, _) => Reached::Fails(OriginError::Connect("refused".into())),
            (Process::Frozen, _) | (_, Answer::Stalls) => Reached::Hangs,
            (_, Answer::Status(status)) => Reached::Fails(OriginError::Status(status)),
            (_, Answer::Truncated) => Reached::Fails(OriginError::Truncated(10)),
            (_, Answer::Garbage) => Reached::Body(Some(b"<html>sorry</html>".to_vec())),
            (_, Answer::Empty) => Reached::Body(Some(Vec::new())),
            (_, Answer::Right) if segment => Reached::Body(p.segment(path)),
            (_, Answer::Right) => Reached::Body(p.playlist(path).map(String::into_bytes)),
        };
        (reached, p.run)
    }

    async fn ask(
        &self,
        id: &PackagerId,
        path: &str,
        segment: bool,
        deadline: Duration,
    ) -> Result<(Bytes, bool), OriginError> {
        self.sim.judge.lock().asked(self.sim.now(), self.life.number, id.as_str(), path, segment);
        self.sim.latency().await;
        self.life.check().await;
        let (reached, run) = self.reach(id, path, segment);
        let result = match reached {
            Reached::Fails(error) => Err(error),
            Reached::Body(None) => Err(OriginError::Status(404)),
            Reached::Body(Some(body)) => Ok(body),
            Reached::Hangs => {
                sleep(deadline).await;
                Err(OriginError::Timeout(deadline))
            }
        };
        self.sim.latency().await;
        self.life.check().await;
        let body = result?;
        let key = (self.life.number, id.as_str().to_owned());
        let before = self.sim.spoken.lock().insert(key, run);
        Ok((body.into(), before.is_some_and(|b| b != run)))
    }
}

#[async_trait]
impl Origin for SimOrigin {
    async fn playlist(
        &self,
        packager: &PackagerId,
        path: &str,
        deadline: Duration,
    ) -> Result<PlaylistAnswer, OriginError> {
        let (body, reconnected) = self.ask(packager, path, false, deadline).await?;
        Ok(PlaylistAnswer { body, reconnected })
    }

    async fn segment(
        &self,
        packager: &PackagerId,
        path: &str,
        _range: Option<ByteRange>,
        deadline: Duration,
    ) -> Result<Bytes, OriginError> {
        // A new connection that a segment's request made is no sign that playlists get.
        let key = (self.life.number, packager.as_str().to_owned());
        let before = self.sim.spoken.lock().get(&key).copied();
        let result = self.ask(packager, path, true, deadline).await;
        if let Some(before) = before {
            self.sim.spoken.lock().insert(key, before);
        }
        result.map(|(body, _)| body)
    }
}

/// The store behind a line that can be cut.
pub struct Database {
    held: Mutex<Arc<MemoryStore>>,
    failing: AtomicBool,
}

impl Database {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            held: Mutex::new(Arc::new(MemoryStore::new())),
            failing: AtomicBool::new(false),
        })
    }
    pub fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::Relaxed);
    }
    pub fn lose_everything(&self) {
        *self.held.lock() = Arc::new(MemoryStore::new());
    }
}

/// One proxy's line to the store.
pub struct SimStore {
    pub sim: Arc<Sim>,
    pub life: Arc<Life>,
    pub database: Arc<Database>,
}

impl SimStore {
    /// None: nothing came back, whether it was done or not.
    async fn reach(&self) -> Result<Arc<MemoryStore>, StoreError> {
        self.delay().await;
        if self.database.failing.load(Ordering::Relaxed) && self.sim.draw().is_multiple_of(2) {
            return Err(StoreError::Unreachable("cut".into()));
        }
        Ok(self.database.held.lock().clone())
    }

    async fn back<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.delay().await;
        if self.database.failing.load(Ordering::Relaxed) {
            return Err(StoreError::Unreachable("no answer".into()));
        }
        result
    }

    async fn delay(&self) {
        let ms = self.sim.draw() % 8;
        sleep(Duration::from_millis(ms)).await;
        self.life.check().await;
    }
}

#[async_trait]
impl LaneStore for SimStore {
    async fn create(&self, header: &Header) -> Result<Header, StoreError> {
        let result = self.reach().await?.create(header).await;
        self.back(result).await
    }
    async fn load(&self, lane: &LaneId) -> Result<Option<StoredLane>, StoreError> {
        let result = self.reach().await?.load(lane).await;
        self.back(result).await
    }
    async fn append(
        &self,
        lane: &LaneId,
        expected_tail: Option<OutputMsn>,
        steps: &[Step],
    ) -> Result<Appended, StoreError> {
        let result = self.reach().await?.append(lane, expected_tail, steps).await;
        self.back(result).await
    }
    async fn begin_again(
        &self,
        header: &Header,
        seen: Option<OutputMsn>,
    ) -> Result<bool, StoreError> {
        let result = self.reach().await?.begin_again(header, seen).await;
        self.back(result).await
    }
    async fn newer(&self, lane: &LaneId, tail: Option<OutputMsn>) -> Result<Vec<Step>, StoreError> {
        let result = self.reach().await?.newer(lane, tail).await;
        self.back(result).await
    }
    async fn lanes_of(&self, stream: &StreamKey) -> Result<Vec<LaneId>, StoreError> {
        let result = self.reach().await?.lanes_of(stream).await;
        self.back(result).await
    }
    async fn trim(&self, lane: &LaneId, keep_from: OutputMsn) -> Result<(), StoreError> {
        let result = self.reach().await?.trim(lane, keep_from).await;
        self.back(result).await
    }
    async fn expire(&self, before: UnixMs) -> Result<u64, StoreError> {
        let result = self.reach().await?.expire(before).await;
        self.back(result).await
    }
    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        let result = self.reach().await?.secret(name, fresh).await;
        self.back(result).await
    }
    async fn target_duration(&self, stream: &StreamKey, seconds: u32) -> Result<u32, StoreError> {
        let result = self.reach().await?.target_duration(stream, seconds).await;
        self.back(result).await
    }
    async fn drained(
        &self,
        known: &BTreeMap<PackagerId, UnixMs>,
    ) -> Result<BTreeMap<PackagerId, UnixMs>, StoreError> {
        let result = self.reach().await?.drained(known).await;
        self.back(result).await
    }
    async fn drain(&self, packager: &PackagerId, since: Option<UnixMs>) -> Result<(), StoreError> {
        let result = self.reach().await?.drain(packager, since).await;
        self.back(result).await
    }
    fn changes(&self) -> broadcast::Receiver<Change> {
        self.database.held.lock().changes()
    }
}

/// Writes the trace.
pub struct Recorder {
    pub sim: Arc<Sim>,
    pub proxy: usize,
}

impl Recorder {
    fn note(&self, line: &str) {
        self.sim.note(&format!("proxy {}: {line}", self.proxy));
    }
}

impl Recorder {
    /// How much content may be lost or repeated, milliseconds, where the packager that was come
    /// to has been well for long: a segment, what its clock may be wrong by (arrival is seen
    /// through polling), and the difference of delays, which arrival cannot tell from content.
    fn allowed(&self, to: &PackagerId, splice: &Splice) -> Option<u64> {
        let now = self.sim.now();
        let world = self.sim.world.lock();
        let of = |id: &PackagerId| world.iter().find(|p| p.shape.id == id.as_str());
        let (from, to) = (of(&splice.from)?, of(to)?);
        let well = to.good_since.is_some_and(|at| at + 40_000 < now);
        let longest = world.iter().map(|p| p.shape.duration + p.shape.jitter).max()?;
        let delays = from.shape.delay.abs_diff(to.shape.delay);
        (well && from.shape.id != to.shape.id).then_some(longest * 3 / 2 + delays + 500)
    }
}

impl Observer for Recorder {
    fn refreshed(&self, packager: &PackagerId, outcome: Outcome, _took: Duration) {
        if outcome != Outcome::Ok {
            self.note(&format!("playlist of {packager} {}", outcome.as_str()));
        }
    }
    fn fetched(&self, packager: &PackagerId, outcome: Outcome, bytes: usize) {
        self.note(&format!("segment of {packager} {} {bytes}", outcome.as_str()));
    }
    fn appended(&self, lane: &LaneId, msn: OutputMsn, delay: Duration) {
        self.note(&format!("{lane} appended {msn}, made {} ms ago", delay.as_millis()));
        let now = self.sim.now();
        let good = self.sim.world.lock().iter().filter_map(|p| p.good_since).min();
        self.sim.judge.lock().appended(now, lane.as_str(), good);
    }
    fn spliced(&self, _stream: &StreamKey, lane: &LaneId, step: &Step, splice: &Splice) {
        let (to, msn) = (&step.packager, step.msn);
        self.note(&format!(
            "{lane} SPLICE {} -> {to} at {msn}: {}, {} ms by {}",
            splice.from,
            splice.reason.as_str(),
            splice.gap_ms,
            splice.method.as_str()
        ));
        let allowed = self.allowed(to, splice);
        self.sim.judge.lock().spliced(lane.as_str(), msn.0, splice, allowed);
        self.sim.content.lock().spliced(lane.as_str(), msn.0, splice);
    }
    fn lane_opened(&self, lane: &LaneId, _stream: &StreamKey) {
        self.note(&format!("{lane} opened"));
    }
    fn lane_ended(&self, lane: &LaneId) {
        self.note(&format!("{lane} ended"));
    }
    fn stream_state(&self, _stream: &StreamKey, id: &PackagerId, bad: Option<SpliceReason>) {
        self.note(&format!("stream on {id}: {}", bad.map_or("moves", SpliceReason::as_str)));
    }
    fn too_long(&self, packager: &PackagerId) {
        self.note(&format!("segment of {packager} too long"));
    }
    fn store_failed(&self) {
        self.note("store failed");
    }
}
