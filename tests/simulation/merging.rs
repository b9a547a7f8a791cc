//! Two proxies over one store that each may be cut off from: what they do alone, and that their logs become one
//! again, told in virtual time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use segue::model::lane::{ByteRange, Header, Splice, Step};
use segue::model::names::{LaneId, OutputMsn, PackagerId, PoolName, StreamKey, UnixMs};
use segue::origin::{Origin, OriginError, PlaylistAnswer};
use segue::packagers::Pools;
use segue::segments::{Segments, Settings};
use segue::store::{Appended, Change, LaneStore, MemoryStore, StoreError, StoredLane};
use segue::stream::{
    Alone, Capacity, Clock, Fleet, Lane, Named, Observer, Parts, PoolSettings, Streams,
};
use tokio::time::{Instant, sleep};

use crate::judge::read;
use crate::parts::{BASE, pool};
use crate::players::stream;

const SEGMENT_MS: u64 = 2000;

/// Packagers `a` and `b`, half a segment apart and numbered otherwise, as one proxy reaches them.
struct Packagers {
    began: Instant,
    cut: Mutex<Vec<&'static str>>,
}

impl Packagers {
    fn now(&self) -> u64 {
        1_000_000 + u64::try_from(self.began.elapsed().as_millis()).unwrap()
    }

