//! What has to be there much later, told in minutes of virtual time: what a lane may be spliced to
//! with, and what the store missed while it did not answer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use segue::model::lane::{ByteRange, Header, Step};
use segue::model::names::{LaneId, OutputMsn, PackagerId, PoolName, StreamKey, UnixMs};
use segue::origin::{Origin, OriginError, PlaylistAnswer};
use segue::packagers::Pools;
use segue::segments::{Segments, Settings};
use segue::store::{Appended, Change, LaneStore, MemoryStore, StoreError, StoredLane};
use segue::stream::{Alone, Capacity, Clock, Lane, Named, Parts, PoolSettings, Silent, Streams};
use tokio::time::{Instant, sleep};

use crate::parts::{BASE, pool};
use crate::players::stream;

const SEGMENT_MS: u64 = 4000;

/// Packagers `a` and `b`, half a segment apart, which made segments for hours before.
struct Packagers {
    began: Instant,
    /// Segments in their lists.
    listed: u64,
    /// Until when the first shows nothing new.
    late_until: Mutex<Option<u64>>,
    dead: AtomicBool,
    asked: Mutex<Vec<String>>,
}

impl Packagers {
    fn now(&self) -> u64 {
        50_000_000 + u64::try_from(self.began.elapsed().as_millis()).unwrap()
    }

    /// Made so far.
    fn made(&self, id: &str) -> u64 {
        let now = self.now();
        let late = self.late_until.lock().filter(|until| id == "a" && now < *until);
        let shift = if id == "a" { 0 } else { SEGMENT_MS / 2 };
        (now - shift) / SEGMENT_MS - u64::from(late.is_some())
    }

    fn playlist(&self, id: &str, path: &str) -> String {
        if path == "/live/cam.m3u8" {
            return "#EXTM3U\n#EXT-X-VERSION:6\n\
                 #EXT-X-SESSION-DATA:DATA-ID=\"title\",URI=\"title.json\"\n\
                 #EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"key.bin\"\n\
                 #EXT-X-STREAM-INF:BANDWIDTH=1000000\nv.m3u8\n"
                .to_owned();
        }
        let made = self.made(id);
        let first = made - self.listed;
        let head = format!(
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{first}\n\
             #EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"key.bin\"\n"
        );
        head + &(first..made).map(|n| format!("#EXTINF:4.0,\n{n}.m4s\n")).collect::<String>()
    }

    async fn reach(&self, id: &PackagerId, path: &str) -> Result<(), OriginError> {
        self.asked.lock().push(format!("{id} {path}"));
        sleep(Duration::from_millis(5)).await;
        if id.as_str() == "a" && self.dead.load(Ordering::Relaxed) {
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
        path: &str,
        _deadline: Duration,
    ) -> Result<PlaylistAnswer, OriginError> {
        self.reach(id, path).await?;
        let body = self.playlist(id.as_str(), path).into();
        Ok(PlaylistAnswer { body, reconnected: false })
    }

    /// 16 bytes are a key, and whole blocks of ciphertext; each packager's are its own.
    async fn segment(
        &self,
        id: &PackagerId,
        path: &str,
        _range: Option<ByteRange>,
        _deadline: Duration,
    ) -> Result<Bytes, OriginError> {
        self.reach(id, path).await?;
        let name = format!("{id} {path}");
        let blocks = if path.ends_with(".bin") { 1 } else { 4 };
        Ok(name.bytes().cycle().take(16 * blocks).collect())
    }
}

/// A store that can lose its line for appends, and counts those that it took.
#[derive(Default)]
struct Store {
    held: MemoryStore,
    failing: AtomicBool,
    appends: AtomicUsize,
}

#[async_trait]
impl LaneStore for Store {
    async fn create(&self, header: &Header) -> Result<Header, StoreError> {
        self.held.create(header).await
    }
    async fn load(&self, lane: &LaneId) -> Result<Option<StoredLane>, StoreError> {
        self.held.load(lane).await
    }
    async fn append(
        &self,
        lane: &LaneId,
        tail: Option<OutputMsn>,
        steps: &[Step],
    ) -> Result<Appended, StoreError> {
        if self.failing.load(Ordering::Relaxed) {
            return Err(StoreError::Unreachable("cut".into()));
        }
        self.appends.fetch_add(1, Ordering::Relaxed);
        self.held.append(lane, tail, steps).await
    }
    async fn begin_again(
        &self,
        header: &Header,
        seen: Option<OutputMsn>,
    ) -> Result<bool, StoreError> {
        self.held.begin_again(header, seen).await
    }
    async fn newer(&self, lane: &LaneId, tail: Option<OutputMsn>) -> Result<Vec<Step>, StoreError> {
        self.held.newer(lane, tail).await
    }
    async fn lanes_of(&self, stream: &StreamKey) -> Result<Vec<LaneId>, StoreError> {
        self.held.lanes_of(stream).await
    }
    async fn trim(&self, lane: &LaneId, keep_from: OutputMsn) -> Result<(), StoreError> {
        self.held.trim(lane, keep_from).await
    }
    async fn expire(&self, before: UnixMs) -> Result<u64, StoreError> {
        self.held.expire(before).await
    }
    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        self.held.secret(name, fresh).await
    }
    async fn target_duration(&self, stream: &StreamKey, seconds: u32) -> Result<u32, StoreError> {
        self.held.target_duration(stream, seconds).await
    }
    async fn drained(
        &self,
        known: &BTreeMap<PackagerId, UnixMs>,
    ) -> Result<BTreeMap<PackagerId, UnixMs>, StoreError> {
        self.held.drained(known).await
    }
    async fn drain(&self, packager: &PackagerId, since: Option<UnixMs>) -> Result<(), StoreError> {
        self.held.drain(packager, since).await
    }
    fn changes(&self) -> tokio::sync::broadcast::Receiver<Change> {
        self.held.changes()
    }
}