    async fn reach(&self, id: &PackagerId) -> Result<(), OriginError> {
        sleep(Duration::from_millis(5)).await;
        if self.cut.lock().contains(&id.as_str()) {
            return Err(OriginError::Connect("refused".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Origin for Packagers {
    async fn playlist(
        &self,
        id: &PackagerId,
        _path: &str,
        _deadline: Duration,
    ) -> Result<PlaylistAnswer, OriginError> {
        self.reach(id).await?;
        let (late, offset) = if id.as_str() == "a" { (0, 0) } else { (SEGMENT_MS / 2, 7000) };
        let made = (self.now() - late) / SEGMENT_MS + offset;
        let head = format!(
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{}\n",
            made - 6
        );
        let list: String = (made - 6..made).map(|n| format!("#EXTINF:2.0,\n{n}.ts\n")).collect();
        Ok(PlaylistAnswer { body: (head + &list).into(), reconnected: false })
    }

    /// A segment says whose it is.
    async fn segment(
        &self,
        id: &PackagerId,
        path: &str,
        _range: Option<ByteRange>,
        _deadline: Duration,
    ) -> Result<Bytes, OriginError> {
        self.reach(id).await?;
        let name = path.rsplit('/').next().unwrap().trim_end_matches(".ts");
        let mut bytes = vec![0x47_u8; 188 * 4];
        let label = format!("{id} {name} ");
        bytes[4..4 + label.len()].copy_from_slice(label.as_bytes());
        Ok(bytes.into())
    }
}

/// What is behind all lines.
#[derive(Default)]
struct Database {
    held: Mutex<Arc<MemoryStore>>,
}

/// What is wrong with a store that answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wrong {
    /// It has too few replicas, say: it reads, and writes nothing.
    TakesNothing,
    /// The lane's newest steps are of a version that this proxy does not read.
    TooNew,
}

/// One proxy's line to the store.
struct Line {
    database: Arc<Database>,
    cut: AtomicBool,
    calls: AtomicUsize,
    wrong: Mutex<Option<Wrong>>,
}

impl Line {
    async fn reach(&self) -> Result<Arc<MemoryStore>, StoreError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(2)).await;
        if self.cut.load(Ordering::Relaxed) {
            return Err(StoreError::Unreachable("cut".into()));
        }
        Ok(self.database.held.lock().clone())
    }

    /// The store where it is to be written.
    async fn to_write(&self) -> Result<Arc<MemoryStore>, StoreError> {
        let store = self.reach().await?;
        let refuses = *self.wrong.lock() == Some(Wrong::TakesNothing);
        if refuses { Err(StoreError::Unreachable("too few replicas".into())) } else { Ok(store) }
    }

    /// The store where steps are to be read.
    async fn to_read(&self) -> Result<Arc<MemoryStore>, StoreError> {
        let store = self.reach().await?;
        let too_new = *self.wrong.lock() == Some(Wrong::TooNew);
        if too_new { Err(StoreError::Unreadable("of a newer version".into())) } else { Ok(store) }
    }
}

#[async_trait]
impl LaneStore for Line {
    async fn create(&self, header: &Header) -> Result<Header, StoreError> {
        self.to_write().await?.create(header).await
    }
    async fn load(&self, lane: &LaneId) -> Result<Option<StoredLane>, StoreError> {
        self.to_read().await?.load(lane).await
    }
    async fn append(
        &self,
        lane: &LaneId,
        tail: Option<OutputMsn>,
        steps: &[Step],
    ) -> Result<Appended, StoreError> {
        // Before it is written it is looked whether the lane is there.
        self.to_read().await?;
        if self.reach().await?.load(lane).await?.is_none() {
            return Err(StoreError::NoLane(lane.clone()));
        }
        self.to_write().await?.append(lane, tail, steps).await
    }
    async fn begin_again(
        &self,
        header: &Header,
        seen: Option<OutputMsn>,
    ) -> Result<bool, StoreError> {
        self.to_write().await?.begin_again(header, seen).await
    }
    async fn newer(&self, lane: &LaneId, tail: Option<OutputMsn>) -> Result<Vec<Step>, StoreError> {
        self.to_read().await?.newer(lane, tail).await
    }
    async fn lanes_of(&self, stream: &StreamKey) -> Result<Vec<LaneId>, StoreError> {
        self.reach().await?.lanes_of(stream).await
    }
    async fn trim(&self, lane: &LaneId, keep_from: OutputMsn) -> Result<(), StoreError> {
        self.reach().await?.trim(lane, keep_from).await
    }
    async fn expire(&self, before: UnixMs) -> Result<u64, StoreError> {
        self.reach().await?.expire(before).await
    }
    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        self.reach().await?.secret(name, fresh).await
    }
    async fn target_duration(&self, stream: &StreamKey, seconds: u32) -> Result<u32, StoreError> {
        self.reach().await?.target_duration(stream, seconds).await
    }
    async fn drained(
        &self,
        known: &BTreeMap<PackagerId, UnixMs>,
    ) -> Result<BTreeMap<PackagerId, UnixMs>, StoreError> {
        self.reach().await?.drained(known).await
    }
    async fn drain(&self, packager: &PackagerId, since: Option<UnixMs>) -> Result<(), StoreError> {
        self.reach().await?.drain(packager, since).await
    }
    fn changes(&self) -> tokio::sync::broadcast::Receiver<Change> {
        self.database.held.lock().changes()
    }
}

/// Counts what is told.
#[derive(Default)]
struct Told {
    splits: AtomicUsize,
    spliced: AtomicUsize,
}

impl Observer for Told {
    fn split(&self, _stream: &StreamKey, _lane: &LaneId, _from: OutputMsn) {
        self.splits.fetch_add(1, Ordering::Relaxed);
    }
    fn spliced(&self, _stream: &StreamKey, _lane: &LaneId, _step: &Step, _splice: &Splice) {
        self.spliced.fetch_add(1, Ordering::Relaxed);
    }
}

/// A segment as a viewer of one proxy was told of it, and whose it is.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    uri: String,
    number: u64,
    label: String,
}

/// A proxy, its lines, and what its viewers have seen.
pub struct Proxy {
    pub streams: Arc<Streams>,
    packagers: Arc<Packagers>,
    line: Arc<Line>,
    pools: Arc<Pools>,
    told: Arc<Told>,
    segments: Arc<Segments>,
    seen: BTreeMap<u64, Seen>,
    edges: (u64, u64),
}

impl Proxy {
    /// The first number that viewers were listed last, and one after the newest.
    pub fn edges(&self) -> (u64, u64) {
        self.edges
    }
    fn splits(&self) -> usize {
        self.told.splits.load(Ordering::Relaxed)
    }
    fn splices(&self) -> usize {
        self.told.spliced.load(Ordering::Relaxed)
    }
    fn cut(&self, cut: bool) {
        self.line.cut.store(cut, Ordering::Relaxed);
    }
    pub fn store_is(&self, wrong: Option<Wrong>) {
        *self.line.wrong.lock() = wrong;
    }
    pub fn calls(&self) -> usize {
        self.line.calls.load(Ordering::Relaxed)
    }
    fn loses(&self, packagers: &[&'static str]) {
        *self.packagers.cut.lock() = packagers.to_vec();
    }

    /// A viewer's refresh, held to the laws of one proxy.
    pub async fn refresh(&mut self, lane: &Lane) {
        let rendition = &lane.header().renditions[0].id;
        let body = lane.playlist(rendition).await.unwrap().body.clone();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let list = read(&text).unwrap();
        let edges = (list.first, list.first + list.segments.len() as u64);
        let (first, last) = self.edges;
        assert!(edges.0 >= first && edges.1 >= last, "was {first} to {last}: {text}");
        assert!(last == 0 || edges.0 <= last, "a hole after {last}: {text}");
        self.edges = edges;
        let mut before: Option<Seen> = None;
        for item in &list.segments {
            let (msn, short) = item.uri.trim_end_matches(".ts").split_once('-').unwrap();
            let msn = OutputMsn(msn.parse().unwrap());
            let Named::Bytes(held) = lane.segment(rendition, msn, short).unwrap() else {
                panic!("{} is not held", item.uri)
            };
            let bytes = self.segments.get(held).await.unwrap();
            let label = String::from_utf8_lossy(&bytes[4..16]).into_owned();
            let seen = Seen { uri: item.uri.clone(), number: item.number, label };
            let known = self.seen.entry(msn.0).or_insert_with(|| seen.clone());
            assert_eq!(*known, seen, "{text}");
            if let Some(before) = before.filter(|before| !follows(before, &seen)) {
                assert_eq!(seen.number, before.number + 1, "unmarked: {before:?} {seen:?}");
            }
            before = Some(seen);
        }
    }

    /// Two refreshes a second, for so many seconds.
    pub async fn watch(&mut self, lane: &Lane, seconds: u64) {
        for _ in 0..seconds * 2 {
            sleep(Duration::from_millis(500)).await;
            self.refresh(lane).await;
        }
    }

    /// The newest that viewers have seen, up to a number.
    fn newest(&self, last: u64) -> Vec<&str> {
        self.seen.range(..=last).rev().take(3).map(|(_, seen)| seen.uri.as_str()).collect()
    }
}

fn follows(one: &Seen, two: &Seen) -> bool {
    let of = |seen: &Seen| {
        let mut words = seen.label.split(' ').map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap().parse::<u64>().unwrap())
    };
    let ((a, n), (b, m)) = (of(one), of(two));
    a == b && n + 1 == m
}

pub struct Stage {
    began: Instant,
    database: Arc<Database>,
    segments: Arc<Segments>,
}

impl Stage {
    pub fn new() -> Self {
        let memory = Settings { dir: None, memory: 1 << 30, disk: 0 };
        Self {
            began: Instant::now(),
            database: Arc::default(),
            segments: Arc::new(Segments::open(memory, UnixMs(BASE)).unwrap()),
        }
    }

    /// Proxies that have their bytes in one directory, as an old and a new process have during an upgrade.
    pub fn proxy(&self, seed: u64) -> Proxy {
        self.proxy_beside(seed, Arc::new(Alone))
    }

    /// The same, with these others.
    pub fn proxy_beside(&self, seed: u64, fleet: Arc<dyn Fleet>) -> Proxy {
        let pool = pool([("a", ""), ("b", "")]);
        let packagers = Arc::new(Packagers { began: self.began, cut: Mutex::default() });
        let line = Arc::new(Line {
            database: self.database.clone(),
            cut: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            wrong: Mutex::default(),
        });
        let (told, pools) = (Arc::new(Told::default()), Arc::new(Pools::new(&[pool])));
        let streams = Streams::new(Parts {
            origin: packagers.clone(),
            store: line.clone(),
            segments: self.segments.clone(),
            pools: pools.clone(),
            fleet,
            observer: told.clone(),
            clock: Clock::starting_at(UnixMs(BASE + packagers.now())),
            zone: String::new(),
            capacity: Capacity::default(),
            settings: HashMap::from([(PoolName::new("live"), PoolSettings::default())]),
            hosts: HashMap::new(),
            seed,
        });
        let segments = self.segments.clone();
        let (seen, edges) = (BTreeMap::new(), (0, 0));
        Proxy { streams, packagers, line, pools, told, segments, seen, edges }
    }