struct Stage {
    packagers: Arc<Packagers>,
    store: Arc<Store>,
    segments: Arc<Segments>,
}

impl Stage {
    fn new(listed: u64) -> Self {
        let memory = Settings { dir: None, memory: 1 << 30, disk: 0 };
        Self {
            packagers: Arc::new(Packagers {
                began: Instant::now(),
                listed,
                late_until: Mutex::default(),
                dead: AtomicBool::new(false),
                asked: Mutex::default(),
            }),
            store: Arc::default(),
            segments: Arc::new(Segments::open(memory, UnixMs(BASE)).unwrap()),
        }
    }

    /// A proxy over both packagers; `a` is preferred.
    fn proxy(&self) -> Arc<Streams> {
        let pool = pool([("a", ""), ("b", "")]);
        let settings = PoolSettings::default();
        Streams::new(Parts {
            origin: self.packagers.clone(),
            store: self.store.clone(),
            segments: self.segments.clone(),
            pools: Arc::new(Pools::new(&[pool])),
            fleet: Arc::new(Alone),
            observer: Arc::new(Silent),
            clock: Clock::starting_at(UnixMs(BASE + self.packagers.now())),
            zone: String::new(),
            capacity: Capacity::default(),
            settings: HashMap::from([(PoolName::new("live"), settings)]),
            hosts: HashMap::new(),
            seed: 1,
        })
    }

    /// Plays for so long, while what nobody keeps is dropped.
    async fn play(&self, lane: &Lane, seconds: u64) -> String {
        let until = self.packagers.now() + seconds * 1000;
        loop {
            let rendition = &lane.header().renditions[0].id;
            let body = lane.playlist(rendition).await.unwrap().body.clone();
            if self.packagers.now() >= until {
                return String::from_utf8(body.to_vec()).unwrap();
            }
            sleep(Duration::from_secs(1)).await;
            self.segments.sweep(UnixMs(BASE + self.packagers.now()));
        }
    }

    /// Everything that a media playlist and the entry playlist name is there.
    async fn has_all(&self, lane: &Lane, text: &str) {
        let rendition = &lane.header().renditions[0].id;
        let mut named = Vec::new();
        for uri in text.lines().filter(|l| !l.starts_with('#')) {
            let (msn, short) = uri.trim_end_matches(".m4s").split_once('-').unwrap();
            match lane.segment(rendition, OutputMsn(msn.parse().unwrap()), short).unwrap() {
                Named::Bytes(held) => named.push((uri, held)),
                Named::OnDemand => panic!("{uri} in {text}"),
            }
        }
        let entry = lane.multivariant("T");
        for line in text.lines().chain(entry.lines()).filter(|l| l.contains("URI=\"")) {
            let uri = line.split('"').find(|part| part.contains("init-") || part.contains("x0/"));
            let name = uri.unwrap().rsplit('/').next().unwrap();
            let held = match name.strip_prefix("init-") {
                Some(rest) => lane.init(rendition, &rest[..8]),
                None => lane.shared(name),
            };
            named.push((name, held.unwrap()));
        }
        assert!(entry.matches("x0/").count() == 2, "{entry}");
        for (name, held) in named {
            assert!(self.segments.get(held).await.is_some(), "{name} is gone: {text}{entry}");
        }
    }

    fn asked(&self, what: &str) -> usize {
        self.packagers.asked.lock().iter().filter(|asked| *asked == what).count()
    }
}

/// Init segment and key of a standby are fetched once, when it was nearly needed: a splice half an
/// hour later lists them. What the entry playlist names was fetched once as well, from a packager
/// that is gone.
#[tokio::test(start_paused = true)]
async fn what_a_splice_needs_is_there_half_an_hour_later() {
    let stage = Stage::new(8);
    let streams = stage.proxy();
    let lane = streams.join(&stream(), None).await.unwrap();
    stage.play(&lane, 30).await;
    let segment_ends = |now: u64| (now / SEGMENT_MS + 1) * SEGMENT_MS;
    *stage.packagers.late_until.lock() = Some(segment_ends(stage.packagers.now()) + 600);
    let text = stage.play(&lane, 10).await;
    assert_eq!(stage.asked("b /live/init.mp4"), 1, "it was nearly needed");
    assert!(!text.contains("#EXT-X-DISCONTINUITY\n"), "{text}");
    let text = stage.play(&lane, 1800).await;
    stage.has_all(&lane, &text).await;
    stage.packagers.dead.store(true, Ordering::Relaxed);
    let text = stage.play(&lane, 12).await;
    assert!(text.contains("#EXT-X-DISCONTINUITY\n"), "{text}");
    assert_eq!(text.matches("#EXT-X-MAP:").count(), 2, "{text}");
    stage.has_all(&lane, &text).await;
    assert_eq!(stage.asked("b /live/init.mp4"), 1);
    let text = stage.play(&lane, 1800).await;
    stage.has_all(&lane, &text).await;
}

/// All steps of a long window at once, though the store took none of them when the lane opened.
#[tokio::test(start_paused = true)]
async fn the_store_gets_a_long_window_that_it_missed() {
    let stage = Stage::new(3000);
    let streams = stage.proxy();
    stage.store.failing.store(true, Ordering::Relaxed);
    let lane = streams.join(&stream(), None).await.unwrap();
    let text = stage.play(&lane, 10).await;
    assert!(text.matches("#EXTINF:").count() >= 3000);
    stage.store.failing.store(false, Ordering::Relaxed);
    // What reads and does not write is tried again every four seconds.
    let before = stage.play(&lane, 6).await;
    let id = lane.header().lane.clone();
    let stored = stage.store.load(&id).await.unwrap().unwrap();
    assert!(stored.steps.len() >= 3000, "{}", stored.steps.len());
    let appends = stage.store.appends.load(Ordering::Relaxed);
    assert!(appends <= 3, "{appends}");
    // Another process prints the same, and has what is on demand.
    drop(streams);
    let again = stage.proxy();
    let lane = again.lane(&stream(), &id).await.unwrap();
    let after = stage.play(&lane, 5).await;
    let numbered = |text: &str| -> BTreeMap<u64, String> {
        let uris = text.lines().filter(|l| !l.starts_with('#'));
        uris.map(|uri| (uri.split_once('-').unwrap().0.parse().unwrap(), uri.to_owned())).collect()
    };
    let (before, after) = (numbered(&before), numbered(&after));
    let same = before.iter().filter(|(msn, uri)| after.get(msn) == Some(uri)).count();
    assert!(same >= before.len() - 3, "{same} of {}", before.len());
    let rendition = &lane.header().renditions[0].id;
    let deep = OutputMsn(*after.keys().nth(100).unwrap());
    assert!(again.recall(&lane, rendition, deep).await.is_some());
}