    /// Two proxies that carry one lane, on `a`, and have done so for a while.
    async fn pair(&self) -> (LaneId, [(Proxy, Arc<Lane>); 2]) {
        let (one, two) = (self.proxy(1), self.proxy(2));
        let lane = one.streams.join(&stream(), None).await.unwrap();
        let id = lane.header().lane.clone();
        lane.playlist(&lane.header().renditions[0].id).await.unwrap();
        let same = two.streams.lane(&stream(), &id).await.unwrap();
        let mut pair = [(one, lane), (two, same)];
        play(&mut pair, 10).await;
        (id, pair)
    }

    pub async fn stored(&self, id: &LaneId) -> Vec<Step> {
        let held = self.database.held.lock().clone();
        held.load(id).await.unwrap().unwrap().steps
    }
}

/// Viewers at both proxies, for so many seconds.
async fn play(pair: &mut [(Proxy, Arc<Lane>); 2], seconds: u64) {
    for _ in 0..seconds * 4 {
        sleep(Duration::from_millis(250)).await;
        for (proxy, lane) in pair.iter_mut() {
            proxy.refresh(lane).await;
        }
    }
}

async fn logs(pair: &[(Proxy, Arc<Lane>); 2], id: &LaneId) -> Vec<Vec<(u64, Vec<u8>)>> {
    let mut logs = Vec::new();
    for (proxy, _) in pair {
        logs.push(told(&proxy.streams.log(&stream(), id).await.unwrap().steps));
    }
    logs
}

/// What a step is known by.
fn told(steps: &[Step]) -> Vec<(u64, Vec<u8>)> {
    let of = |s: &Step| s.shares[0].entries[0].held.unwrap().hash.to_hex().into_bytes();
    steps.iter().map(|s| (s.msn.0, of(s))).collect()
}

/// What the store has is what both have, as far back as all have it.
async fn is_one(stage: &Stage, pair: &[(Proxy, Arc<Lane>); 2], id: &LaneId, last: usize) {
    let stored = told(&stage.stored(id).await);
    for log in logs(pair, id).await {
        // One may have heard of a step that the other has not, for a moment.
        let both: Vec<_> = stored.iter().filter(|s| log.contains(s)).collect();
        let newest = &stored[stored.len() - last..stored.len() - 1];
        assert!(newest.iter().all(|s| both.contains(&s)), "{stored:?} {log:?}");
    }
    let last =
        pair.iter().filter_map(|(proxy, _)| proxy.seen.keys().last()).min().copied().unwrap();
    assert_eq!(pair[0].0.newest(last), pair[1].0.newest(last));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_away_is_given_what_it_missed() {
    let stage = Stage::new();
    let (id, mut pair) = stage.pair().await;
    pair.iter().for_each(|(proxy, _)| proxy.cut(true));
    let before = [pair[0].0.calls(), pair[1].0.calls()];
    let edge = pair[0].0.edges.1;
    play(&mut pair, 10).await;
    assert!(pair[0].0.edges.1 >= edge + 4, "viewers are served on");
    for ((proxy, _), before) in pair.iter().zip(before) {
        assert!(proxy.calls() - before < 40, "{} calls in ten seconds", proxy.calls() - before);
    }
    pair.iter().for_each(|(proxy, _)| proxy.cut(false));
    play(&mut pair, 6).await;
    is_one(&stage, &pair, &id, 9).await;
    assert_eq!((pair[0].0.splits(), pair[1].0.splits()), (0, 0));
    assert_eq!((pair[0].0.splices(), pair[1].0.splices()), (0, 0));
}

/// One of them alone is cut off.
#[tokio::test(start_paused = true)]
async fn one_that_was_cut_off_takes_over_what_it_missed() {
    let stage = Stage::new();
    let (id, mut pair) = stage.pair().await;
    pair[1].0.cut(true);
    play(&mut pair, 10).await;
    pair[1].0.cut(false);
    play(&mut pair, 6).await;
    is_one(&stage, &pair, &id, 9).await;
    assert_eq!((pair[0].0.splits(), pair[1].0.splits()), (0, 0));
}

/// Each reaches another packager meanwhile.
#[tokio::test(start_paused = true)]
async fn two_that_went_on_otherwise_become_one_again() {
    let stage = Stage::new();
    let (id, mut pair) = stage.pair().await;
    pair.iter().for_each(|(proxy, _)| proxy.cut(true));
    play(&mut pair, 1).await;
    pair[0].0.loses(&["b"]);
    pair[1].0.loses(&["a"]);
    play(&mut pair, 12).await;
    assert_eq!((pair[0].0.splices(), pair[1].0.splices()), (0, 1), "b is gone on with");
    pair.iter().for_each(|(proxy, _)| proxy.loses(&[]));
    play(&mut pair, 2).await;
    pair.iter().for_each(|(proxy, _)| proxy.cut(false));
    play(&mut pair, 12).await;
    assert_eq!(pair[0].0.splits() + pair[1].0.splits(), 1, "whoever came second");
    is_one(&stage, &pair, &id, 4).await;
    play(&mut pair, 20).await;
    assert_eq!(pair[0].0.splits() + pair[1].0.splits(), 1, "told once");
    is_one(&stage, &pair, &id, 8).await;
}

/// It is empty when it is back.
#[tokio::test(start_paused = true)]
async fn a_store_that_was_emptied_is_given_the_lane_again() {
    let stage = Stage::new();
    let (id, mut pair) = stage.pair().await;
    play(&mut pair, 30).await;
    pair.iter().for_each(|(proxy, _)| proxy.cut(true));
    play(&mut pair, 5).await;
    *stage.database.held.lock() = Arc::default();
    pair.iter().for_each(|(proxy, _)| proxy.cut(false));
    play(&mut pair, 8).await;
    is_one(&stage, &pair, &id, 9).await;
    assert_eq!((pair[0].0.splits(), pair[1].0.splits()), (0, 0));
    // Who comes with a token reads it there.
    let third = stage.proxy(3);
    let lane = third.streams.lane(&stream(), &id).await.unwrap();
    assert!(!lane.header().reopened(), "it is the log that was written back");
}

/// An operator's drain is no failure: while the store is away nobody leaves for it.
#[tokio::test(start_paused = true)]
async fn alone_a_lane_does_not_leave_for_a_drain() {
    let stage = Stage::new();
    let (id, mut pair) = stage.pair().await;
    pair.iter().for_each(|(proxy, _)| proxy.cut(true));
    play(&mut pair, 3).await;
    for (proxy, _) in &pair {
        let drained = BTreeMap::from([(PackagerId::new("a"), UnixMs(BASE))]);
        proxy.pools.drain(&drained, |_| Duration::ZERO);
    }
    play(&mut pair, 10).await;
    assert_eq!((pair[0].0.splices(), pair[1].0.splices()), (0, 0));
    pair.iter().for_each(|(proxy, _)| proxy.cut(false));
    play(&mut pair, 10).await;
    assert_eq!(pair[0].0.splices() + pair[1].0.splices(), 1);
    assert_eq!((pair[0].0.splits(), pair[1].0.splits()), (0, 0));
    is_one(&stage, &pair, &id, 9).await;
}

/// New viewers are served while the store is away, and it learns of their lane afterwards.
#[tokio::test(start_paused = true)]
async fn a_lane_opens_without_the_store() {
    let stage = Stage::new();
    let mut one = stage.proxy(1);
    one.cut(true);
    let lane = one.streams.join(&stream(), None).await.unwrap();
    let id = lane.header().lane.clone();
    for _ in 0..40 {
        sleep(Duration::from_millis(250)).await;
        one.refresh(&lane).await;
    }
    one.cut(false);
    for _ in 0..12 {
        sleep(Duration::from_millis(250)).await;
        one.refresh(&lane).await;
    }
    let two = stage.proxy(2);
    let same = two.streams.lane(&stream(), &id).await.unwrap();
    assert!(!same.header().reopened());
    let mut pair = [(one, lane), (two, same)];
    play(&mut pair, 6).await;
    is_one(&stage, &pair, &id, 6).await;
    assert_eq!((pair[0].0.splits(), pair[1].0.splits()), (0, 0));
}

/// A viewer comes back with a token of a lane that nobody carries, and that only a store has that is away: it is
/// opened anew at that moment, far above its old numbers.
async fn opened_anew(stage: &Stage, id: &LaneId) -> (Proxy, Arc<Lane>) {
    let mut proxy = stage.proxy(3);
    proxy.cut(true);
    let lane = proxy.streams.lane(&stream(), id).await.unwrap();
    assert!(lane.header().reopened());
    proxy.watch(&lane, 6).await;
    proxy.cut(false);
    (proxy, lane)
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_was_opened_anew_replaces_what_the_store_had() {
    let stage = Stage::new();
    let (id, pair) = stage.pair().await;
    drop(pair);
    sleep(Duration::from_secs(1500)).await;
    let (mut one, lane) = opened_anew(&stage, &id).await;
    one.watch(&lane, 6).await;
    // Whoever is asked gives the same.
    let two = stage.proxy(4);
    let same = two.streams.lane(&stream(), &id).await.unwrap();
    assert!(same.header().reopened(), "the old log");
    let mut pair = [(one, lane), (two, same)];
    play(&mut pair, 6).await;
    is_one(&stage, &pair, &id, 6).await;
    assert_eq!((pair[0].0.splits(), pair[1].0.splits()), (0, 0));
}

/// The same, and another proxy goes on with the old one: its viewers' numbers rise once.
#[tokio::test(start_paused = true)]
async fn who_goes_on_with_the_old_log_takes_over_the_one_that_was_opened_anew() {
    let stage = Stage::new();
    let (id, [(mut two, mut same), other]) = stage.pair().await;
    drop(other);
    for _ in 0..1500 {
        sleep(Duration::from_secs(1)).await;
        two.refresh(&same).await;
    }
    let (mut one, lane) = opened_anew(&stage, &id).await;
    let from = one.edges().0;
    let mut moved = false;
    for _ in 0..20 {
        sleep(Duration::from_millis(500)).await;
        one.refresh(&lane).await;
        same = two.streams.lane(&stream(), &id).await.unwrap();
        if !moved && same.header().reopened() {
            moved = true;
            assert!(from > two.edges().1, "numbers fall");
            two.edges = (0, 0);
        }
        two.refresh(&same).await;
    }
    assert!(moved, "two logs of one lane");
    let mut pair = [(one, lane), (two, same)];
    play(&mut pair, 6).await;
    is_one(&stage, &pair, &id, 6).await;
    assert_eq!((pair[0].0.splits(), pair[1].0.splits()), (0, 0));
}

/// The same, and the store is there again before anything was listed: the old log goes on.
#[tokio::test(start_paused = true)]
async fn a_lane_that_was_opened_anew_and_lists_nothing_yet_gives_way() {
    let stage = Stage::new();
    let (id, pair) = stage.pair().await;
    drop(pair);
    sleep(Duration::from_secs(1500)).await;
    let mut proxy = stage.proxy(3);
    proxy.cut(true);
    let lane = proxy.streams.lane(&stream(), &id).await.unwrap();
    assert!(lane.header().reopened());
    proxy.cut(false);
    let listed = async {
        loop {
            let lane = proxy.streams.lane(&stream(), &id).await.unwrap();
            if !lane.header().reopened() {
                return lane;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let lane = tokio::time::timeout(Duration::from_secs(10), listed).await.expect("the old log");
    proxy.watch(&lane, 6).await;
    assert!(stage.stored(&id).await.len() > 6);
}
